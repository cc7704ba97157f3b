"""The `kubeswarm` command."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_cli import ledger, progress, tables
from kubeswarm_cli.cluster import Cluster
from kubeswarm_cli.describe import describe as described
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.ledger import ChainUrl, DeploymentFile
from kubeswarm_cli.local.lineage import lineage
from kubeswarm_cli.local.log import log
from kubeswarm_cli.local.receipts import receipt, verify
from kubeswarm_cli.local.replay import replay
from kubeswarm_cli.local.rollouts import rollouts
from kubeswarm_cli.local.run import run
from kubeswarm_cli.report import make_report, report_table

app = typer.Typer(
    help="Swarms and Nodes of KubeSwarm: run them on this machine, or see how they are in a cluster and on the chain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
#: Nothing is cut off where there is no terminal whose width would matter.
PLAIN_WIDTH = 240

Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; the context's by default.")]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig; the current by default.")]


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


for command in (run, replay, rollouts, log, lineage, receipt, verify):
    app.command()(command)


@app.command()
def status(
    swarm: Annotated[str | None, typer.Argument(help="One Swarm, with its conditions.")] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Swarms of all namespaces.")] = False,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Show Swarms and their Nodes."""
    cluster, console = Cluster(namespace, context), _console()
    if swarm is not None:
        one = cluster.swarm(swarm)
        parts = (tables.swarms_table([one]), tables.nodes_table(list(one.nodes)))
        console.print(*parts, tables.conditions_table(one.conditions))
        return
    swarms, nodes = cluster.swarms(everywhere), cluster.nodes(everywhere)
    if not swarms and not nodes:
        where = "any namespace" if everywhere else f"namespace {cluster.namespace}"
        console.print(f"no Swarms in {where}: `kubectl apply -f examples/swarm.yaml` makes one")
        return
    console.print(tables.swarms_table(swarms), tables.nodes_table(nodes))


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="A Swarm, or a Node.")],
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Show a Swarm or a Node whole: Nodes, conditions, pods, last Events, and what to do next."""
    console = _console()
    for part in described(Cluster(namespace, context), name):
        console.print(part, soft_wrap=isinstance(part, str))


@app.command()
def watch(
    swarm: Annotated[str, typer.Argument(help="The Swarm.")],
    timeout: Annotated[float | None, typer.Option(help="Give up after so many seconds.")] = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Follow a Swarm until it is complete: rounds, reward, tokens, attestations, time."""
    cluster = Cluster(namespace, context)
    progress.watch(_console(), progress.follow(lambda: cluster.swarm(swarm), timeout))


@app.command()
def report(
    swarm: Annotated[str, typer.Argument(help="The Swarm.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report to this file too.")] = None,
    chain_url: ChainUrl = None,
    deployment: DeploymentFile = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Tell what each Node of a Swarm learned, and what the chain has of it."""
    one = Cluster(namespace, context).swarm(swarm)
    chain = ledger.connect(chain_url, deployment) if chain_url else None
    made = make_report(one, None if chain is None else lambda *ids: ledger.attestations(chain, *ids))
    _console().print(report_table(made))
    if chain is None:
        typer.echo(ledger.HOW_TO_REACH, err=True)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(made.to_json(), indent=2) + "\n", encoding="utf-8")


@app.command()
def rounds(
    node: Annotated[str, typer.Argument(help="The Node.")],
    chain_url: ChainUrl = None,
    deployment: DeploymentFile = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """List a Node's attested rounds, as the chain has them."""
    chain = ledger.connect(chain_url, deployment)
    status = Cluster(namespace, context).node(node).status
    if status.swarm_id is None or status.node_id is None:
        raise CommandError(f"Node {node} has no identity on a chain yet: `kubeswarm status` tells why")
    attested = ledger.attestations(chain, status.swarm_id, status.node_id)
    _console().print(tables.attestations_table(attested, ledger.contents(chain, attested)))


def main() -> None:
    """The entry point: errors are one line, and status 1."""
    try:
        app()
    except KubeSwarmError as error:
        typer.secho(f"kubeswarm: {error}", fg="red", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
