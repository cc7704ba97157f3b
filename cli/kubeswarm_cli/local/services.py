"""What several Nodes share: a development chain (anvil) with the contracts on it, and the exchange (nats-server).

Both listen on the loopback interface alone and ask nobody who they are: whoever has an account on this machine can use
them, as with every development chain. What Nodes take from one another is signed and checked as in a cluster.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nats
import nats.errors
import nats.js.errors
from nats.js.api import StreamConfig

from kubeswarm_api.encoding import digest
from kubeswarm_api.exchange import stream_settings
from kubeswarm_api.names import stream_name
from kubeswarm_api.node_config import ChainConfig, ExchangeConfig
from kubeswarm_api.records import Address, Digest
from kubeswarm_api.rollouts import MAX_MESSAGE_BYTES
from kubeswarm_api.spec_training import TrainingSpec
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local import ports, programs
from kubeswarm_cli.local.processes import Process, tail
from kubeswarm_contracts import Account, Chain, ChainError, Transactor, deployment, devchain, swarm_id
from kubeswarm_contracts.deploy import DEVELOPMENT_CHAIN, DEVELOPMENT_KEY, deploy

START_SECONDS = 60.0
#: Between blocks of the chain, and between copies of it.
BLOCK_SECONDS, COPY_SECONDS = "1", "60"
STREAM_BYTES = 256 * 1024 * 1024
#: Ether for a Node's key: of no worth here.
GAS_MONEY = 100 * 10**18


class LocalChain:
    """anvil under devchain, with a state that outlives any kill. What is lost then the attestors bring again."""

    def __init__(self, folder: Path) -> None:
        program = programs.anvil()
        if program is None:
            raise CommandError(
                f"sharing and --chain need anvil, and it is not on PATH: install it ({programs.ANVIL}), or give "
                "--no-share, with which Nodes learn alone and nothing is attested"
            )
        port = ports.free_port()
        self.url = f"http://127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-I", devchain.__file__, folder / "state.json", BLOCK_SECONDS, COPY_SECONDS,
            program, "--quiet", "--host=127.0.0.1", f"--port={port}", f"--chain-id={DEVELOPMENT_CHAIN}",
        ]  # fmt: skip
        self.process = Process("the chain (anvil)", command, folder / "log", {})
        self._chain = Chain(self.url, deployment(DEVELOPMENT_CHAIN))
        self._owner = Account(DEVELOPMENT_KEY)

    def start(self, uid: str, training: TrainingSpec) -> tuple[ChainConfig, Digest]:
        """Starts it, puts contracts and Swarm on it where they are missing; its configuration and the Swarm's id."""
        self.process.start()
        _wait(self.process, lambda: self._chain.wait(START_SECONDS))
        for _ in deploy(self._chain, self._owner):
            pass
        salt = digest(uid.encode())
        Transactor(self._chain, self._owner).create_swarm(salt, training.training_digest())
        return self._chain.deployment.config(self.url), swarm_id(self._owner.address, salt)

    def fund(self, address: Address) -> None:
        """Gives a Node's key what its transactions cost."""
        self._chain.rpc.request("anvil_setBalance", address, hex(GAS_MONEY))


class LocalExchange:
    """nats-server, with what it stored."""

    def __init__(self, folder: Path) -> None:
        program = programs.nats_server()
        if program is None:
            raise CommandError(
                f"sharing needs nats-server, and it is not on PATH: install it ({programs.NATS_SERVER}), or give "
                "--no-share, with which Nodes learn alone"
            )
        port = ports.free_port()
        self.url = f"nats://127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        conf = folder / "nats.conf"
        conf.write_text(
            f'listen: "127.0.0.1:{port}"\nmax_payload: {MAX_MESSAGE_BYTES}\n'
            f"jetstream {{ store_dir: {json.dumps(str(folder))}, max_file_store: {4 * STREAM_BYTES} }}\n"
        )
        self.process = Process("the exchange (nats-server)", [program, "-c", conf], folder / "log", {})

    def start(self, swarm_id: Digest) -> ExchangeConfig:
        """Starts it, makes the Swarm's stream where it is missing, and returns its configuration."""
        self.process.start()
        _wait(self.process, lambda: asyncio.run(_ensure_stream(self.url, swarm_id)))
        return ExchangeConfig(url=self.url)


async def _ensure_stream(url: str, swarm_id: Digest) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            client = await nats.connect(
                url, allow_reconnect=False, reconnect_time_wait=0, connect_timeout=2, error_cb=_ignore
            )
            break
        except (OSError, nats.errors.Error):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)
    try:
        jetstream = client.jetstream(timeout=START_SECONDS)
        try:
            await jetstream.stream_info(stream_name(swarm_id))
        except nats.js.errors.NotFoundError:
            settings = StreamConfig(**stream_settings(swarm_id, STREAM_BYTES))
            # Sequence numbers are Nodes' cursors: a stream that was lost goes on above what they have read.
            await jetstream.add_stream(settings, first_seq=time.time_ns() // 1_000_000)
    finally:
        await client.close()


async def _ignore(_: Exception) -> None:
    """What the client reports in the background is also raised by the call that it belongs to."""


def _wait(process: Process, answers: Callable[[], None]) -> None:
    """Waits until a service answers. Raises CommandError with the end of its log."""
    try:
        answers()
    except (ChainError, OSError, nats.errors.Error) as error:
        raise CommandError(
            f"{process.name} does not answer ({error})\nThe end of its log:\n{tail(process.log)}"
        ) from error
