"""From an event to the fact that it is: pure, given the last fact of a kind before it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Table

from kubeswarm_api.records import Digest
from kubeswarm_contracts.attestation import Attestation
from kubeswarm_contracts.chain import NOBODY, POLICIES
from kubeswarm_contracts.crowdfunding import MEASURES
from kubeswarm_contracts.events import Event
from kubeswarm_contracts.treasury import UNITS
from kubeswarm_indexer import tables

Row = dict[str, Any]


class Book(Protocol):
    """What was written before. A row is None where nothing was."""

    def last(self, table: Table, **key: Any) -> Row | None:
        """The last row with these values."""
        ...


@dataclass(frozen=True)
class Fact:
    """A row of a table, without its place."""

    table: Table
    row: Row


def fact(event: Event, attestations: Mapping[Digest, Attestation], book: Book) -> Fact | None:
    """What an event says; None for events that say nothing which others don't.

    `attestations`: what EAS has of those that the events name. Raises LookupError if one is missing.
    """
    make = _FACTS.get((event.contract, event.name))
    if make is not None:
        return make(event.arguments, book)
    if (event.contract, event.name) == ("RoundResolver", "RoundsAttested"):
        return _attested(attestations[event.arguments["uid"]], book)
    if event.contract in ("Treasury", "Crowdfunding") and event.name in _CREDITS:
        return _credit(event, book)
    return None


def _node(number: int) -> str:
    return f"0x{number:040x}"


def _swarm_created(values: Row, book: Book) -> Fact:
    row = {name: values[each] for name, each in (("swarm_id", "swarmId"), ("owner", "owner"), ("config", "config"))}
    return Fact(tables.swarms, row | {"policy": POLICIES[values["policy"]], "uri": _text(values["uri"])})


def _membership(standing: str) -> Callable[[Row, Book], Fact]:
    def make(values: Row, book: Book) -> Fact:
        swarm_id, node_id = values["swarmId"], _node(values["nodeId"])
        before = book.last(tables.memberships, swarm_id=swarm_id)
        own = book.last(tables.memberships, swarm_id=swarm_id, node_id=node_id)
        was = own is not None and own["standing"] == "member"
        members = (before["members"] if before else 0) + (standing == "member") - was
        row = {"swarm_id": swarm_id, "node_id": node_id, "standing": standing, "members": members}
        return Fact(tables.memberships, row | {"reason": _text(values.get("reason", ""))})

    return make


def _registered(values: Row, book: Book) -> Fact:
    return Fact(tables.nodes, {"node_id": _node(values["agentId"]), "uri": _text(values["agentURI"])})


def _changed(node: str, change: str, value: str, name: str | None = None) -> Callable[[Row, Book], Fact]:
    """`node`, `value`, `name`: the event's arguments that hold them."""

    def make(values: Row, book: Book) -> Fact:
        found = "" if values[value] == _NONE.get(change) else _text(values[value])
        row = {"node_id": _node(values[node]), "change": change, "value": found}
        return Fact(tables.node_changes, row | {"name": "" if name is None else _text(values[name])})

    return make


def _attested(attestation: Attestation, book: Book) -> Fact:
    data = attestation.data
    run = book.last(tables.attestations, swarm_id=data.swarm_id)
    own = book.last(tables.attestations, swarm_id=data.swarm_id, node_id=data.node_id)
    node = book.last(tables.attestations, node_id=data.node_id)
    rounds = data.last_round - data.first_round + 1
    totals = {
        "own_samples": (own["own_samples"] if own else 0) + data.samples,
        "own_tokens": (own["own_tokens"] if own else 0) + data.tokens,
        "run_rounds": (run["run_rounds"] if run else 0) + rounds,
        "run_samples": (run["run_samples"] if run else 0) + data.samples,
        "run_tokens": (run["run_tokens"] if run else 0) + data.tokens,
        "node_rounds": (node["node_rounds"] if node else 0) + rounds,
    }
    row = {"uid": attestation.uid, "attester": attestation.attester}
    return Fact(tables.attestations, data.model_dump() | row | totals)


def _pool_opened(values: Row, book: Book) -> Fact:
    terms = values["terms"]
    row = {name: terms[name] for name in ("token", "rate", "window", "verifier")}
    row |= {"pool_id": values["poolId"], "swarm_id": values["swarmId"], "owner": values["owner"]}
    return Fact(tables.pools, row | {"unit": UNITS[terms["unit"]]})


def _campaign_created(values: Row, book: Book) -> Fact:
    terms = values["terms"]
    row = {name: terms[name] for name in ("token", "beneficiary", "evaluator", "goal", "deadline", "end")}
    row |= {"campaign_id": values["campaignId"], "swarm_id": values["swarmId"], "creator": values["creator"]}
    milestones = [
        {"measure": MEASURES[each["measure"]], "threshold": str(each["threshold"]), "share": each["share"]}
        for each in values["milestones"]
    ]
    return Fact(tables.campaigns, row | {"milestones": json.dumps(milestones)})


def _pool_payment(kind: str, sign: int, account: str | None = None) -> Callable[[Row, Book], Fact]:
    """`sign`: of the amount in the pool's balance. `account`: the event's argument with whose money it is."""

    def make(values: Row, book: Book) -> Fact:
        fund = values["poolId"]
        terms = book.last(tables.pools, pool_id=fund)
        before = book.last(tables.payments, contract="Treasury", fund=fund)
        assert terms is not None, "a pool is opened before anything else is told of it"
        amount = values.get("amount", 0)
        row = _payment("Treasury", kind, terms["token"], amount)
        row |= {"fund": fund, "swarm_id": terms["swarm_id"]}
        row |= {"account": values[account] if account else terms["owner"], "uid": values.get("uid")}
        row |= {"node_id": _node(values["nodeId"]) if "nodeId" in values else None}
        row |= {"balance": (before["balance"] if before else 0) + sign * amount}
        row |= {"ended": int(kind == "poolStopped" or (before is not None and bool(before["ended"])))}
        return Fact(tables.payments, row)

    return make


def _campaign_payment(kind: str, sign: int, account: str | None = None) -> Callable[[Row, Book], Fact]:
    def make(values: Row, book: Book) -> Fact:
        fund = values["campaignId"]
        terms = book.last(tables.campaigns, campaign_id=fund)
        before = book.last(tables.payments, contract="Crowdfunding", fund=fund)
        assert terms is not None, "a campaign is created before anything else is told of it"
        amount = values.get("amount", 0)
        payee = terms["beneficiary"] if kind == "milestoneReached" else terms["creator"]
        row = _payment("Crowdfunding", kind, terms["token"], amount)
        row |= {"fund": fund, "swarm_id": terms["swarm_id"], "value": values.get("value")}
        row |= {"account": values[account] if account else payee}
        row |= {"balance": (before["balance"] if before else 0) + sign * amount}
        row |= {"raised": (before["raised"] if before else 0) + (amount if kind == "pledged" else 0)}
        row |= {"reached": (before["reached"] if before else 0) + (kind == "milestoneReached")}
        row |= {"ended": int(kind == "campaignCancelled" or (before is not None and bool(before["ended"])))}
        return Fact(tables.payments, row)

    return make


def _credit(event: Event, book: Book) -> Fact:
    """Both contracts keep credits of their own: an account fetches from each what each owes it."""
    kind, sign = _CREDITS[event.name]
    values = event.arguments
    key = {"contract": event.contract, "account": values["account"], "token": values["token"], "fund": None}
    before = book.last(tables.payments, **key)
    row = _payment(event.contract, kind, values["token"], values["amount"])
    row |= {"account": values["account"], "balance": (before["balance"] if before else 0) + sign * values["amount"]}
    return Fact(tables.payments, row)


def _payment(contract: str, kind: str, token: str, amount: int) -> Row:
    empty: Row = dict.fromkeys(("fund", "swarm_id", "node_id", "uid", "account", "value"))
    row = {"contract": contract, "kind": kind, "token": token, "amount": amount}
    return empty | row | {"raised": 0, "reached": 0, "ended": 0}


def _text(value: str) -> str:
    """Strangers' text: PostgreSQL takes no NUL."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")


#: What events say where there is none any more.
_NONE = {"key": NOBODY, "metadata": "0x"}
_CREDITS = {"Credited": ("credited", 1), "Claimed": ("claimed", -1)}
_FACTS: dict[tuple[str, str], Callable[[Row, Book], Fact]] = {
    ("SwarmRegistry", "SwarmCreated"): _swarm_created,
    ("SwarmRegistry", "NodeInvited"): _membership("invited"),
    ("SwarmRegistry", "NodeJoined"): _membership("member"),
    ("SwarmRegistry", "NodeLeft"): _membership("left"),
    ("SwarmRegistry", "NodeEjected"): _membership("ejected"),
    ("NodeRegistry", "Registered"): _registered,
    ("NodeRegistry", "KeyChanged"): _changed("nodeId", "key", "key"),
    ("NodeRegistry", "Transfer"): _changed("tokenId", "owner", "to"),
    ("NodeRegistry", "URIUpdated"): _changed("agentId", "uri", "newURI"),
    ("NodeRegistry", "MetadataSet"): _changed("agentId", "metadata", "metadataValue", "metadataKey"),
    ("Treasury", "PoolOpened"): _pool_opened,
    ("Treasury", "PoolFunded"): _pool_payment("poolFunded", 1, "from"),
    ("Treasury", "RoundsSettled"): _pool_payment("roundsSettled", -1, "owner"),
    ("Treasury", "PoolStopped"): _pool_payment("poolStopped", 0),
    ("Treasury", "PoolReclaimed"): _pool_payment("poolReclaimed", -1),
    ("Crowdfunding", "CampaignCreated"): _campaign_created,
    ("Crowdfunding", "Pledged"): _campaign_payment("pledged", 1, "backer"),
    ("Crowdfunding", "MilestoneReached"): _campaign_payment("milestoneReached", -1),
    ("Crowdfunding", "CampaignCancelled"): _campaign_payment("campaignCancelled", 0),
    ("Crowdfunding", "Refunded"): _campaign_payment("refunded", -1, "backer"),
}
