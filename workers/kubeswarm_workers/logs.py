"""The logs of this process: JSON lines on standard output."""

import logging
import sys

from kubeswarm_api.logs import JsonFormatter


def configure() -> None:
    """Sends every logger of this process to standard output; libraries only from warnings on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("kubeswarm_workers").setLevel(logging.INFO)
