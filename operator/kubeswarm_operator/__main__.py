"""`python -m kubeswarm_operator`: runs the operator; logs are JSON lines on standard error."""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime

from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_operator.program import run
from kubeswarm_operator.settings import load

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what was given as extra."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        out = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        out |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            out["error"] = self.formatException(record.exc_info)
        return json.dumps(out, default=str)


def main() -> int:
    """Returns the process's exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        return asyncio.run(run(load()))
    except KubeSwarmError as error:
        print(f"kubeswarm-operator: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
