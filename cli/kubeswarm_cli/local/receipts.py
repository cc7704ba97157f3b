"""`kubeswarm receipt` makes receipts of rounds and rollouts; `kubeswarm verify` checks them, with no chain at hand."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from kubeswarm_api.records import NO_DIGEST, Digest
from kubeswarm_cli import ledger
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.ledger import ChainUrl, DeploymentFile
from kubeswarm_cli.local.replay import ANYWHERE
from kubeswarm_cli.local.volume import find_one
from kubeswarm_contracts import deployment
from kubeswarm_contracts import receipt as receipts
from kubeswarm_contracts.plan import plan
from kubeswarm_contracts.receipt import Anchor, Receipt


def receipt(
    path: Annotated[Path, typer.Argument(help=ANYWHERE)],
    round: Annotated[int, typer.Option("--round", help="The round.", min=1)],
    rollout: Annotated[
        int | None, typer.Option("--rollout", help="One of the round's own rollouts, from 0.", min=0)
    ] = None,
    node: Annotated[str | None, typer.Option("--node", help="The Node, where there are several.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write it there; otherwise it is printed.")] = None,
    chain_url: ChainUrl = None,
    deployment_file: DeploymentFile = None,
) -> None:
    """Make a receipt: that a round, or one rollout of it, was attested. Anyone can check it, with no chain at hand.

    It holds the attestation, the round's record with its path in the attestation, the rollout with its path in the
    record, and a proof of the contract's state under the hash of a block.
    """
    volume = find_one(path, node)
    chain = ledger.connect(chain_url, deployment_file)
    records = volume.records()
    if not round <= len(records):
        raise CommandError(f"{volume.node} has finished rounds 1 to {len(records)}")
    record = records[round - 1]
    attested = chain.attestations(record.swarm_id, node_id=record.node_id)
    holding = next((each for each in attested if each.first <= round <= each.last), None)
    if holding is None:
        raise CommandError(f"round {round} of {volume.node} is not on this chain (yet): its attestor brings it there")
    published = None if rollout is None else volume.read(round).published()
    made = receipts.make(chain, holding.uid, records[holding.first - 1 : holding.last], round, published, rollout or 0)
    text = json.dumps(made.to_json(), indent=2) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


def verify(
    file: Annotated[Path, typer.Argument(help="The receipt (JSON).")],
    block_hash: Annotated[
        str | None, typer.Option("--block-hash", help="The hash of the receipt's block, from whom you trust.")
    ] = None,
    chain_url: ChainUrl = None,
    deployment_file: DeploymentFile = None,
) -> None:
    """Check a receipt. Exit code 0: all that it says is so; 1: not.

    Without --chain-url nothing is asked of anyone: then all hangs on the hash of one block, which --block-hash compares
    with the one that you trust. With it the chain is asked for that block, and its contract for the proof.
    """
    try:
        found = Receipt.model_validate_json(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} can't be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise CommandError(f"{file}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from error
    anchor = receipts.check(found)
    _check_contracts(found, deployment_file)
    for line in _lines(found, anchor):
        typer.echo(line)
    if block_hash is not None and block_hash.lower() != anchor.hash:
        raise CommandError(f"block {anchor.number} is {anchor.hash} in the receipt, not {block_hash}")
    if chain_url is not None:
        _ask(found, anchor, chain_url, deployment_file)
    elif block_hash is None:
        typer.echo(f"Not checked: that block {anchor.number} of chain {found.chain_id} is {anchor.hash}. Compare it.")


def _check_contracts(found: Receipt, deployment_file: Path | None) -> None:
    """A resolver of someone's own would take anything: it has to be ours, or the one that the caller names."""
    given = deployment_file is not None
    where = deployment(found.chain_id, deployment_file) if given else plan(found.chain_id).deployment
    if (found.resolver, found.node_registry) != (where.resolver, where.node_registry):
        hint = "the deployment's" if given else "this version's: give --deployment if you trust another"
        raise CommandError(f"the receipt is of the contract {found.resolver}, which is not {hint}")


def _lines(found: Receipt, anchor: Anchor) -> list[str]:
    data, record = found.attestation.data, found.record
    lines = [
        f"Round {record.round} of Node {record.node_id} in Swarm {record.swarm_id}:",
        f"  model {_short(record.model_before)} -> {_short(record.model_after)}, {record.samples} samples, "
        f"{record.tokens} tokens, mean reward {record.reward / 1_000_000:g}",
        f"  held by attestation {found.attestation.uid} of rounds {data.first_round} to {data.last_round}, "
        f"made by the key {found.attestation.attester} at {_time(found.attestation.time)}",
    ]
    if found.rollout is not None:
        (one,) = found.rollout.group.completions
        lines.append(
            f"  holds rollout {found.rollout.position} of {found.rollout.size}: task {found.rollout.group.task}, item "
            f"{found.rollout.group.item}, reward {one.reward:g}, {len(one.tokens)} tokens, "
            f"sampled with model {_short(found.rollout.model)}"
        )
    lines.append(
        f"The contract {found.resolver} on chain {found.chain_id} had this in block {anchor.number} "
        f"({_time(anchor.time)}), {anchor.hash}"
    )
    return lines


def _ask(found: Receipt, anchor: Anchor, chain_url: str, deployment_file: Path | None) -> None:
    chain = ledger.connect(chain_url, deployment_file)
    if chain.deployment.chain_id != found.chain_id:
        raise CommandError(
            f"--chain-url leads to chain {chain.deployment.chain_id}, the receipt is of {found.chain_id}"
        )
    block = chain.rpc.request("eth_getBlockByNumber", hex(anchor.number), False)
    if block is None or block["hash"] != anchor.hash:
        raise CommandError(f"the chain has no block {anchor.number} with the hash {anchor.hash}: it was reorganised")
    if not receipts.prove_on_chain(chain, found):
        raise CommandError("the contract does not hold this now: the chain was reorganised")
    typer.echo("The chain has that block, and its contract confirms the proof.")


def _short(digest: Digest) -> str:
    return "none" if digest == NO_DIGEST else f"{digest[:10]}…{digest[-4:]}"


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
