"""Replicas of the operator, each a process of its own.

They are forked from a process that has imported the operator already, which takes seconds and is done for each test
otherwise. What follows, from the reading of its configuration on, is what `python -m kubeswarm_operator` does.
"""

import json
import multiprocessing
import os
import runpy
import urllib.request
from pathlib import Path
from typing import Any

from hack.cluster.settings import COUNTED

ROOT = Path(__file__).parents[2]
OPERATOR = "kubeswarm_operator"
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([f"{OPERATOR}.__main__", __name__])


def _run(module: str, environment: dict[str, str], log: Path) -> None:
    """`python -m module` in this process, with standard error at the end of `log`."""
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class OperatorProcess:
    """One replica."""

    def __init__(self, kubeconfig: Path, config: Path, log: Path, name: str, port: int, module: str = OPERATOR) -> None:
        self._log = log
        self.port = port
        environment = {
            **{name: value for name, value in os.environ.items() if name not in ("USER", "LOGNAME")},
            "KUBECONFIG": str(kubeconfig),
            "KUBESWARM_OPERATOR_CONFIG": str(config),
            "KUBESWARM_OPERATOR_PORT": str(port),
            "POD_NAMESPACE": COUNTED,
            "POD_NAME": name,
        }
        log.touch()
        self._process = _forks.Process(target=_run, args=(module, environment, log))
        self._process.start()

    def log(self) -> list[dict[str, Any]]:
        """The log's lines."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def leads(self) -> bool:
        """Whether it has said that it leads."""
        return any(line["message"] == "this replica leads" for line in self.log())

    def get(self, path: str) -> str:
        """What its endpoint answers; raises OSError if it doesn't, or not well."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
            return response.read().decode()

    def ready(self) -> bool:
        """Whether its watches are open, whether it leads or not."""
        try:
            return self.get("/readyz") == "ok\n"
        except OSError:
            return False

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def ended(self, seconds: float) -> int:
        """Its exit code, once it has ended by itself; raises TimeoutError if it does not."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise TimeoutError(f"the operator has not ended within {seconds:g} s")
        return self._process.exitcode

    def stop(self) -> int:
        """Ends it as Kubernetes does; returns its exit code."""
        self._process.terminate()
        return self.ended(30)

    def kill(self) -> None:
        """Ends it as a crash does."""
        self._process.kill()
        self.ended(10)
