"""Where a worker's files and ports are: those of `kubeswarm_api.names` in a pod, moved aside on a bare machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kubeswarm_api import names


@dataclass(frozen=True)
class Place:
    """All files are under `root`, `port_offset` is added to every port, so that Nodes can share one machine."""

    root: Path = Path("/")
    port_offset: int = 0

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Place":
        """The place that KUBESWARM_ROOT and KUBESWARM_PORT_OFFSET name; a pod sets neither."""
        return cls(Path(env.get(names.ROOT_ENV, "/")), int(env.get(names.PORT_OFFSET_ENV, "0")))

    @property
    def in_pod(self) -> bool:
        """Whether this is the pod's own layout: only then do other pods have to reach this process."""
        return self.root == Path("/")

    def path(self, name: PurePosixPath) -> Path:
        """A file of `names`; on a bare machine in config/, data/ or run/ under the root."""
        return Path(name) if self.in_pod else names.local_path(self.root, name)

    @property
    def host(self) -> str:
        """Where to listen: in a pod for other pods, on a bare machine for nobody but its own users."""
        return "" if self.in_pod else "127.0.0.1"

    def port(self, port: int) -> int:
        """A port of `names`, moved by the offset."""
        return port + self.port_offset

    @property
    def checkpoints(self) -> Path:
        """A directory a finished round."""
        return self.path(names.DATA_DIR) / names.CHECKPOINTS

    @property
    def spool(self) -> Path:
        """A round record a finished round, for the attestor."""
        return self.path(names.DATA_DIR) / names.SPOOL

    @property
    def stored_rounds(self) -> Path:
        """What each round's update consumed."""
        return self.path(names.DATA_DIR) / names.STORED_ROUNDS

    @property
    def held_out(self) -> Path:
        """The held-out measurements."""
        return self.path(names.DATA_DIR) / names.HELD_OUT

    @property
    def history(self) -> Path:
        """A line a finished round."""
        return self.path(names.DATA_DIR) / names.HISTORY

    @property
    def trained_model(self) -> Path:
        """The model at the end, in Hugging Face format."""
        return self.path(names.DATA_DIR) / names.TRAINED_MODEL
