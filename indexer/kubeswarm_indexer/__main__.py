"""`python -m kubeswarm_indexer`: follows a chain and serves its log of runs; logs are JSON lines on standard error."""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import uvicorn

from kubeswarm_api.errors import InvalidConfig, KubeSwarmError
from kubeswarm_api.logs import JsonFormatter
from kubeswarm_api.names import INDEXER_PORT
from kubeswarm_contracts.chain import Chain
from kubeswarm_contracts.deployments import deployment
from kubeswarm_indexer import api
from kubeswarm_indexer.follow import Follower
from kubeswarm_indexer.store import Store
from kubeswarm_indexer.telemetry import Telemetry

log = logging.getLogger("kubeswarm_indexer")

#: The database may need a password, which has no place among a process's arguments.
DATABASE_ENV = "KUBESWARM_DATABASE_URL"
STOP_SECONDS = 10.0
#: Longer than the operator takes between two questions, or it would find its connection closed now and then.
KEEP_ALIVE_SECONDS = 75


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM; returns the exit status."""
    options = parse_options(arguments)
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    log.setLevel(logging.INFO)
    try:
        where = deployment(options.chain_id, options.deployment)
        store = Store(os.environ.get(DATABASE_ENV) or options.database, where)
        if options.dump:
            sys.stdout.buffer.writelines(store.dump())
            return 0
        try:
            chain = Chain(options.chain_url, where)
        except ValueError as error:
            raise InvalidConfig(str(error).replace("chain.url", "--chain-url")) from error
    except KubeSwarmError as error:
        print(f"kubeswarm-indexer: {error}", file=sys.stderr)
        return 2
    return _serve(chain, store, options)


def _serve(chain: Chain, store: Store, options: argparse.Namespace) -> int:
    telemetry, stop = Telemetry(), threading.Event()
    follower = Follower(chain, store, telemetry)
    app = api.create(store, follower, chain.deployment, telemetry)
    thread = threading.Thread(target=follower.run, args=(stop, options.poll_seconds), name="follow", daemon=True)
    thread.start()
    log.info("following", extra={"chainId": chain.deployment.chain_id, "chain": chain.rpc.name, "port": options.port})
    config = uvicorn.Config(
        app,
        options.host,
        options.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # uvicorn has a handler of its own, and then repeats the signal
    try:
        uvicorn.Server(config).run()  # returns after SIGTERM, when all requests are answered
    finally:
        stop.set()
        thread.join(STOP_SECONDS)
        store.close()
    log.info("stopped")
    return 0


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m kubeswarm_indexer", description=__doc__)
    parser.add_argument("--chain-url", default="http://127.0.0.1:8545", help="the chain's JSON-RPC endpoint")
    parser.add_argument("--chain-id", type=int, default=31337)
    parser.add_argument("--deployment", type=Path, help="contract addresses (JSON), for a chain that is not built in")
    parser.add_argument(
        "--database",
        default="sqlite:///run-log.db",
        metavar="URL",
        help=f"sqlite:///PATH or postgresql://...; {DATABASE_ENV} comes before it",
    )
    parser.add_argument("--poll-seconds", type=float, default=2.0, help="between looks at the chain")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104 it serves a cluster
    parser.add_argument("--port", type=int, default=INDEXER_PORT)
    parser.add_argument("--dump", action="store_true", help="print the whole log in canonical form, and end")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
