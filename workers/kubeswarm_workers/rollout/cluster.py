"""The Ray processes of one container: started as a child that cannot outlive us, with pinned ports and a token."""

import contextlib
import ctypes
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from kubeswarm_api import names
from kubeswarm_workers.durable import replace_file
from kubeswarm_workers.metrics import DIRECTORY_ENV
from kubeswarm_workers.place import Place
from kubeswarm_workers.stopping import Stopped

#: Messages of weights pass through the store one at a time (weights.CHUNK_BYTES), requests and samples beside them.
STORE_BYTES = 256 * 1024 * 1024
#: Ray's client server can't be left out. It asks for the token like the rest, and nothing connects to it.
CLIENT_PORT = 6386
#: What Ray's workers may take to end once Ray has.
WORKER_SECONDS = 5.0
#: Where Ray listens in every container.
PINNED_PORTS = (
    names.RAY_NODE_MANAGER_PORT,
    names.RAY_OBJECT_MANAGER_PORT,
    names.RAY_RUNTIME_ENV_AGENT_PORT,
    names.RAY_AGENT_GRPC_PORT,
    names.RAY_AGENT_LISTEN_PORT,
    names.RAY_METRICS_PORT,
    CLIENT_PORT,
)
log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """In a child between fork and exec: the kernel kills it when its parent is gone, and Ray's processes with it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def use_token(place: Place) -> None:
    """Turns Ray's token authentication on, for this process and its children.

    Ray reads this when it is imported. In a pod the token is mounted; on a bare machine it is made at the same place
    under the root.
    """
    path = place.path(names.RAY_TOKEN_FILE)
    if not path.exists():
        replace_file(path, secrets.token_hex(32).encode())
        path.chmod(0o600)
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)


@dataclass
class RayProcesses:
    """`ray start --block` and its files. `address` is where the head's control service listens, `ports` are this
    container's own; `said` is what it prints."""

    command: list[str]
    environment: dict[str, str]
    ports: list[int]
    directory: Path
    metrics: Path
    address: str

    def __post_init__(self) -> None:
        self.said = self.directory / "said"
        self._wanted = True
        self.begin()

    def begin(self) -> None:
        """Starts it, also once more after it has failed. Call it from the main thread: the child dies with the thread
        that made it. Raises TimeoutError if the ports stay taken."""
        wait_until_free(self.ports)
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=said, preexec_fn=die_with_parent)

    @property
    def started(self) -> bool:
        """Whether Ray says so."""
        return b"Ray runtime started" in self.said.read_bytes()

    def take_along(self, stopping: Callable[[], bool]) -> None:
        """Ends this process, with exit code 1, once Ray has ended and neither `stop` nor who is `stopping` is why.

        What waits for Ray would wait for its control service to come back, for a minute, and then end without a word.
        """

        def wait() -> None:
            code = self.process.wait()
            if self._wanted and not stopping():
                log.error("Ray has ended, and this process with it", extra={"cause": f"`ray start` ended with {code}"})
                os._exit(1)

        threading.Thread(target=wait, name="ray", daemon=True).start()

    def stop(self, seconds: float = 10.0) -> None:
        """Ends Ray and everything that it started, by force what takes longer, and removes its files."""
        self._wanted = False
        if self.process.poll() is None:
            # Its workers end by themselves when they notice that Ray has, unless they are busy.
            started = psutil.Process(self.process.pid).children(recursive=True)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
            self.process.kill()
            self.process.wait()
            _, left = psutil.wait_procs(started, WORKER_SECONDS)
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, WORKER_SECONDS)
        shutil.rmtree(self.directory, ignore_errors=True)


def start(place: Place, *, head: str | None, engines: int) -> RayProcesses:
    """Starts Ray in this container: as the head (`head` None) or joined to the head at that host:port.

    `engines`: how many engines may run here. From the main thread, as `RayProcesses.begin`; raises what it does.
    """
    directory = Path(tempfile.mkdtemp(prefix="kubeswarm-ray-"))
    metrics = directory / "metrics"
    metrics.mkdir()
    host = _own_address(place)
    address = head or f"{host}:{place.port(names.RAY_PORT)}"
    first, last = names.RAY_WORKER_PORTS
    arguments = [
        f"--node-ip-address={host}",
        f"--node-manager-port={place.port(names.RAY_NODE_MANAGER_PORT)}",
        f"--object-manager-port={place.port(names.RAY_OBJECT_MANAGER_PORT)}",
        f"--runtime-env-agent-port={place.port(names.RAY_RUNTIME_ENV_AGENT_PORT)}",
        f"--dashboard-agent-grpc-port={place.port(names.RAY_AGENT_GRPC_PORT)}",
        f"--dashboard-agent-listen-port={place.port(names.RAY_AGENT_LISTEN_PORT)}",
        f"--metrics-export-port={place.port(names.RAY_METRICS_PORT)}",
        f"--min-worker-port={place.port(first)}",
        f"--max-worker-port={place.port(last)}",
        "--num-cpus=0",
        f'--resources={{"{names.RAY_ENGINE_RESOURCE}": {engines}}}' if engines else "--resources={}",
        f"--object-store-memory={STORE_BYTES}",
        "--disable-usage-stats",
        "--include-log-monitor=false",
        "--block",
    ]
    if head is None:
        arguments += [
            "--head",
            f"--port={place.port(names.RAY_PORT)}",
            "--include-dashboard=false",
            "--no-monitor",
            f"--ray-client-server-port={place.port(CLIENT_PORT)}",
            f"--temp-dir={directory}",
        ]
    else:
        arguments.append(f"--address={address}")
    environment = {
        **os.environ,
        DIRECTORY_ENV: str(metrics),
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",  # Ray's processes have many threads and little to allocate in each
        "RAY_worker_niceness": "0",  # or another Node's learner on the same machine takes the engines' time
        "RAY_memory_monitor_refresh_ms": "0",  # the container's own limit is the one that counts
        "RAY_enable_metrics_collection": "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # engines see the GPUs of their container
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments]
    ports = [place.port(port) for port in (*PINNED_PORTS, *([] if head else [names.RAY_PORT]))]
    return RayProcesses(command, environment, ports, directory, metrics, address)


def wait_until_free(ports: Sequence[int], seconds: float = 120.0) -> None:
    """Waits for processes of a predecessor that was killed: some notice it only after a minute, and Ray dies of a
    taken port long after its start. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    for port in ports:
        while True:
            try:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("", port))
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"port {port} is taken ({error}): stop what listens there") from error
                time.sleep(0.2)


def connect(ray_processes: RayProcesses, stopping: Callable[[], bool]) -> None:
    """Connects this process to its head as the driver, and its end to the head's. Raises TimeoutError, Stopped."""
    import ray

    wait_until_started(ray_processes, stopping)
    ray_processes.take_along(stopping)
    with _own_signal_handlers():
        ray.init(
            address=ray_processes.address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
        )


def wait_until_started(ray_processes: RayProcesses, stopping: Callable[[], bool], seconds: float = 240.0) -> None:
    """Waits for Ray's head. Ray gives its own start 30 s, which a busy machine may not keep: then it is started again.

    Raises TimeoutError, Stopped.
    """
    deadline = time.monotonic() + seconds
    while not ray_processes.started:
        if stopping():
            raise Stopped
        if time.monotonic() > deadline:
            raise TimeoutError(f"Ray did not start within {seconds:g} s: see its words above, and free some CPU for it")
        if (code := ray_processes.process.poll()) is not None:
            log.warning("Ray's start failed, and is made again", extra={"code": code})
            ray_processes.begin()
        time.sleep(0.1)


def disconnect() -> None:
    """Ends the connection to the head; before Ray is stopped, or Ray would end this process too."""
    import ray

    with _own_signal_handlers():
        ray.shutdown()


@contextlib.contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Ray puts handlers of its own in place of ours when it starts and the default ones when it ends: both would end
    this process at once."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _own_address(place: Place) -> str:
    if not place.in_pod:
        return "127.0.0.1"
    import ray

    return os.environ.get("POD_IP") or ray.util.get_node_ip_address()
