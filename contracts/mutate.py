"""Mutation tests: breaks the contracts in one small way at a time, and sees that a test notices each.

A mutant changes one node of the compiler's syntax tree: a comparison or an operator, a guard that never holds, a
statement or a modifier taken out, a number one higher (operators as in Offutt et al., "An experimental determination
of sufficient mutant operators", 1996, with statement deletion). Each first meets the tests of its own contract, then
all. What no test notices must be in survivors.json, with the reason why nobody could notice it. Results are kept in
out/mutants.json by the contracts' digest, so that a run which is stopped goes on where it was; remove it to begin anew.
`make -C contracts mutate` runs this.
"""

import argparse
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "out/mutants.json"
SURVIVORS = HERE / "survivors.json"
FORGE = next(HERE.glob("node_modules/@foundry-rs/forge-*/bin/forge"), None)
#: The tests that are likely to notice, where they are not the contract's own alone.
NEAREST = {
    "RoundRecord": "Proofs",
    "RoundResolver": "{RoundResolver,Proofs}",
    "SwarmRegistry": "{SwarmRegistry,Budget}",
    "Treasury": "{Treasury,Settlement,Budget}",
    "Trees": "{Trees,Proofs}",
}
SWAPS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "&&": "||",
    "||": "&&",
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "+=": "-=",
    "-=": "+=",
    "++": "--",
    "--": "++",
    ">>=": "<<=",
    "&": "|",
}
#: Without the optimizer a compilation takes a third of the time, and the tests see the same. A mutant may leave a name
#: unused, which is a warning.
FAST = {
    "FOUNDRY_OPTIMIZER": "false",
    "FOUNDRY_DENY": "never",
    "FOUNDRY_DYNAMIC_TEST_LINKING": "true",
    "FOUNDRY_FUZZ_RUNS": "25",
    "FOUNDRY_FUZZ_SEED": "1",
    "FOUNDRY_INVARIANT_RUNS": "16",
    "FOUNDRY_INVARIANT_DEPTH": "32",
}
#: What a mutant that loops may take of the processor before it counts as noticed: a machine that is busy kills nothing.
CPU_SECONDS = 180


@dataclass(frozen=True)
class Mutant:
    """`new` in the place of `length` bytes at `start` of a file in src/. `name` has no line number: those move."""

    file: str
    start: int
    length: int
    new: str
    name: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.start + self.length :]


def _span(node: dict[str, Any]) -> tuple[int, int]:
    start, length, _ = (int(part) for part in node["src"].split(":"))
    return start, start + length


def _operator(node: dict[str, Any], source: bytes) -> tuple[int, str] | None:
    """Where a binary node's operator is, and its text."""
    left, right = ("leftHandSide", "rightHandSide") if "leftHandSide" in node else ("leftExpression", "rightExpression")
    begin, end = _span(node[left])[1], _span(node[right])[0]
    offset = source[begin:end].find(node["operator"].encode())
    return None if offset < 0 else (begin + offset, node["operator"])


def _edits(node: dict[str, Any], source: bytes) -> Iterator[tuple[int, int, str]]:
    """The mutations of one node: start, end, and what comes there."""
    kind, (start, end) = node["nodeType"], _span(node)
    if kind in ("BinaryOperation", "Assignment") and node["operator"] in SWAPS:
        if found := _operator(node, source):
            yield found[0], found[0] + len(found[1]), SWAPS[found[1]]
    elif kind == "UnaryOperation" and node["operator"] == "!":
        yield start, start + 1, ""
    elif kind in ("IfStatement", "Conditional"):
        yield *_span(node["condition"]), "false"
        if kind == "Conditional":
            yield *_span(node["condition"]), "true"
    elif kind in ("ExpressionStatement", "EmitStatement"):
        yield start, end + 1, "{}"  # with the semicolon
    elif kind == "ModifierInvocation" and node.get("kind") == "modifierInvocation":
        yield start, end, ""
    elif kind == "Literal" and node["kind"] == "number" and node["value"].replace("_", "").isdigit():
        yield start, start + len(node["value"]), str(int(node["value"].replace("_", "")) + 1)
    elif kind == "Literal" and node["kind"] == "bool":
        yield start, end, "false" if node["value"] == "true" else "true"
    elif kind == "YulLiteral" and node["kind"] == "number":
        yield start, end, str(int(node["value"], 0) + 1)
    elif kind == "MemberAccess" and node["memberName"] == "min":
        yield end - 3, end, "max"


def _walk(node: Any, source: bytes, file: str, where: str) -> Iterator[Mutant]:
    if isinstance(node, list):
        for each in node:
            yield from _walk(each, source, file, where)
    elif isinstance(node, dict):
        kind = node.get("nodeType")
        if kind in ("FunctionDefinition", "VariableDeclaration", "ContractDefinition") and node.get("name"):
            where = f"{where}.{node['name']}" if kind != "ContractDefinition" else node["name"]
        for start, end, new in _edits(node, source) if kind and "src" in node else ():
            yield Mutant(file, start, end - start, new, _name(source, start, end, new, where))
        for key, child in node.items():
            # A loop without its step only costs time: it never ends.
            inner = child["expression"] if key == "loopExpression" and child else child
            yield from _walk(inner, source, file, where)


def _name(source: bytes, start: int, end: int, new: str, where: str) -> str:
    """The member, and the line with the change in it."""
    first = source.rfind(b"\n", 0, start) + 1
    last = source.find(b"\n", end)
    before, old, after = (source[a:b].decode() for a, b in ((first, start), (start, end), (end, last)))
    return f"{where}: {' '.join(f'{before}[{old} -> {new}]{after}'.split())}"


def mutants(artifacts: Path) -> list[Mutant]:
    """All mutants of the contracts in src/, in the order of their places."""
    found: set[Mutant] = set()
    for path in sorted((HERE / "src").glob("*.sol")):
        artifact = artifacts / path.name / f"{path.stem}.json"
        tree = json.loads((artifact if artifact.is_file() else next(artifact.parent.glob("*.json"))).read_text())["ast"]
        found |= set(_walk(tree["nodes"], path.read_bytes(), path.name, ""))
    ordered = sorted(found, key=lambda each: (each.file, each.start, each.new))
    seen: Counter[str] = Counter()
    for number, each in enumerate(ordered):
        seen[each.name] += 1
        if seen[each.name] > 1:
            ordered[number] = replace(each, name=f"{each.name} ({seen[each.name]})")
    return ordered


class Sandbox:
    """A copy of the project in which one mutant at a time is tested; what was compiled in it stays for the next run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("src", "test"):
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(HERE / name, folder / name)
        for name in ("foundry.toml", "solc.mjs", "package.json"):
            shutil.copy(HERE / name, folder / name)
        modules = folder / "node_modules"
        modules.unlink(missing_ok=True)
        modules.symlink_to((HERE / "node_modules").resolve())

    def forge(self, *arguments: str) -> tuple[int, str]:
        run = subprocess.run(
            ["sh", "-c", f'ulimit -S -t {CPU_SECONDS} && exec "$@"', "sh", str(FORGE), *arguments],
            cwd=self.folder, env=os.environ | FAST, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return run.returncode, run.stdout

    def judge(self, mutant: Mutant) -> str:
        """`killed`, `survived`, or `invalid` where it does not compile."""
        target = self.folder / "src" / mutant.file
        original = target.read_bytes()
        contract = mutant.file.removesuffix(".sol")
        try:
            target.write_bytes(mutant.apply(original))
            test = ("test", "--fail-fast", "-j", "1", "--no-match-contract", "GasTest")
            code, output = self.forge(*test, "--match-path", f"test/{NEAREST.get(contract, contract)}.t.sol")
            if "Compiler run failed" in output:
                return "invalid"
            if code == 0:
                code, output = self.forge(*test)
            if code not in (0, -signal.SIGXCPU) and "[FAIL" not in output:
                raise RuntimeError(f"forge did not test {mutant.name}: {output}")
            return "killed" if code else "survived"
        finally:
            target.write_bytes(original)


def run(wanted: list[Mutant], results: dict[str, str], workers: int, seconds: float, keep: Any) -> None:
    """Judges what has no result yet, for at most `seconds`; `keep` is called after each."""
    sandboxes: queue.Queue[Sandbox] = queue.Queue()
    end, lock = time.monotonic() + seconds, threading.Lock()
    for number in range(workers):
        sandboxes.put(Sandbox(HERE / f"out/mutants-{number}"))

    def judge(mutant: Mutant) -> None:
        if time.monotonic() > end:
            return
        sandbox = sandboxes.get()
        verdict = sandbox.judge(mutant)
        sandboxes.put(sandbox)
        with lock:
            results[mutant.name] = verdict
            keep()
            if verdict == "survived":
                print(f"survived: {mutant.name}", flush=True)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(judge, sorted((each for each in wanted if each.name not in results), key=_shuffled)))


def _shuffled(mutant: Mutant) -> bytes:
    """An order without a pattern, always the same: what a stopped run has done is a fair sample."""
    return hashlib.sha256(mutant.name.encode()).digest()


def report(wanted: list[Mutant], results: dict[str, str]) -> None:
    """Prints the counts; exits with an error where a survivor has no reason, or a reason no survivor any more."""
    judged = {each.name: results[each.name] for each in wanted if each.name in results}
    verdicts = list(judged.values())
    survived = {name for name, verdict in judged.items() if verdict == "survived"}
    print(
        f"{len(judged)} of {len(wanted)} mutants: {verdicts.count('killed')} killed, {len(survived)} survived, "
        f"{verdicts.count('invalid')} do not compile"
    )
    explained = json.loads(SURVIVORS.read_text())
    problems = [f"no test notices: {name}" for name in sorted(survived - explained.keys())]
    problems += [
        f"killed now, take it from the list: {name}" for name in sorted(explained.keys() & judged.keys() - survived)
    ]
    if problems:
        sys.exit("\n".join(problems))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after this long; the next run goes on")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="mutants whose names contain this")
    options = parser.parse_args()
    base = Sandbox(HERE / "out/mutants-tree")
    code, output = base.forge("build", "--ast", "--skip", "test")
    if code:
        sys.exit(output)
    wanted = [each for each in mutants(base.folder / "out") if options.only in each.name]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(HERE.glob("src/*.sol")))).hexdigest()
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results: dict[str, str] = kept.get("results", {}) if kept.get("sources") == digest else {}
    # A test may have come for those that survived.
    results = {name: verdict for name, verdict in results.items() if verdict != "survived"}
    run(
        wanted, results, options.workers, options.seconds,
        lambda: RESULTS.write_text(json.dumps({"sources": digest, "results": results}, indent=1)),
    )  # fmt: skip
    report(wanted, results)


if __name__ == "__main__":
    main()
