"""`kubeswarm run`."""

import json
import shlex
import signal
import sys
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console

from kubeswarm_cli import progress
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local import programs, result, swarm_file
from kubeswarm_cli.local.directory import RunDirectory
from kubeswarm_cli.local.session import Session

MAX_NODES = 16


def run(
    file: Annotated[Path, typer.Argument(help="The Swarm (YAML), as `kubectl apply` takes it.")],
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where everything goes; runs/NAME by default. Goes on if it is there.")
    ] = None,
    nodes: Annotated[int | None, typer.Option("--nodes", help="spec.nodes.", min=1, max=MAX_NODES)] = None,
    rounds: Annotated[int | None, typer.Option("--rounds", help="spec.rounds.", min=1)] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any field, such as spec.sharing.external=0; repeat it for more."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="The directory that stands for spec.model's image or claim.")
    ] = None,
    share: Annotated[
        bool | None,
        typer.Option("--share/--no-share", help="Nodes learn from one another (needs a chain); on for several Nodes."),
    ] = None,
    chain: Annotated[
        bool, typer.Option("--chain", help="Attest rounds on a development chain; on with --share.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", help="Threads a Node; by default Nodes share the cores. Part of what repeats a run.", min=1
        ),
    ] = None,
) -> None:
    """Run a Swarm on this machine, with no cluster.

    The same file and the same worker code as in a cluster, as processes of this machine.

    Ctrl-C is safe: every finished round is on the disk, and the same command goes on from there.

    DIR/result.json says what came out of it; a folder a Node has data (checkpoints, records, the trained model), log
    and config.
    """
    changes = list(changes or [])
    changes += [f"spec.nodes={nodes}"] if nodes is not None else []
    changes += [f"spec.rounds={rounds}"] if rounds is not None else []
    read = swarm_file.read(file, changes)
    if not 1 <= read.spec.nodes <= MAX_NODES:
        raise CommandError(
            f"spec.nodes: {read.spec.nodes} Nodes can't share one machine: give --nodes 1 to {MAX_NODES}"
        )
    sharing = read.spec.nodes > 1 if share is None else share
    root = programs.model_root(read.spec.model, model)
    programs.worker_python()
    at = RunDirectory(directory or Path("runs") / read.name)
    at.hold()
    begun = at.begin(
        read, file, chain=chain or sharing, share=sharing, model=None if read.spec.model.hub else root, threads=threads
    )
    console = Console(width=None if sys.stdout.isatty() else 240)
    goes_on = f", start {len(begun.starts)}" if len(begun.starts) > 1 else ""
    console.print(f"{begun.name}: {begun.spec.nodes} Node(s), {begun.spec.rounds} rounds, in {at.path}{goes_on}")
    for field in begun.starts[-1].changed:
        console.print(f"changed since the last start: {field}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    started = monotonic()
    session = Session(at, begun)
    try:
        _watch(console, session)
    except KeyboardInterrupt:
        console.print(f"interrupted; to go on: kubeswarm {shlex.join(sys.argv[1:])}", soft_wrap=True)
        raise
    finally:
        session.kill()
        made = result.outcome(at, begun, monotonic() - started)
        at.write_result(json.dumps(made.to_json(), indent=2) + "\n")
        console.print(result.table(made))
        console.print(f"result: {at.result_file}", soft_wrap=True)
    for node in made.nodes:
        console.print(f"model of {node.name}: {node.model}", soft_wrap=True)
    for node in session.nodes:
        if not node.attested:
            console.print(f"{node.name}: not all rounds are on the chain yet; the same command goes on with that")


def _watch(console: Console, session: Session) -> None:
    """Starts the processes, shows them until they are complete, and lets them end by themselves."""
    try:
        session.start()
        progress.watch(console, progress.follow(session.look, done=session.done, patience=0.0))
    finally:
        console.print("ending the processes (Ctrl-C now kills them)")
        session.stop()
