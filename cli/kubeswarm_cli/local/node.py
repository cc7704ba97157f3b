"""One Node on this machine: its configuration, its processes, and what they say of themselves."""

import urllib.request
from pathlib import Path
from typing import TypeVar

from kubeswarm_api import names
from kubeswarm_api.base import Model
from kubeswarm_api.encoding import canonical_json
from kubeswarm_api.node_config import ChainConfig, ExchangeConfig, node_config
from kubeswarm_api.records import Address, Digest
from kubeswarm_api.reports import AttestorReport, NodeReport, Phase
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local import ports
from kubeswarm_cli.local.directory import RunDirectory, RunFile
from kubeswarm_cli.local.processes import Process
from kubeswarm_contracts import Account, new_key, node_id

STATUS_SECONDS = 2.0
#: Longer paths can't name a socket.
MAX_SOCKET_PATH = 107
Report = TypeVar("Report", bound=Model)


class LocalNode:
    """`python`: what runs the worker's code; `neighbours`: how many Nodes share the machine's cores."""

    def __init__(
        self,
        directory: RunDirectory,
        run: RunFile,
        index: int,
        *,
        python: Path,
        model_root: Path,
        swarm_id: Digest,
        chain: ChainConfig | None,
        exchange: ExchangeConfig | None,
    ) -> None:
        spec = run.spec
        self.name, self.rounds, self.workers = run.nodes[index], spec.rounds, spec.rollout.workers
        self.root = directory.node(self.name)
        self._chain = chain
        self._offset = ports.take_offset()
        self.report: NodeReport | None = None
        self.attestor_report: AttestorReport | None = None
        config = node_config(
            spec.node(run.name, index),
            namespace="local",
            name=self.name,
            swarm=run.name,
            swarm_id=swarm_id,
            chain=chain,
            exchange=exchange,
            model_root=model_root,
        )
        self._write(names.local_path(self.root, names.NODE_CONFIG_FILE), canonical_json(config.to_json()))
        common = {names.ROOT_ENV: str(self.root), names.NEIGHBOURS_ENV: str(spec.nodes)}
        if run.threads is not None:
            common["OMP_NUM_THREADS"] = str(run.threads)

        def process(role: str, offset: ports.Offset, log: str, **env: str) -> Process:
            command = [python, "-m", f"kubeswarm_workers.entrypoints.{role}"]
            environment = {**common, names.PORT_OFFSET_ENV: str(offset.value), **env}
            return Process(f"{self.name}'s {log}", command, self.root / "log" / f"{log}.log", environment)

        self.trainer = process("trainer", self._offset, "trainer")
        self.attestor = process("attestor", self._offset, "attestor") if chain else None
        head = f"127.0.0.1:{names.RAY_PORT + self._offset.value}"
        self._rollout_offsets = [ports.take_offset() for _ in range(self.workers)]
        self.rollouts = [
            process("rollout", offset, f"rollout-{number}", **{names.HEAD_ENV: head})
            for number, offset in enumerate(self._rollout_offsets)
        ]

    @property
    def processes(self) -> list[Process]:
        """All of them, the trainer first."""
        return [self.trainer, *self.rollouts, *([self.attestor] if self.attestor else [])]

    def key(self) -> Address:
        """The address of the Node's key, which is made if there is none; the Node's id follows from it."""
        path = names.local_path(self.root, names.IDENTITY_KEY_FILE)
        if not path.exists():
            self._write(path, new_key()[0].encode(), mode=0o600)
        return node_id(Account.from_file(path).address)

    def start(self) -> None:
        """Starts its processes. Raises CommandError."""
        socket = names.local_path(self.root, names.ATTESTOR_SOCKET)
        if self.attestor is not None:
            if len(str(socket)) > MAX_SOCKET_PATH:
                raise CommandError(
                    f"{socket} is too long for a socket ({len(str(socket))} of {MAX_SOCKET_PATH} characters): "
                    "give a --dir with a shorter path"
                )
            socket.unlink(missing_ok=True)
        for process in reversed(self.processes):
            process.start()

    def look(self) -> None:
        """Asks its processes how they are; what gives no answer keeps what it said last."""
        before = self.report.round if self.report else 0
        self.report = self._ask(names.TRAINER_PORT, NodeReport) or self.report
        if self.report is not None and self.report.round > before:
            self.trainer.progressed()
        if self.attestor is not None:
            self.attestor_report = self._ask(names.ATTESTOR_PORT, AttestorReport) or self.attestor_report

    @property
    def trained(self) -> bool:
        """Whether all rounds are done."""
        return self.report is not None and self.report.phase is Phase.COMPLETE

    @property
    def failure(self) -> str:
        """Why the trainer gave up, where starting it again mends nothing."""
        return self.report.message if self.report is not None and self.report.phase is Phase.FAILED else ""

    @property
    def attested(self) -> bool:
        """Whether nothing is missing on the chain, if there is one."""
        report = self.attestor_report
        return self.attestor is None or (report is not None and report.attested_rounds >= self.rounds)

    @property
    def troubles(self) -> list[str]:
        """What is wrong now."""
        found = [process.trouble for process in self.processes if process.trouble]
        if self.attestor_report is not None and self.attestor_report.problem is not None:
            found.append(f"attestor: {self.attestor_report.problem.message}")
        return found

    def _ask(self, port: int, kind: type[Report]) -> Report | None:
        url = f"http://127.0.0.1:{port + self._offset.value}/status"
        try:
            with urllib.request.urlopen(url, timeout=STATUS_SECONDS) as answer:
                return kind.model_validate_json(answer.read())
        except (OSError, ValueError):
            return None

    @staticmethod
    def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.touch(mode)
        temporary.write_bytes(data)
        temporary.replace(path)
