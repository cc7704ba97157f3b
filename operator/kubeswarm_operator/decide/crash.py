"""Why a container ended: from its exit code, the kubelet's word, and the last lines that it wrote."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from kubeswarm_api.conditions import Reason

#: Lines and characters of a log's end that a message holds.
LAST_LINES, LAST_CHARACTERS = 3, 600


@dataclass(frozen=True)
class Cause:
    """A failure that is known by what is written of it."""

    reason: Reason
    pattern: re.Pattern[str]
    remedy: str


def _cause(reason: Reason, pattern: str, remedy: str) -> Cause:
    return Cause(reason, re.compile(pattern, re.IGNORECASE), remedy)


#: Asked in this order of the whole text.
CAUSES = (
    _cause(
        Reason.VOLUME_FULL,
        r"no space left on device|errno 28\b|disk quota exceeded",
        "raise spec.storage.size (the storage class must allow expansion), or the emptyDir's size in spec.template",
    ),
    _cause(
        Reason.CHECKPOINT_DAMAGED,
        r"does not match the manifest|checkpoint.*(corrupt|damaged|truncated|missing|is of another)",
        "remove the damaged checkpoint from the Node's volume (the one before it is used then), or delete the Node to "
        "start from the base model",
    ),
    _cause(
        Reason.LOSS_NOT_FINITE,
        r"\b(loss|gradient|grad[_ ]norm|log-?prob\w*|advantage\w*)\b.*\b(nan|inf|infinite|non-?finite|not finite)\b",
        "lower algorithm.learningRate or algorithm.maxGradNorm; it goes on from the last finished round",
    ),
    _cause(
        Reason.MODEL_NOT_FOUND,
        r"holds no config\.json|can't be fetched|model.*(not found|does not exist|no such file)",
        "correct spec.model in a new Swarm",
    ),
    _cause(
        Reason.ENVIRONMENT_FAILED,
        r"\benvironment\b.*\b(fail\w*|error\w*|dead|died|timed? ?out|no such)\b|no such (task|dataset)|scorer",
        "correct spec.environment; its own log lines tell more",
    ),
    _cause(
        Reason.OUT_OF_MEMORY,
        r"out of memory|cannot allocate memory|\bMemoryError\b",
        "lower algorithm.tokensPerMicroBatch or algorithm.prompts, or give the container more in spec.template",
    ),
)


def cause_of(text: str) -> Cause | None:
    """The known cause that a text tells of."""
    return next((cause for cause in CAUSES if cause.pattern.search(text)), None)


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
