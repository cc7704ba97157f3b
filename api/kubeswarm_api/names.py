"""Names that several parts must agree on: labels, object names, containers, ports, environment, files."""

from pathlib import Path, PurePosixPath

# --- labels and field manager -------------------------------------------------------------------------------
APP_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
SWARM_LABEL = "kubeswarm.dev/swarm"
NODE_LABEL = "kubeswarm.dev/node"
ROLE_LABEL = "kubeswarm.dev/role"
#: Of the rollout pods that a queue lets in together with their head.
GANG_LABEL = "kubeswarm.dev/gang"
CONFIG_ANNOTATION = "kubeswarm.dev/config-digest"
APP = "kubeswarm"
FIELD_MANAGER = "kubeswarm-operator"
HEAD = "head"
ROLLOUT = "rollout"

# --- names of Swarms and Nodes ------------------------------------------------------------------------------
NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_PATTERN_MESSAGE = (
    "metadata.name must begin with a letter and hold only a-z, 0-9 and -, because Services are named after it"
)
MAX_SWARM_NAME = 40

# --- containers ---------------------------------------------------------------------------------------------
TRAINER_CONTAINER = "trainer"
ATTESTOR_CONTAINER = "attestor"
ROLLOUT_CONTAINER = "rollout"

# --- ports --------------------------------------------------------------------------------------------------
TRAINER_PORT = 9090  # /metrics, /status, /healthz
ROLLOUT_PORT = 9091
ATTESTOR_PORT = 9092
OPERATOR_PORT = 9093
INDEXER_PORT = 9094  # the log of runs, and /metrics, /healthz, /readyz
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

#: Seconds that an attestor takes after SIGTERM, at most, to bring what is pending to the chain.
LAST_ATTEMPT_SECONDS = 10

# --- files in pods ------------------------------------------------------------------------------------------
NODE_CONFIG_FILE = PurePosixPath("/etc/kubeswarm/node/node.json")
IDENTITY_KEY_FILE = PurePosixPath("/etc/kubeswarm/identity/key")
#: In the place of a key: the URL of a service that holds it, and the key's address.
IDENTITY_SIGNER_FILE = IDENTITY_KEY_FILE.with_name("signer-url")
IDENTITY_ADDRESS_FILE = IDENTITY_KEY_FILE.with_name("address")
EXCHANGE_CREDENTIALS_FILE = PurePosixPath("/etc/kubeswarm/exchange/nats.creds")
RAY_TOKEN_FILE = PurePosixPath("/etc/kubeswarm/ray/token")
#: ConfigMaps with an environment's code and data, a directory each.
ENVIRONMENT_FILES = PurePosixPath("/etc/kubeswarm/environment")
MODEL_DIR = PurePosixPath("/model")
DATA_DIR = PurePosixPath("/var/lib/kubeswarm")
#: What lies in DATA_DIR; ENVIRONMENTS_DIR: packages that environments ask for, a virtual environment each.
ENVIRONMENTS_DIR = DATA_DIR / "environments"
CHECKPOINTS = "checkpoints"
SPOOL = "spool"
STORED_ROUNDS = "rollouts"
HISTORY = "history.jsonl"
HELD_OUT = "held-out.json"
TRAINED_MODEL = "model"
ATTESTOR_SOCKET = PurePosixPath("/run/kubeswarm/attestor.sock")
OPERATOR_CONFIG_FILE = PurePosixPath("/etc/kubeswarm/operator/operator.yaml")

# --- workers on a bare machine -------------------------------------------------------------------------------
#: The directory of one Node's files, what is added to each port, and how many Nodes share the machine's cores.
ROOT_ENV = "KUBESWARM_ROOT"
PORT_OFFSET_ENV = "KUBESWARM_PORT_OFFSET"
NEIGHBOURS_ENV = "KUBESWARM_NODES_HERE"
#: The head of a rollout process, as host:port, where its Service is not known to DNS.
HEAD_ENV = "KUBESWARM_HEAD"
_LOCAL = {PurePosixPath("/etc/kubeswarm"): "config", DATA_DIR: "data", ATTESTOR_SOCKET.parent: "run"}


def local_path(root: Path, name: PurePosixPath) -> Path:
    """Where a file of a Node is on a bare machine: the same one, in config/, data/ or run/ under `root`."""
    for folder, short in _LOCAL.items():
        if name.is_relative_to(folder):
            return root / short / name.relative_to(folder)
    raise ValueError(f"{name} has no place on a bare machine")


# --- keys in Secrets and ConfigMaps -------------------------------------------------------------------------
IDENTITY_KEY = "key"
IDENTITY_SIGNER_KEY = "signer-url"
IDENTITY_ADDRESS_KEY = "address"
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


def gang_name(node: str) -> str:
    """The Deployment of the rollout pods that a queue lets in together with their head."""
    return f"{node}-gang"


def config_name(node: str) -> str:
    """The ConfigMap with the Node's configuration."""
    return f"{node}-config"


def earlier_name(node: str) -> str:
    """The ControllerRevision with the pods that a Node goes back to where a change of them fails."""
    return f"{node}-earlier"


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
