"""Finds the directory of a Node's volume: in a run's directory, or copied out of a pod."""

from dataclasses import dataclass
from pathlib import Path

from kubeswarm_api import names
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.records import RoundRecord, check_chain
from kubeswarm_api.stored import SUFFIX, StoredRound
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local.directory import RunDirectory

HOW_TO_COPY = "`kubectl cp NAMESPACE/NODE-head-0:/var/lib/kubeswarm DIR -c trainer` copies a Node's volume"


@dataclass(frozen=True)
class Volume:
    """A Node's. `model`: the base model's directory or name on a hub, where that is known; `node`: its name."""

    node: str
    data: Path
    model: str | None

    @property
    def rounds(self) -> dict[int, Path]:
        """The files of the stored rounds, by round."""
        folder = self.data / names.STORED_ROUNDS
        paths = sorted(folder.glob(f"round-*{SUFFIX}"))
        return {int(path.name.removeprefix("round-").removesuffix(SUFFIX)): path for path in paths}

    def records(self) -> list[RoundRecord]:
        """The records of all finished rounds. Raises CommandError if they are none or do not form a chain."""
        try:
            found = records(self.data)
            check_chain(found)
        except (InvalidRecord, OSError) as error:
            raise CommandError(f"{self.data / names.SPOOL}: {error}") from error
        if not found:
            raise CommandError(f"{self.node}: no round is finished")
        return found

    def read(self, round: int) -> StoredRound:
        """A stored round. Raises CommandError if it is not there (any more)."""
        path = self.rounds.get(round)
        if path is None:
            kept = list(self.rounds)
            there = f"rounds {kept[0]} to {kept[-1]} are" if kept else "no round is"
            raise CommandError(f"{self.node}: what round {round} learnt is not stored: {there}")
        try:
            return StoredRound.from_bytes(path.read_bytes())
        except (InvalidRecord, OSError) as error:
            raise CommandError(f"{path}: {error}") from error


def records(data: Path) -> list[RoundRecord]:
    """The records on a volume, by round. Raises InvalidRecord, OSError."""
    return [RoundRecord.from_bytes(path.read_bytes()) for path in sorted((data / names.SPOOL).glob("[0-9]*.json"))]


def find(path: Path, node: str | None = None) -> list[Volume]:
    """The volumes at `path`, of one Node or of all. Raises CommandError if there are none."""
    path = path.expanduser()
    if any((path / each).is_dir() for each in (names.STORED_ROUNDS, names.CHECKPOINTS, names.SPOOL)):
        return [Volume(node or path.resolve().name, path, None)]
    directory = RunDirectory(path)
    if not directory.run_file.exists():
        raise CommandError(f"{path} is neither a run's directory nor a Node's volume: {HOW_TO_COPY}")
    run = directory.read()
    if node is not None and node not in run.nodes:
        raise CommandError(f"{path} has no Node {node}: there are {', '.join(run.nodes)}")
    source = run.spec.model
    model = source.hub or (str(Path(run.model) / source.path) if run.model else None)
    return [Volume(each, directory.data(each), model) for each in run.nodes if node in (None, each)]


def find_one(path: Path, node: str | None) -> Volume:
    """The volume at `path`. Raises CommandError if there are several to choose from."""
    found = find(path, node)
    if len(found) > 1:
        raise CommandError(f"{path} has several Nodes: choose one with --node {found[0].node}")
    return found[0]
