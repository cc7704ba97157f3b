"""Where a worker's files and ports are: those of `kubeswarm_api.names` in a pod, moved aside on a bare machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kubeswarm_api import names

ROOT_ENV = "KUBESWARM_ROOT"
PORT_OFFSET_ENV = "KUBESWARM_PORT_OFFSET"


@dataclass(frozen=True)
class Place:
    """`root` is put before every path, `port_offset` added to every port, so that Nodes can share one machine."""

    root: Path = Path("/")
    port_offset: int = 0

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Place":
        """The place that KUBESWARM_ROOT and KUBESWARM_PORT_OFFSET name; a pod sets neither."""
        return cls(Path(env.get(ROOT_ENV, "/")), int(env.get(PORT_OFFSET_ENV, "0")))

    @property
    def in_pod(self) -> bool:
        """Whether this is the pod's own layout: only then do other pods have to reach this process."""
        return self.root == Path("/")

    def path(self, name: PurePosixPath) -> Path:
        """A file of `names`, under the root."""
        return self.root / name.relative_to("/")

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
    def held_out(self) -> Path:
        """The held-out measurements."""
        return self.path(names.DATA_DIR) / "held-out.json"

    @property
    def trained_model(self) -> Path:
        """The model at the end, in Hugging Face format."""
        return self.path(names.DATA_DIR) / "model"
