"""The results as a table for people: a column an operator, a row a measure, the best of a row in bold."""

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


def _status_writes(result: Object) -> float | None:
    requests: dict[str, float] = result["requests"]
    return round(sum(count for what, count in requests.items() if what.endswith("/status")), 2)


def _verb(verb: str) -> Measure:
    def value(result: Object) -> float | None:
        requests: dict[str, float] = result["requests"]
        return round(sum(count for what, count in requests.items() if what.split()[0] == verb), 2)

    return value


#: What is shown, less being better in each row.
ROWS: tuple[tuple[str, Measure], ...] = (
    ("apply to Ready, p50 (s)", _of("readySeconds", "p50")),
    ("apply to Ready, p99 (s)", _of("readySeconds", "p99")),
    ("all Ready (s)", _of("readySeconds", "all")),
    ("operator, CPU (s)", _of("cpuSeconds", "operator")),
    ("API server, CPU (s)", _of("cpuSeconds", "apiServer")),
    ("operator, peak memory (MB)", _memory),
    ("requests an object", _of("requestsAnObject")),
    *((f"of them {verb}", _verb(verb)) for verb in ("create", "update", "patch", "delete", "get", "list")),
    ("of them status writes", _status_writes),
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
    """Markdown, one table a course."""
    courses = sorted({_course_of(each) for each in results})
    return "\n\n".join(_course(course, results) for course in courses)


def _course_of(result: Object) -> tuple[int, int, str]:
    return result["objects"], result["namespaces"], result["limits"]


def _course(course: tuple[int, int, str], results: Sequence[Object]) -> str:
    objects, spaces, limits = course
    ran = [each for each in results if _course_of(each) == course]
    title = f"{objects} objects of 4 pods, {spaces} namespace{'s' if spaces > 1 else ''}"
    title += ", limits of the charts" if limits == "chart" else ""
    lines = [f"| {title} | {' | '.join(each['operator'] for each in ran)} |", "|---" * (len(ran) + 1) + "|"]
    for name, measure in ROWS:
        values = [measure(each) for each in ran]
        known = [value for value in values if value is not None]
        if known:
            cells = ["" if value is None else _cell(value, value == min(known)) for value in values]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float, best: bool) -> str:
    text = f"{value:g}"
    return f"**{text}**" if best else text
