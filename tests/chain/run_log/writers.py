"""Followers of a chain that write logs, one or several into the same database."""

import threading
from typing import Any

from kubeswarm_contracts import Chain
from kubeswarm_indexer.follow import Follower, Moved
from kubeswarm_indexer.store import Store
from kubeswarm_indexer.telemetry import Telemetry
from tests.chain.run_log.history import History


def follow(chain: Chain, store: Store) -> Telemetry:
    """Brings a log up to date, and returns what the follower counted."""
    telemetry = Telemetry()
    Follower(chain, store, telemetry).catch_up()
    return telemetry


def write_together(anvil: Any, history: History, stores: list[Store]) -> None:
    """Stores with one database follow the chain at once while much happens on it; then the first once more."""
    history.begin()
    failures: list[Exception] = []
    done = threading.Event()

    def write(store: Store) -> None:
        while not done.is_set():
            try:
                follow(anvil.chain, store)
            except Moved:
                pass
            except Exception as error:
                failures.append(error)
                return

    writers = [threading.Thread(target=write, args=(store,)) for store in stores]
    for writer in writers:
        writer.start()
    for number in range(8):
        history.act()
        if number % 3 == 2:
            history.reorganise(2)
    done.set()
    for writer in writers:
        writer.join(60)
    assert failures == []
    follow(anvil.chain, stores[0])
