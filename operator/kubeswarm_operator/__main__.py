"""`python -m kubeswarm_operator`: runs the operator; logs are JSON lines on standard error."""

import asyncio
import logging
import sys

from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_api.logs import JsonFormatter
from kubeswarm_operator.program import run
from kubeswarm_operator.settings import load


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
