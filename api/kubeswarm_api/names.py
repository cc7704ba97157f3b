"""Names that several parts must agree on: labels, object names, containers, ports, environment, files."""

from pathlib import PurePosixPath

# --- labels and field manager -------------------------------------------------------------------------------
APP_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
SWARM_LABEL = "kubeswarm.dev/swarm"
NODE_LABEL = "kubeswarm.dev/node"
ROLE_LABEL = "kubeswarm.dev/role"
CONFIG_ANNOTATION = "kubeswarm.dev/config-digest"
APP = "kubeswarm"
FIELD_MANAGER = "kubeswarm-operator"
HEAD = "head"
ROLLOUT = "rollout"

# --- containers ---------------------------------------------------------------------------------------------
TRAINER_CONTAINER = "trainer"
ATTESTOR_CONTAINER = "attestor"
ROLLOUT_CONTAINER = "rollout"

# --- ports --------------------------------------------------------------------------------------------------
TRAINER_PORT = 9090  # /metrics, /status, /healthz
ROLLOUT_PORT = 9091
ATTESTOR_PORT = 9092
OPERATOR_PORT = 9093
RAY_PORT = 6379
#: Ray's other listeners are pinned, so that a network policy can name them (first and last, inclusive).
RAY_NODE_MANAGER_PORT = 6380
RAY_OBJECT_MANAGER_PORT = 6381
RAY_RUNTIME_ENV_AGENT_PORT = 6382
RAY_AGENT_GRPC_PORT = 6383
RAY_AGENT_LISTEN_PORT = 6384
RAY_METRICS_PORT = 6385
RAY_WORKER_PORTS = (10002, 10199)
#: The Ray resource that a rollout pod offers, one unit an engine.
RAY_ENGINE_RESOURCE = "engine"

# --- files in pods ------------------------------------------------------------------------------------------
NODE_CONFIG_FILE = PurePosixPath("/etc/kubeswarm/node/node.json")
IDENTITY_KEY_FILE = PurePosixPath("/etc/kubeswarm/identity/key")
EXCHANGE_CREDENTIALS_FILE = PurePosixPath("/etc/kubeswarm/exchange/nats.creds")
RAY_TOKEN_FILE = PurePosixPath("/etc/kubeswarm/ray/token")
#: ConfigMaps with an environment's code and data, a directory each.
ENVIRONMENT_FILES = PurePosixPath("/etc/kubeswarm/environment")
MODEL_DIR = PurePosixPath("/model")
DATA_DIR = PurePosixPath("/var/lib/kubeswarm")
#: Packages that environments ask for, a virtual environment each.
ENVIRONMENTS_DIR = DATA_DIR / "environments"
CHECKPOINTS = "checkpoints"
SPOOL = "spool"
ATTESTOR_SOCKET = PurePosixPath("/run/kubeswarm/attestor.sock")
OPERATOR_CONFIG_FILE = PurePosixPath("/etc/kubeswarm/operator/operator.yaml")

# --- keys in Secrets and ConfigMaps -------------------------------------------------------------------------
IDENTITY_KEY = "key"
RAY_TOKEN_KEY = "token"
CREDENTIALS_KEY = "nats.creds"
NODE_CONFIG_KEY = "node.json"


def node_name(swarm: str, index: int) -> str:
    """The name of a Swarm's Node."""
    return f"{swarm}-{index}"


def budget_name(swarm: str) -> str:
    """The disruption budget of a Swarm's heads."""
    return f"{swarm}-heads"


def head_name(node: str) -> str:
    """The StatefulSet of the head, and its headless Service."""
    return f"{node}-head"


def rollout_name(node: str) -> str:
    """The Deployment of the rollout pods."""
    return f"{node}-rollout"


def config_name(node: str) -> str:
    """The ConfigMap with the Node's configuration."""
    return f"{node}-config"


def claim_name(node: str) -> str:
    """The claim of checkpoints and spool."""
    return f"{node}-data"


def identity_name(node: str) -> str:
    """The Secret with the Node's key; it outlives the Node unless told otherwise."""
    return f"{node}-identity"


def ray_token_name(node: str) -> str:
    """The Secret with the token of the Node's Ray cluster."""
    return f"{node}-ray"


def credentials_name(node: str) -> str:
    """The Secret with the Node's credentials for the exchange."""
    return f"{node}-exchange"


def stream_name(swarm_id: str) -> str:
    """The JetStream stream of a Swarm. `swarm_id`: 0x and 64 hex digits."""
    return f"SWARM_{swarm_id[2:18]}"


def groups_subject(swarm_id: str, node_id: str) -> str:
    """The subject that one Node publishes its rollouts on; `node_id` "*" means all of them."""
    return f"kubeswarm.{swarm_id[2:18]}.groups.{node_id}"


def inbox_prefix(node_id: str) -> str:
    """The prefix of the reply subjects that one Node may use."""
    return f"_INBOX_{node_id}"
