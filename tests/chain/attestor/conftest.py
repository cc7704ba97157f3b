"""Nodes and their attestors: all are ended with the test, and none has written its key anywhere."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kubeswarm_contracts import Account
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from tests.chain.attestor.harness import Endpoint, Node, Running
from tests.chain.conftest import Anvil


@pytest.fixture
def attestor() -> Iterator[Callable[..., Node]]:
    """Makes Nodes, whose `start` starts an attestor as a process."""
    made: list[Node] = []

    def make(anvil: Any, **options: Any) -> Node:
        made.append(Node(anvil, **options))
        return made[-1]

    yield make
    for each in made:
        logged = each.log.read_text() if each.log.exists() else ""
        each.remove()
        assert each.key[2:] not in logged


@pytest.fixture
def running(attestor: Callable[..., Node]) -> Iterator[Callable[..., Running]]:
    """Runs the attestor of a Node in this process. Ended before the Node's files go."""
    made: list[Running] = []

    def make(node: Node, **options: Any) -> Running:
        made.append(Running(node, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def endpoint() -> Iterator[Callable[..., Endpoint]]:
    """Makes endpoints before a chain."""
    made: list[Endpoint] = []

    def make(behind: str, answer: Any) -> Endpoint:
        made.append(Endpoint(behind, answer))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def own_chain() -> Iterator[Anvil]:
    """A chain for the tests of one file."""
    anvil = Anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    yield anvil
    anvil.stop()
