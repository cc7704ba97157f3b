"""The directory of a run: what was run (run.json), a folder a Node, what came out of it (result.json)."""

import fcntl
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import Field, ValidationError

from kubeswarm_api import names
from kubeswarm_api.base import Model
from kubeswarm_api.changes import changed_fields, refusals
from kubeswarm_api.swarm import SwarmSpec
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local.swarm_file import SwarmFile


class Start(Model):
    """One start of the run; `changed`: the fields of the spec that differ from the start before."""

    at: str
    changed: list[str] = Field(default_factory=list)


class RunFile(Model):
    """run.json."""

    format: Literal["kubeswarm.dev/run/1"] = "kubeswarm.dev/run/1"
    uid: str = Field(description="Makes this run's Swarm another than every other one.")
    source: str = Field(description="The file that it was first started with.")
    swarm: dict[str, Any] = Field(description="The Swarm, with all changes of the command line in it.")
    chain: bool
    share: bool
    model: str | None = Field(description="The directory that stands for the model's image or claim.")
    threads: int | None = Field(description="Threads a Node; None: an equal part of the cores.")
    starts: list[Start]

    @property
    def name(self) -> str:
        """The Swarm's name."""
        return self.swarm["metadata"]["name"]

    @property
    def spec(self) -> SwarmSpec:
        """The Swarm's spec."""
        return SwarmSpec.model_validate(self.swarm["spec"])

    @property
    def nodes(self) -> list[str]:
        """The Nodes' names, by index."""
        return [names.node_name(self.name, index) for index in range(self.spec.nodes)]


class RunDirectory:
    """One run's directory. Only one process at a time may hold it."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self._lock: TextIO | None = None

    @property
    def run_file(self) -> Path:
        return self.path / "run.json"

    @property
    def result_file(self) -> Path:
        return self.path / "result.json"

    def node(self, name: str) -> Path:
        """A Node's folder: config/, data/, log/, run/."""
        return self.path / name

    def data(self, name: str) -> Path:
        """What is on a Node's volume in a cluster."""
        return names.local_path(self.node(name), names.DATA_DIR)

    def hold(self) -> None:
        """Makes the directory and takes it for this process. Raises CommandError if another one has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CommandError(f"{self.path} is in use by another `kubeswarm run`: end that, or give --dir") from error

    def read(self) -> RunFile:
        """What was run here. Raises CommandError if this is no run's directory."""
        try:
            return RunFile.model_validate_json(self.run_file.read_bytes())
        except FileNotFoundError as error:
            raise CommandError(f"{self.path} is not the directory of a run: it has no run.json") from error
        except (OSError, ValidationError) as error:
            raise CommandError(f"{self.run_file} can't be read: {error}") from error

    def begin(
        self, file: SwarmFile, source: Path, *, chain: bool, share: bool, model: Path | None, threads: int | None
    ) -> RunFile:
        """Writes run.json, for a run that is new or goes on.

        Raises CommandError if what is there already was run with something that may not change.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        before = self.read() if self.run_file.exists() else None
        changed: list[str] = []
        if before is not None:
            self._check(before, file, chain, share)
            changed = changed_fields(before.spec, file.spec)
        run = RunFile(
            uid=before.uid if before else secrets.token_hex(16),
            source=before.source if before else str(source.resolve()),
            swarm=file.manifest,
            chain=chain,
            share=share,
            model=str(model) if model else None,
            threads=threads if threads is not None or before is None else before.threads,
            starts=[*(before.starts if before else []), Start(at=now, changed=changed)],
        )
        _replace(self.run_file, run.model_dump_json(by_alias=True, indent=2) + "\n")
        return run

    def _check(self, before: RunFile, file: SwarmFile, chain: bool, share: bool) -> None:
        problems = refusals(before.spec, file.spec)
        if before.name != file.name:
            problems.append(f"metadata.name: this was {before.name}")
        for option, old, new in (("--chain", before.chain, chain), ("--share", before.share, share)):
            if old != new:
                problems.append(f"{option}: it was {'on' if old else 'off'}, and records already name it so")
        if problems:
            lines = "\n".join(f"  {problem}" for problem in problems)
            raise CommandError(
                f"{self.path} can't go on with this:\n{lines}\nKeep it, or start anew with another --dir"
            )

    def write_result(self, text: str) -> None:
        """Replaces result.json."""
        _replace(self.result_file, text)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
