"""One start of a run: services, then Nodes; watched until they are complete; ended in the right order."""

import time
from pathlib import Path

from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_cli.cluster import Swarm
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local import programs, view
from kubeswarm_cli.local.directory import RunDirectory, RunFile
from kubeswarm_cli.local.node import LocalNode
from kubeswarm_cli.local.processes import Process
from kubeswarm_cli.local.services import LocalChain, LocalExchange

#: What a trainer may take to drop the round in flight, and an attestor to bring the last rounds to the chain.
TRAINER_SECONDS = 60.0
ATTESTOR_SECONDS = 15.0
SERVICE_SECONDS = 10.0
#: After the last round is trained, how long the chain may take to have it.
CHAIN_SECONDS = 120.0


class Session:
    """Owns every process of the run. `stop` ends them, whatever has happened."""

    def __init__(self, directory: RunDirectory, run: RunFile) -> None:
        self._directory, self._run = directory, run
        self.swarm_id = to_hex(digest(b"kubeswarm.dev/local-run:" + run.uid.encode()))
        self.nodes: list[LocalNode] = []
        self._services: list[Process] = []
        self._trained_at: float | None = None

    def start(self) -> None:
        """Starts everything. Raises CommandError, and then `stop` is to be called still."""
        run, python = self._run, programs.worker_python()
        chain = LocalChain(self._directory.path / "chain") if run.chain else None
        exchange = LocalExchange(self._directory.path / "exchange") if run.share else None
        chain_config = exchange_config = None
        if chain is not None:
            self._services.append(chain.process)
            chain_config, self.swarm_id = chain.start(run.uid, run.spec.training())
        if exchange is not None:
            self._services.append(exchange.process)
            exchange_config = exchange.start(self.swarm_id)
        for index in range(run.spec.nodes):
            node = LocalNode(
                self._directory,
                run,
                index,
                python=python,
                model_root=Path(run.model or "/"),
                swarm_id=self.swarm_id,
                chain=chain_config,
                exchange=exchange_config,
            )
            self.nodes.append(node)
            if chain is not None:
                chain.fund(node.key())
        for node in self.nodes:
            node.start()

    def look(self) -> Swarm:
        """Starts again what has failed, and says how all are. Raises CommandError when one fails for good."""
        for service in self._services:
            service.keep_alive()
        for node in self.nodes:
            node.look()
            if node.failure:
                raise CommandError(f"{node.name}: {node.failure}")
            for process in node.processes:
                # A Node that is complete needs its attestor alone, and the cores are for those that are not.
                if node.trained and process is not node.attestor:
                    process.terminate()
                else:
                    process.keep_alive()
        return view.swarm(self._run, self.swarm_id, self.nodes)

    def done(self, swarm: Swarm) -> bool:
        """Whether there is nothing to wait for any more."""
        if not all(node.trained for node in self.nodes):
            return False
        self._trained_at = self._trained_at or time.monotonic()
        return all(node.attested for node in self.nodes) or time.monotonic() - self._trained_at > CHAIN_SECONDS

    def stop(self) -> None:
        """Ends all: the trainers after their last finished round, then the attestors, then what they need."""
        trainers = [process for node in self.nodes for process in (node.trainer, *node.rollouts)]
        attestors = [node.attestor for node in self.nodes if node.attestor is not None]
        stages = (trainers, TRAINER_SECONDS), (attestors, ATTESTOR_SECONDS), (self._services, SERVICE_SECONDS)
        for processes, seconds in stages:
            for process in processes:
                process.terminate()
            deadline = time.monotonic() + seconds
            for process in processes:
                process.wait(max(0.1, deadline - time.monotonic()))

    def kill(self) -> None:
        """Ends all at once. Nothing that counts is lost: every finished round is on the disk."""
        for process in (*(each for node in self.nodes for each in node.processes), *self._services):
            process.kill()
