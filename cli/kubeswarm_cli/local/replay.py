"""`kubeswarm replay`."""

import json
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer

from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local import programs
from kubeswarm_cli.local.volume import find_one

ANYWHERE = "A run's directory, or the directory of a Node's volume, copied out of its pod."


def replay(
    path: Annotated[Path, typer.Argument(help=ANYWHERE)],
    round: Annotated[int, typer.Option("--round", help="The round whose update is computed again.", min=1)],
    node: Annotated[str | None, typer.Option("--node", help="The Node, where there are several.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The base model's directory, where the run does not say it.")
    ] = None,
) -> None:
    """Compute a round's update again, and say whether it leads to the model that the round's record names.

    It begins at the newest checkpoint before the round, of which spec.storage.keep.checkpointEvery keeps more, or at
    the base model. Exit code 0: bit for bit the same. 1: not, or it can't be told.

    The same bits take the same kind of machine: another processor or library may round sums in another order.
    """
    volume = find_one(path, node)
    base = model or volume.model
    if base is None:
        raise CommandError("--model is needed: a volume alone does not say where its base model is")
    made_by = volume.read(round).made_by
    command = [programs.worker_python(), "-m", "kubeswarm_workers.entrypoints.replay", volume.data.resolve()]
    last: dict[str, Any] = {}
    with subprocess.Popen([*command, f"--round={round}", f"--model={base}"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = json.loads(line)
            if "error" not in last:
                typer.echo(_told(last))
    if "error" in last:
        raise CommandError(last["error"])
    if process.returncode != 0 or last.get("round") != round:
        made = ", ".join(f"{key} {value}" for key, value in made_by.items())
        raise CommandError(f"round {round} of {volume.node} was not reached again (it was made with {made})")
    typer.echo(f"round {round} of {volume.node}: the model of the record is reached, bit for bit")


def _told(result: dict[str, Any]) -> str:
    if result["problems"]:
        return "\n".join([f"round {result['round']}: differs", *(f"  {problem}" for problem in result["problems"])])
    return f"round {result['round']}: agrees, model {result['reached']}, loss {result['loss']:.6g}"
