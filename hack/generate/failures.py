"""Writes the table of reasons into docs/failure-modes.md: `python -m hack.generate.failures`."""

from pathlib import Path

from kubeswarm_api.failures import FAILURES

PAGE = Path(__file__).parents[2] / "docs" / "failure-modes.md"
BEGIN, END = "<!-- reasons: written by `make generate` -->\n", "<!-- end of reasons -->\n"


def table() -> str:
    """One row a reason."""
    rows = [f"| `{reason}` | {failure.meaning} | {failure.remedy} |" for reason, failure in FAILURES.items()]
    return "\n".join(["| reason | what it means | next step |", "|---|---|---|", *rows]) + "\n"


def main() -> None:
    """Replaces what stands between the two marks; the rest of the page is written by hand."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
