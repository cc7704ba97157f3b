"""Swarms on chain: who owns them, who is in them."""

import pytest

from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_contracts import ChainRejected, swarm_id

CONFIG = digest(b"config")


def rejection(call, *arguments) -> ChainRejected:
    with pytest.raises(ChainRejected) as caught:
        call(*arguments)
    return caught.value


def test_a_swarm_is_created_once(anvil):
    owner, salt = anvil.transactor(), digest(b"uid")
    identifier = swarm_id(owner.account.address, salt)
    assert anvil.chain.swarm(identifier) is None
    owner.create_swarm(salt, CONFIG, "invited", "ipfs://swarm")
    found = anvil.chain.swarm(identifier)
    assert (found.owner, found.policy, found.config, found.members) == (
        owner.account.address,
        "invited",
        to_hex(CONFIG),
        0,
    )
    assert owner.create_swarm(salt, CONFIG) is None


def test_nodes_join_leave_and_are_ejected(anvil):
    owner = anvil.transactor()
    owner.create_swarm(digest(b"uid"), CONFIG)
    swarm = swarm_id(owner.account.address, digest(b"uid"))
    nodes = [anvil.transactor() for _ in range(3)]
    for node in nodes:
        node.register()
        assert node.join(swarm, node.account.address).gas_used > 0
        assert node.join(swarm, node.account.address) is None
    first, second, third = (node.account.address for node in nodes)
    assert [member.node_id for member in anvil.chain.members(swarm)] == [first, second, third]
    assert anvil.chain.swarm(swarm).members == 3

    nodes[0].leave(swarm, first)
    owner.eject(swarm, second, "forged rewards")
    assert [(member.node_id, member.key) for member in anvil.chain.members(swarm)] == [(third, third)]
    assert not anvil.chain.is_member(swarm, second)
    refused = rejection(nodes[1].join, swarm, second)
    assert (refused.reason, refused.arguments["standing"]) == ("WrongStanding", "ejected")

    nodes[0].join(swarm, first)
    owner.invite(swarm, second)
    nodes[1].join(swarm, second)
    assert [member.node_id for member in anvil.chain.members(swarm)] == [third, first, second]


def test_an_invited_swarm_takes_only_whom_it_invited(anvil):
    owner, node = anvil.transactor(), anvil.transactor()
    owner.create_swarm(digest(b"uid"), CONFIG, "invited")
    swarm = swarm_id(owner.account.address, digest(b"uid"))
    node.register()
    assert "not in it" in str(rejection(node.join, swarm, node.account.address))
    owner.invite(swarm, node.account.address)
    node.join(swarm, node.account.address)
    assert anvil.chain.is_member(swarm, node.account.address)


def test_who_does_not_control_a_node_can_not_join_with_it(participant):
    stranger = participant.anvil.transactor()
    participant.transactor.leave(participant.swarm_id, participant.node_id)
    assert rejection(stranger.join, participant.swarm_id, participant.node_id).reason == "NotInControl"
    assert rejection(stranger.join, participant.swarm_id, stranger.account.address).reason == "NotInControl"
    assert rejection(stranger.eject, participant.swarm_id, participant.node_id, "").reason == "NotSwarmOwner"


def test_an_unknown_swarm(participant):
    refused = rejection(participant.transactor.join, to_hex(digest(b"none")), participant.node_id)
    assert refused.reason == "SwarmNotFound"
    assert "create it first" in str(refused)
