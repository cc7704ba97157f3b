"""`python -m kubeswarm_operator`: runs the operator; logs are JSON lines on standard error."""

import asyncio
import gc
import logging
import resource
import sys

from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_api.logs import JsonFormatter
from kubeswarm_operator.program import run
from kubeswarm_operator.settings import load

#: New containers between two looks for garbage in cycles, and how many looks make one at older ones too. What the API
#: server tells is hundreds of thousands of containers that stay and have no cycles: at Python's 700 a fifth of the
#: operator's CPU went into looking through them.
GARBAGE_THRESHOLDS = (50_000, 10, 10)


def main() -> int:
    """Returns the process's exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # Each Node has a connection, of which a soft limit of 1,024 would leave the API server none.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    gc.freeze()  # modules and classes stay for good
    try:
        return asyncio.run(run(load()))
    except KubeSwarmError as error:
        print(f"kubeswarm-operator: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
