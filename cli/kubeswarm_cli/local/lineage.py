"""`kubeswarm lineage`: which updates led to a model, and whose rollouts each of them learnt from, with weights."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kubeswarm_api.run_log import Rounds
from kubeswarm_cli import ledger
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.ledger import ChainUrl, DeploymentFile
from kubeswarm_cli.local.provenance import Lineage, build, from_log
from kubeswarm_cli.local.replay import ANYWHERE
from kubeswarm_cli.local.volume import find
from kubeswarm_contracts.run_log import RunLog


def lineage(
    model: Annotated[str, typer.Argument(help="The model's digest, as a record, a status or an attestation has it.")],
    paths: Annotated[list[Path] | None, typer.Argument(help=f"{ANYWHERE} Several may be given.")] = None,
    chain_url: ChainUrl = None,
    indexer: Annotated[
        str | None, typer.Option("--indexer", envvar="KUBESWARM_INDEXER_URL", help="A log of runs, instead of a chain.")
    ] = None,
    deployment_file: DeploymentFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all digests in full.")] = False,
) -> None:
    """Tell how a model came about: its updates, and whose rollouts entered each of them, with their weights.

    Rebuilt from the records and stored rounds at PATHS. With --chain-url or --indexer each record is checked against
    the attestation that holds it. Without PATHS --indexer tells what the chain alone has: the model by attestation.
    """
    model = model.lower()
    log = _log(indexer) if indexer is not None else None
    if not paths:
        if log is None:
            raise CommandError("give the path of a run or a volume, or --indexer for what the chain alone tells")
        attested = from_log(log, model)
        if as_json:
            typer.echo(json.dumps([each.to_json() for each in attested], indent=2))
        else:
            Console(width=160).print(_log_table(attested))
        return
    volumes = [volume for path in paths for volume in find(path)]
    chain = ledger.connect(chain_url, deployment_file) if chain_url is not None else None
    made = build(model, volumes, log if chain is None else chain)
    if as_json:
        typer.echo(json.dumps(made.to_json(), indent=2))
    else:
        console = Console(width=160)
        console.print(_updates_table(made), _contributors_table(made))
        console.print(_summary(made), soft_wrap=True)


def _log(url: str) -> RunLog:
    try:
        return RunLog(url)
    except ValueError as error:
        raise CommandError(str(error).replace("indexer.url", "--indexer")) from error


def _short(text: str) -> str:
    return f"{text[:10]}…{text[-4:]}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _updates_table(made: Lineage) -> Table:
    table = _table(f"Model {_short(made.model)} of Node {made.node_id}", "round", "model", "attestation", "learnt from")
    for update in made.updates:
        learnt = "not stored" if update.contributions is None else ", ".join(
            f"{'own' if each.node_id == made.node_id else _short(each.node_id)} r{each.round} {each.weight:.0%}"
            + {True: "", False: " (not what its record names)", None: " (not proven)"}[each.proven]
            for each in update.contributions
        )  # fmt: skip
        uid = "" if update.attestation is None else _short(update.attestation)
        table.add_row(str(update.round), _short(update.model_after), uid, learnt)
    return table


def _contributors_table(made: Lineage) -> Table:
    table = _table("", "contributor", "weight", "updates", "groups", "completions", "tokens")
    for each in made.contributors:
        counts = each.updates, each.groups, each.completions, each.tokens
        table.add_row(each.node_id, f"{each.weight:.1%}", *(f"{count:,}" for count in counts))
    return table


def _summary(made: Lineage) -> str:
    rounds = len(made.updates)
    chain = f"{made.attested_rounds} of {rounds} attested" if made.chain_read else "the chain was not read"
    return f"{rounds} updates from base {_short(made.base)}; {chain}; rollouts known of {made.known_updates}"


def _log_table(attested: list[Rounds]) -> Table:
    table = _table(
        f"Model {_short(attested[-1].model)}", "rounds", "model", "samples", "tokens", "attestation", "block"
    )
    for each in attested:
        rounds = f"{each.first_round}..{each.last_round}"
        table.add_row(rounds, _short(each.model), each.samples, each.tokens, each.uid, str(each.block))
    return table
