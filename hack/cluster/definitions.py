"""When what was just defined is served."""

import time
from collections.abc import Callable

#: What kubectl says of a definition that has no conditions yet, instead of waiting for them.
_TOO_EARLY = ".status.conditions accessor error"


def wait_for_definitions(kubectl: Callable[..., str], seconds: float = 60.0) -> None:
    """Until all CustomResourceDefinitions are served. Raises what `kubectl` raises, in time too."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            kubectl("wait", "--for=condition=Established", "crd", "--all", f"--timeout={seconds:.0f}s")
            return
        except Exception as error:
            if _TOO_EARLY not in str(error) or time.monotonic() > deadline:
                raise
