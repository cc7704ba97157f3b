"""The operator's configuration file, and where it runs."""

import os
import socket
from pathlib import Path

import yaml
from pydantic import ValidationError

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.names import OPERATOR_CONFIG_FILE, OPERATOR_PORT
from kubeswarm_api.operator_config import OperatorConfig

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def load(path: Path | None = None) -> OperatorConfig:
    """The configuration. Raises InvalidConfig naming the file and the field."""
    path = path or Path(os.environ.get("KUBESWARM_OPERATOR_CONFIG", str(OPERATOR_CONFIG_FILE)))
    try:
        return OperatorConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidConfig(
            f"{path} can't be read ({error.strerror}): mount the operator's configuration there"
        ) from error
    except yaml.YAMLError as error:
        raise InvalidConfig(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidConfig(f"{path}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from error


def own_namespace() -> str:
    """The namespace that the operator runs in."""
    if "POD_NAMESPACE" in os.environ:
        return os.environ["POD_NAMESPACE"]
    return _NAMESPACE_FILE.read_text(encoding="utf-8").strip() if _NAMESPACE_FILE.exists() else "default"


def port() -> int:
    """The port of the operator's endpoint; another one where several replicas share a machine."""
    return int(os.environ.get("KUBESWARM_OPERATOR_PORT", OPERATOR_PORT))


def identity() -> str:
    """This replica in the Lease: its pod's name and a random part, as a restarted container is another replica."""
    return f"{os.environ.get('POD_NAME', socket.gethostname())}_{os.urandom(4).hex()}"
