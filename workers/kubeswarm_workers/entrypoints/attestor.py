"""The head's sidecar: holds the Node's key, signs for the trainer, attests finished rounds. /metrics and /status.

Exit codes: 0 after SIGTERM, 1 after a failure. It may be killed at any instant: the chain and the spool are its memory.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from kubeswarm_api import names
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.node_config import ChainConfig, NodeConfig
from kubeswarm_contracts import Account, Chain, Deployment, FeeCaps, Transactor, node_id
from kubeswarm_workers import config as configuration
from kubeswarm_workers import logs
from kubeswarm_workers.attest.loop import Attestor
from kubeswarm_workers.attest.server import serve, status_app, trainer_app
from kubeswarm_workers.attest.spool import Author, Spool
from kubeswarm_workers.attest.verifier import Verifier
from kubeswarm_workers.place import Place

log = logging.getLogger("kubeswarm_workers.attestor")

#: Seconds for bringing what is pending to the chain after SIGTERM: as a native sidecar it ends after the trainer.
LAST_ATTEMPT_SECONDS = float(names.LAST_ATTEMPT_SECONDS)


def main() -> int:
    """Runs until SIGTERM."""
    logs.configure()
    place = Place.from_env()
    try:
        config = configuration.read(place)
        account = open_account(place)
        return asyncio.run(run(config, account, place))
    except Exception as error:  # the last door: everything ends in the log with its cause
        log.exception("attestor failed", extra={"cause": f"{type(error).__name__}: {error}"})
        return 1


async def run(config: NodeConfig, account: Account, place: Place) -> int:
    """Serves, and attests from a thread, which chain and disk may keep waiting."""
    if config.chain is None:
        raise InvalidConfig("chain: an attestor needs a chain to attest on: set the operator's chain.url")
    node = config.node_id or node_id(account.address)
    spool = Spool(place.spool, Author(config.chain.chain_id, config.chain.node_registry, config.swarm_id, node))
    transactor = Transactor(chain_of(config.chain), account, FeeCaps.of(config.chain.gas))
    attestor = Attestor(config, config.chain, transactor, node, spool)
    verifier = Verifier(chain_of(config.chain), config.swarm_id)
    trainer = trainer_app(attestor, account, config.swarm_id, verifier)

    stop, ended = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    status = place.host, place.port(names.ATTESTOR_PORT)
    runners = await serve(trainer, status_app(attestor), place.path(names.ATTESTOR_SOCKET), *status)
    thread = threading.Thread(target=attestor.run, args=(stop,), name="attest", daemon=True)
    thread.start()
    log.info("attestor started", extra={"node": node, "swarm": config.swarm_id})
    await ended.wait()
    log.info("stopping")
    stop.set()
    await asyncio.to_thread(thread.join, LAST_ATTEMPT_SECONDS)
    for runner in runners:
        await runner.cleanup()
    return 0


def open_account(place: Place) -> Account:
    """The account whose key, or whose signer's URL and address, is mounted. Raises InvalidConfig."""
    signer = place.path(names.IDENTITY_SIGNER_FILE)
    if not signer.exists():
        return Account.from_file(place.path(names.IDENTITY_KEY_FILE))
    address = _read(place.path(names.IDENTITY_ADDRESS_FILE))
    try:
        return Account.remote(_read(signer), address)
    except InvalidConfig as error:
        raise InvalidConfig(f"{signer.parent}: {error}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise InvalidConfig(f"{path} can't be read ({error.strerror})") from error


def chain_of(config: ChainConfig) -> Chain:
    """The chain with the contracts that the operator found on it."""
    deployment = Deployment(
        chain_id=config.chain_id,
        eas=config.eas,
        schema_registry=config.eas,  # nothing is registered from here
        node_registry=config.node_registry,
        swarm_registry=config.swarm_registry,
        resolver=config.resolver,
        schema_uid=config.schema_uid,
        block=0,
    )
    return Chain(config.url, deployment)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a transaction may still be waited for
