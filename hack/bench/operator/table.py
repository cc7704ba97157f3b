"""The results as a table for people: a column an operator on a course, a row a measure, a course's best in bold."""

from collections.abc import Callable, Sequence

from hack.simulation.api import Object

Measure = Callable[[Object], float | None]


def _of(*path: str) -> Measure:
    def value(result: Object) -> float | None:
        for name in path[:-1]:
            result = result.get(name, {})
        return result.get(path[-1])

    return value


def _memory(result: Object) -> float | None:
    return round(result["peakMemoryBytes"] / 1e6)


def _changes(result: Object) -> float | None:
    requests: dict[str, float] = result["requests"]
    return round(sum(count for what, count in requests.items() if what.split()[0] in ("update", "patch")), 2)


#: What is shown, less being better in each row.
ROWS: tuple[tuple[str, Measure], ...] = (
    ("apply to Ready, p50 (s)", _of("readySeconds", "p50")),
    ("apply to Ready, p99 (s)", _of("readySeconds", "p99")),
    ("all Ready (s)", _of("readySeconds", "all")),
    ("operator, CPU (s)", _of("cpuSeconds", "operator")),
    ("API server, CPU (s)", _of("cpuSeconds", "apiServer")),
    ("operator, peak memory (MB)", _memory),
    ("requests an object", _of("requestsAnObject")),
    ("of them updates and patches", _changes),
    ("writes by all, an object", _of("writesOfAllAnObject")),
    ("idle: operator, CPU (s)", _of("idle", "cpuSeconds")),
    ("idle: writes", _of("idle", "writes")),
    ("restart to synced (s)", _of("restart", "syncedSeconds")),
    ("restart: operator, CPU (s)", _of("restart", "cpuSeconds")),
    ("one more pod alone (s)", _of("neighbour", "aloneSeconds")),
    ("one more pod beside 1,000 (s)", _of("neighbour", "besideSeconds")),
    ("all deleted (s)", _of("delete", "seconds")),
    ("deletion: operator, CPU (s)", _of("delete", "cpuSeconds")),
)


def table(results: Sequence[Object]) -> str:
    """Markdown, one table a number of objects: its courses side by side."""
    return "\n\n".join(_of_so_many(count, results) for count in sorted({each["objects"] for each in results}))


def _course_of(result: Object) -> tuple[bool, int]:
    return result["limits"] == "chart", result["namespaces"]


def _of_so_many(count: int, results: Sequence[Object]) -> str:
    ran = sorted(
        (each for each in results if each["objects"] == count), key=lambda each: (_course_of(each), _order(each))
    )
    lines = [f"| {count:,} objects of 4 pods | {' | '.join(map(_title, ran))} |", "|---" * (len(ran) + 1) + "|"]
    for name, measure in ROWS:
        values = [(_course_of(each), measure(each)) for each in ran]
        cells = [
            "" if value is None else _cell(value, value == min(v for c, v in values if c == course and v is not None))
            for course, value in values
        ]
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _order(result: Object) -> tuple[bool, int, str]:
    """Ours first, then by concurrency."""
    name: str = result["operator"]
    return name != "KubeSwarm", len(name), name


def _title(result: Object) -> str:
    chart, spaces = _course_of(result)
    name: str = result["operator"].replace(" 1.5.0, concurrency", ",")
    return name + (f", {spaces} namespaces" if spaces > 1 else "") + (", chart's limits" if chart else "")


def _cell(value: float, best: bool) -> str:
    text = f"{value:g}"
    return f"**{text}**" if best else text
