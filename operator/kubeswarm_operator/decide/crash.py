"""Why a container ended: from its exit code, the kubelet's word, and the last lines that it wrote."""

import json
import re
from collections.abc import Iterator

from kubeswarm_api.conditions import Reason

#: Lines and characters of a log's end that a message holds.
LAST_LINES, LAST_CHARACTERS = 3, 600


#: Asked in this order of the whole text.
CAUSES: tuple[tuple[Reason, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        (Reason.VOLUME_FULL, r"no space left on device|errno 28\b|disk quota exceeded"),
        (
            Reason.CHECKPOINT_DAMAGED,
            r"does not match the manifest|checkpoint.*(corrupt|damaged|truncated|missing|is of another)",
        ),
        (
            Reason.LOSS_NOT_FINITE,
            r"\b(loss|gradient|grad[_ ]norm|log-?prob\w*|advantage\w*)\b.*"
            r"\b(nan|inf|infinite|non-?finite|not finite)\b",
        ),
        (
            Reason.MODEL_NOT_FOUND,
            r"holds no config\.json|can't be fetched|model.*(not found|does not exist|no such file)",
        ),
        (
            Reason.ENVIRONMENT_FAILED,
            r"\benvironment\b.*\b(fail\w*|error\w*|dead|died|timed? ?out|no such)\b|EnvironmentFailed|"
            r"no such (task|dataset)|scorer",
        ),
        (Reason.OUT_OF_MEMORY, r"out of memory|cannot allocate memory|\bMemoryError\b"),
    )
)


def cause_of(text: str) -> Reason | None:
    """The known cause that a text tells of."""
    return next((reason for reason, pattern in CAUSES if pattern.search(text)), None)


def last_words(text: str) -> str:
    """The last lines of a log in short: of a JSON line its message, its cause and the end of its traceback."""
    lines = [word for line in text.strip().splitlines()[-LAST_LINES:] for word in _words(line)]
    return " | ".join(dict.fromkeys(filter(None, lines)))[-LAST_CHARACTERS:]


def _words(line: str) -> Iterator[str]:
    try:
        entry = json.loads(line)
    except ValueError:  # plain text, or a line whose beginning is cut off
        yield line.replace("\\n", "\n").strip().splitlines()[-1].strip().rstrip('"}').strip() if line.strip() else ""
        return
    if not isinstance(entry, dict):
        yield str(entry)
        return
    traceback = str(entry.get("error", "")).strip().splitlines()
    yield str(entry.get("message", ""))
    yield str(entry.get("cause", "")) or (traceback[-1] if traceback else "")
