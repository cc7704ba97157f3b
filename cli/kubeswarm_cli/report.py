"""The report of a Swarm: what each of its Nodes did, and what the chain has of it."""

from collections.abc import Callable, Iterable, Mapping

from pydantic import Field
from rich.table import Table

from kubeswarm_api import names
from kubeswarm_api.base import Model
from kubeswarm_api.node import HeldOut
from kubeswarm_cli.cluster import Node, Swarm
from kubeswarm_contracts.chain import AttestedRounds

#: Where the trainer leaves the trained model on the Node's claim, in Hugging Face format.
MODEL_FOLDER = "model"


class Attestation(Model):
    """One attestation, as the chain has it."""

    uid: str
    first_round: int
    last_round: int
    block: int
    transaction: str
    gas: int | None


class ModelPlace(Model):
    """Where a trained model is: a directory on a claim."""

    digest: str | None
    claim: str
    folder: str


class NodeResult(Model):
    """One Node. `attestations` and what is summed from them is None where the chain was not read."""

    name: str
    node_id: str | None
    rollout_pods: int = Field(description="0: the engine lives in the head pod.")
    rounds: int
    wanted_rounds: int
    held_out: HeldOut | None
    tokens: int
    groups_taken: int
    attestations: list[Attestation] | None
    attested_rounds: int | None
    gas: int | None
    model: ModelPlace
    peak_memory_bytes: dict[str, int] = Field(description="By pod, where it was measured.")


class Report(Model):
    """A Swarm's report."""

    namespace: str
    name: str
    uid: str
    swarm_id: str | None
    complete: bool
    seconds: float | None = Field(description="From creation to completion.")
    nodes: list[NodeResult]


def _attestation(one: AttestedRounds) -> Attestation:
    return Attestation(
        uid=one.uid,
        first_round=one.first,
        last_round=one.last,
        block=one.block,
        transaction=one.tx_hash,
        gas=one.gas_used,
    )


def _total(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _node(node: Node, attested: list[AttestedRounds] | None, memory: Mapping[str, int]) -> NodeResult:
    status = node.status
    made = (names.head_name(node.name), names.gang_name(node.name), names.rollout_name(node.name))
    pods = tuple(f"{name}-" for name in made)
    return NodeResult(
        name=node.name,
        node_id=status.node_id,
        rollout_pods=node.rollout_workers,
        rounds=status.round,
        wanted_rounds=node.rounds,
        held_out=status.held_out,
        tokens=status.tokens,
        groups_taken=status.groups_taken,
        attestations=None if attested is None else [_attestation(one) for one in attested],
        attested_rounds=None if attested is None else sum(one.last - one.first + 1 for one in attested),
        gas=None if attested is None else _total(one.gas_used for one in attested),
        model=ModelPlace(digest=status.model, claim=names.claim_name(node.name), folder=MODEL_FOLDER),
        peak_memory_bytes={pod: peak for pod, peak in sorted(memory.items()) if pod.startswith(pods)},
    )


def make_report(
    swarm: Swarm,
    read_chain: Callable[[str, str], list[AttestedRounds]] | None = None,
    memory: Mapping[str, int] | None = None,
) -> Report:
    """The report of a Swarm.

    `read_chain`: gives the attestations of (swarm id, node id); None leaves the chain out. `memory`: peak bytes by pod.
    Raises what `read_chain` raises.
    """

    def attested(node: Node) -> list[AttestedRounds] | None:
        if read_chain is None:
            return None
        swarm_id, node_id = node.status.swarm_id or swarm.status.swarm_id, node.status.node_id
        return read_chain(swarm_id, node_id) if swarm_id and node_id else []

    return Report(
        namespace=swarm.namespace,
        name=swarm.name,
        uid=swarm.uid,
        swarm_id=swarm.status.swarm_id,
        complete=swarm.complete,
        seconds=swarm.seconds,
        nodes=[_node(node, attested(node), memory or {}) for node in swarm.nodes],
    )


def _change(before: str | None, after: str | None) -> str:
    return f"{before or '?'} → {after or '?'}"


def report_table(report: Report) -> Table:
    """The report with one column a Node."""
    state = "complete" if report.complete else "not complete"
    took = f" in {report.seconds / 60:.1f} minutes" if report.seconds is not None else ""
    title = f"Swarm {report.namespace}/{report.name}: {state}{took}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for node in report.nodes:
        table.add_column(node.name, overflow="fold")
    for label, tell in _LINES.items():
        table.add_row(label, *(tell(node) for node in report.nodes))
    return table


def _attested_line(node: NodeResult) -> str:
    if node.attested_rounds is None or node.attestations is None:
        return "not read (give --chain-url)"
    return f"{node.attested_rounds} in {len(node.attestations)} attestations"


def _gas_line(node: NodeResult) -> str:
    if not node.gas or not node.attested_rounds:
        return ""
    return f"{node.gas:,} ({node.gas // node.attested_rounds:,} a round)"


def _uids(node: NodeResult) -> str:
    """Shortened: the JSON, and `kubeswarm rounds`, have them in full."""
    return "\n".join(
        f"{one.uid[:10]}…{one.uid[-4:]} rounds {one.first_round}..{one.last_round}" for one in node.attestations or []
    )


_LINES: dict[str, Callable[[NodeResult], str]] = {
    "engine": lambda node: f"in {node.rollout_pods} rollout pod(s)" if node.rollout_pods else "in the head pod",
    "rounds": lambda node: f"{node.rounds}/{node.wanted_rounds}",
    "held-out items": lambda node: str(node.held_out.items) if node.held_out else "",
    "held-out reward": lambda node: _change(node.held_out.before, node.held_out.latest) if node.held_out else "",
    "answered exactly": lambda node: (
        _change(node.held_out.exact_before, node.held_out.exact_latest) if node.held_out else ""
    ),
    "tokens sampled": lambda node: f"{node.tokens:,}",
    "groups taken": lambda node: str(node.groups_taken),
    "rounds on the chain": _attested_line,
    "gas": _gas_line,
    "attestations": _uids,
    "peak memory": lambda node: "\n".join(f"{pod} {size / 2**30:.2f} GiB" for pod, size in
                                          node.peak_memory_bytes.items()),
    "model": lambda node: f"claim {node.model.claim}, folder {node.model.folder}",
    "model digest": lambda node: f"{node.model.digest[:10]}…{node.model.digest[-4:]}" if node.model.digest else "",
}  # fmt: skip
