"""Rewards and campaigns through the Python client: what is escrowed, earned, fetched and given back."""

import pytest

from kubeswarm_api.encoding import digest, from_hex, to_hex
from kubeswarm_contracts import (
    CampaignTerms,
    Chain,
    ChainRejected,
    Crowdfunding,
    Milestone,
    PoolTerms,
    Treasury,
    campaign_id,
    pool_id,
    swarm_id,
)

SALT, NONE_SALT = digest(b"salt"), digest(b"without a budget")
NONE = to_hex(digest(b"none"))


def rejection(call, *arguments, **options) -> ChainRejected:
    with pytest.raises(ChainRejected) as caught:
        call(*arguments, **options)
    return caught.value


def test_a_pool_pays_for_attested_rounds_and_gives_back_the_rest(own_anvil, participate):
    participant = participate(own_anvil)
    chain, sponsor, node = participant.chain, participant.owner, participant.transactor
    treasury = Treasury(chain)
    terms = PoolTerms(swarm_id=participant.swarm_id, rate=1000)
    identifier = pool_id(sponsor.account.address, SALT)
    assert treasury.pool(identifier) is None
    assert treasury.open_pool(sponsor, SALT, terms) is not None
    assert treasury.open_pool(sponsor, SALT, terms) is None
    treasury.fund(sponsor, identifier, 10_000, ether=True)
    pool = treasury.pool(identifier)
    assert pool is not None
    assert (pool.owner, pool.terms, pool.escrow, pool.stopped_at) == (sponsor.account.address, terms, 10_000, None)

    treasury.open_pool(sponsor, digest(b"another"), terms)
    assert [each.escrow for each in treasury.pools(participant.swarm_id)] == [10_000, 0]
    assert treasury.pools(NONE) == []

    uids = [node.attest(participant.attestation(*rounds)).uid for rounds in ((1, 4), (5, 6))]
    for uid in uids:
        treasury.settle(node, identifier, participant.node_id, uid)
    assert treasury.settled_round(identifier, participant.node_id) == 6
    assert [(each.uid, each.amount, each.last_round) for each in treasury.settlements(identifier)] == [
        (uids[0], 4000, 4),
        (uids[1], 2000, 6),
    ]
    again = rejection(treasury.settle, node, identifier, participant.node_id, uids[0])
    assert (again.reason, again.arguments) == ("AlreadySettled", {"round": 6})
    assert rejection(treasury.settle, node, identifier, participant.node_id, NONE).reason == "NotAttested"

    assert treasury.claimable(participant.node_id) == 6000
    before = chain.balance(participant.node_id)
    cost = treasury.claim(node)
    price = int(participant.anvil.receipt(cost.tx_hash)["effectiveGasPrice"], 16)
    assert chain.balance(participant.node_id) == before + 6000 - cost.gas_used * price
    assert "has nothing to fetch" in str(rejection(treasury.claim, node))

    treasury.stop(sponsor, identifier)
    stopped = treasury.pool(identifier)
    assert stopped is not None
    assert stopped.stopped_at == chain.clock()
    own_anvil.rpc("evm_increaseTime", 2)
    late = node.attest(participant.attestation(7, 7)).uid
    refused = rejection(treasury.settle, node, identifier, participant.node_id, late)
    assert refused.reason == "OutsidePool"
    assert rejection(treasury.reclaim, sponsor, identifier).reason == "NotReclaimable"
    assert rejection(treasury.stop, node, identifier).reason == "NotPoolOwner"


def test_a_swarm_is_created_with_its_budget_or_not_at_all(own_anvil):
    owner = own_anvil.transactor()
    treasury, address = Treasury(own_anvil.chain), owner.account.address
    identifier = swarm_id(address, SALT)
    terms = PoolTerms(swarm_id=identifier, rate=1000)
    assert treasury.budget(identifier) is None
    assert rejection(treasury.create_swarm, owner, SALT, SALT, terms, 0).reason == "NothingReceived"
    other = terms.model_copy(update={"swarm_id": NONE})
    refused = rejection(treasury.create_swarm, owner, SALT, SALT, other, 5)
    assert (refused.reason, refused.arguments) == ("BudgetOfAnotherSwarm", {"swarmId": identifier, "named": NONE})
    assert own_anvil.chain.swarm(identifier) is None

    assert treasury.create_swarm(owner, SALT, SALT, terms, 10_000, "invited", "ipfs://swarm") is not None
    assert treasury.create_swarm(owner, SALT, SALT, terms, 10_000) is None
    swarm, budget = own_anvil.chain.swarm(identifier), treasury.budget(identifier)
    assert swarm is not None and (swarm.owner, swarm.policy, swarm.config) == (address, "invited", to_hex(SALT))
    assert budget is not None and (budget.owner, budget.terms, budget.escrow) == (address, terms, 10_000)
    treasury.fund(own_anvil.transactor(), budget.id, 5, ether=True)
    assert [each.escrow for each in treasury.pools(identifier)] == [10_005]

    owner.create_swarm(NONE_SALT, SALT)
    assert treasury.budget(swarm_id(address, NONE_SALT)) is None
    treasury.open_pool(owner, from_hex(swarm_id(address, NONE_SALT)), terms)  # its salt, but for another swarm
    assert treasury.budget(swarm_id(address, NONE_SALT)) is None


def test_a_campaign_that_fails_gives_everything_back(own_anvil, participate):
    participant = participate(own_anvil)
    chain, creator = participant.chain, participant.owner
    campaigns, backer = Crowdfunding(chain), participant.anvil.transactor()
    now = chain.clock()
    terms = CampaignTerms(
        swarm_id=participant.swarm_id,
        beneficiary=creator.account.address,
        goal=1000,
        deadline=now + 1000,
        end=now + 2000,
    )
    milestones = (Milestone(measure="rounds", threshold=4, share=10_000),)
    campaigns.create(creator, SALT, terms, milestones)
    identifier = campaign_id(creator.account.address, SALT)
    found = campaigns.campaign(identifier)
    assert found is not None
    assert (found.terms, found.milestones, found.raised) == (terms, milestones, 0)
    assert campaigns.campaign(NONE) is None
    campaigns.pledge(backer, identifier, 999, ether=True)
    assert campaigns.pledge_of(identifier, backer.account.address) == 999
    assert rejection(campaigns.refund, backer, identifier).reason == "NotRefunding"
    own_anvil.rpc("evm_increaseTime", 1001)
    own_anvil.rpc("evm_mine")
    assert campaigns.is_refunding(identifier)
    campaigns.refund(backer, identifier, to="0x" + 40 * "7")
    assert chain.balance("0x" + 40 * "7") == 999
    left = campaigns.campaign(identifier)
    assert left is not None
    assert left.unspent == 0


def test_a_campaign_that_is_met_pays_by_milestones(own_anvil, participate):
    participant = participate(own_anvil)
    chain, creator = participant.chain, participant.owner
    campaigns, backer, evaluator = Crowdfunding(chain), own_anvil.transactor(), own_anvil.transactor()
    now = chain.clock()
    terms = CampaignTerms(
        swarm_id=participant.swarm_id,
        beneficiary=creator.account.address,
        evaluator=evaluator.account.address,
        goal=1000,
        deadline=now + 1000,
        end=now + 2000,
    )
    milestones = (
        Milestone(measure="rounds", threshold=4, share=4000),
        Milestone(measure="heldOutReward", threshold=700_000, share=6000),
    )
    campaigns.create(creator, SALT, terms, milestones)
    identifier = campaign_id(creator.account.address, SALT)
    campaigns.pledge(backer, identifier, 1000, ether=True)
    own_anvil.rpc("evm_increaseTime", 1001)
    own_anvil.rpc("evm_mine")
    participant.transactor.attest(participant.attestation(1, 3))
    short = rejection(campaigns.reach_by_rounds, backer, identifier, [participant.node_id])
    assert (short.reason, short.arguments) == ("ThresholdNotReached", {"value": 3, "threshold": 4})
    participant.transactor.attest(participant.attestation(4, 4))
    campaigns.reach_by_rounds(backer, identifier, [participant.node_id, participant.node_id])
    assert campaigns.claimable(creator.account.address) == 400
    campaigns.reach_by_reward(evaluator, identifier, 740_000)
    campaigns.claim(creator)
    assert chain.balance(campaigns.address) == 0
    campaigns.cancel(creator, identifier)
    ended = campaigns.campaign(identifier)
    assert ended is not None
    assert (ended.cancelled, ended.reached, ended.unspent) == (True, 2, 0)


def test_a_deployment_without_payments_says_so(anvil):
    bare = anvil.chain.deployment.model_copy(update={"treasury": None, "crowdfunding": None})
    for kind in (Treasury, Crowdfunding):
        with pytest.raises(ChainRejected, match="the deployment on chain 31337 has no") as caught:
            kind(Chain(anvil.url, bare))
        assert caught.value.reason == "NotDeployed"
