"""Reads the Node's configuration from its mounted file."""

from pydantic import ValidationError

from kubeswarm_api import names
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_workers.place import Place


def read(place: Place) -> NodeConfig:
    """The configuration. Raises InvalidConfig, naming file and field."""
    path = place.path(names.NODE_CONFIG_FILE)
    try:
        return NodeConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidConfig(f"{path}: {error.strerror}: mount the Node's ConfigMap there") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidConfig(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def engines(config: NodeConfig) -> int:
    """How many engines the Node has: one a rollout pod, or one in the head pod where there are none."""
    return max(1, config.training.rollout.workers)
