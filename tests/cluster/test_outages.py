"""A chain or an exchange that goes away is told within 30 s of Node and Swarm, whether it dies or falls silent."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chain.conftest import Anvil
from tests.cluster.conftest import LIGHT, Starter
from tests.cluster.control_plane import ControlPlane, until
from tests.cluster.manifests import UNJUDGED, swarm
from tests.cluster.outside import chain_settings, deploy_on, keyring_of
from tests.cluster.told import Told
from tests.unit.exchange.conftest import Server

#: Connections are refused, or taken and never answered.
ENDINGS = pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "falls silent"])
#: The chart's, in seconds.
CHAIN_POLL = 5.0


@ENDINGS
def test_a_chain_that_goes_away(
    cluster: ControlPlane,
    namespace: str,
    start: Starter,
    account: Path,
    told: Told,
    told_of: Callable[..., None],
    ending: signal.Signals,
) -> None:
    anvil = Anvil()
    try:
        deploy_on(anvil)
        start(chain={**chain_settings(anvil.url, account), "pollSeconds": CHAIN_POLL})
        cluster.apply(swarm(namespace, nodes=1, template=UNJUDGED))
        for kind, name in LIGHT:
            until(lambda k=kind, n=name: cluster.reason(namespace, k, n, "ChainSynced", "Synced"), 60, "ChainSynced")
        told.cause()
        anvil.process.send_signal(ending)
        told_of("ChainSynced", "ChainUnreachable")
    finally:
        anvil.process.kill()  # what was stopped hears of nothing else
        anvil.process.wait(20)


@ENDINGS
def test_an_exchange_that_goes_away(
    cluster: ControlPlane,
    namespace: str,
    start: Starter,
    exchange: Server,
    told: Told,
    told_of: Callable[..., None],
    ending: signal.Signals,
) -> None:
    """No trainer says so: there is none yet."""
    secret = f"exchange-{namespace}"
    start(exchange={"url": exchange.url, "secret": secret})
    exchange.keyring = until(lambda: keyring_of(cluster, secret), 20, "the exchange's Secret")
    exchange.start()
    assert exchange.process is not None
    cluster.apply(swarm(namespace, nodes=1, template=UNJUDGED))
    for kind, name in LIGHT:
        until(lambda k=kind, n=name: cluster.reason(namespace, k, n, "ExchangeReady", "Connected"), 60, "connected")
    told.cause()
    exchange.process.send_signal(ending)
    told_of("ExchangeReady", "ExchangeUnreachable")
