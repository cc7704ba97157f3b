"""`kubeswarm log`: what a run measured, written for TensorBoard, MLflow or Weights & Biases by their own packages.

It reads the history that each Node leaves behind, so that training neither waits for a logger nor needs its packages.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from kubeswarm_api import names
from kubeswarm_api.reports import RoundReport, finished_rounds
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local.directory import RunDirectory
from kubeswarm_cli.local.replay import ANYWHERE
from kubeswarm_cli.local.volume import find

POLL_SECONDS = 2.0
ALL_ROUNDS = 2**62


class Logger(StrEnum):
    """Where to write."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


@dataclass(frozen=True)
class Point:
    """What one round of a Node measured; `at` in seconds since 1970."""

    round: int
    at: float
    values: dict[str, float]


#: Takes a Node's points, oldest first.
Write = Callable[[Point], None]


def log(
    path: Annotated[Path, typer.Argument(help=ANYWHERE)],
    to: Annotated[Logger, typer.Option("--to", help="Whose files to write; its package has to be installed.")],
    out: Annotated[
        str, typer.Option("--out", help="A directory; for mlflow also the URI of a tracking server.")
    ] = "logs",
    node: Annotated[str | None, typer.Option("--node", help="Of this Node.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until a run's last round, or Ctrl-C.")] = False,
) -> None:
    """Write every round's reward, tasks, meters and held-out means for TensorBoard, MLflow or Weights & Biases.

    A run a Node; Weights & Biases is written offline (`wandb sync` sends it).
    """
    volumes = find(path, node)
    directory = RunDirectory(path)
    last = directory.read().spec.rounds if directory.run_file.exists() else ALL_ROUNDS
    name = directory.path.name
    with ExitStack() as stack:
        loggers = {each.node: stack.enter_context(_open(to, out, name, each.node)) for each in volumes}
        written, count = dict.fromkeys(loggers, -1), 0
        while True:
            for volume in volumes:
                for point in points(volume.data):
                    if point.round > written[volume.node]:
                        loggers[volume.node](point)
                        written[volume.node] = point.round
                        count += 1
            if not follow or min(written.values()) >= last:
                break
            time.sleep(POLL_SECONDS)
    typer.echo(f"{count} points of {len(written)} Nodes are in {out}")


def points(data: Path) -> Iterator[Point]:
    """What is on a Node's volume; the held-out means of a round stand with it, those before training with round 0."""
    history, held_out = data / names.HISTORY, data / names.HELD_OUT
    measured: dict[int, dict[str, float]] = {}
    if held_out.exists():
        for each in json.loads(held_out.read_bytes()):
            number, tasks = each.pop("round"), each.pop("tasks", {})
            means = {"held_out": each} | {f"held_out/{task}": of_task for task, of_task in tasks.items()}
            measured[number] = {
                f"{group}/{name}": float(value)
                for group, values in means.items()
                for name, value in values.items()
                if value is not None
            }
    reports = finished_rounds(history.read_bytes(), ALL_ROUNDS) if history.exists() else []
    if reports and 0 in measured:
        yield Point(0, datetime.fromisoformat(reports[0].finished).timestamp(), measured[0])
    for report in reports:
        at = datetime.fromisoformat(report.finished).timestamp()
        yield Point(report.round, at, values_of(report) | measured.get(report.round, {}))


def values_of(report: RoundReport) -> dict[str, float]:
    """A round's numbers by name, a slash between groups."""
    values = {"reward": report.reward, "samples": report.samples, "tokens": report.tokens, "taken": report.taken}
    values |= {f"meters/{name.replace('.', '/')}": value for name, value in report.meters.items()}
    values |= {f"seconds/{name}": value for name, value in report.seconds.items()}
    values |= {f"tasks/{task}/{name}": value for task, each in report.tasks.items() for name, value in each.items()}
    return {name: float(value) for name, value in values.items()}


def _package(name: str, extra: Logger) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise CommandError(f"--to {extra} needs a package: pip install 'kubeswarm-cli[{extra}]' ({error})") from error


def _open(to: Logger, out: str, run: str, node: str) -> AbstractContextManager[Write]:
    return {Logger.TENSORBOARD: _tensorboard, Logger.MLFLOW: _mlflow, Logger.WANDB: _wandb}[to](out, run, node)


@contextmanager
def _tensorboard(out: str, run: str, node: str) -> Iterator[Write]:
    writers = _package("tensorboard.summary.writer.event_file_writer", Logger.TENSORBOARD)
    event = _package("tensorboard.compat.proto.event_pb2", Logger.TENSORBOARD)
    summary = _package("tensorboard.compat.proto.summary_pb2", Logger.TENSORBOARD)
    writer = writers.EventFileWriter(str(Path(out) / run / node))

    def write(point: Point) -> None:
        scalars = [summary.Summary.Value(tag=tag, simple_value=value) for tag, value in point.values.items()]
        writer.add_event(event.Event(step=point.round, wall_time=point.at, summary=summary.Summary(value=scalars)))
        writer.flush()

    try:
        yield write
    finally:
        writer.close()


@contextmanager
def _mlflow(out: str, run: str, node: str) -> Iterator[Write]:
    if "://" not in out:
        # A directory serves where one person looks; a server wants a database.
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        out = Path(out).resolve().as_uri()
    mlflow, entities = _package("mlflow", Logger.MLFLOW), _package("mlflow.entities", Logger.MLFLOW)
    client = mlflow.MlflowClient(tracking_uri=out)
    known = client.get_experiment_by_name(run)
    made = client.create_run(known.experiment_id if known else client.create_experiment(run), run_name=node)

    def write(point: Point) -> None:
        at = round(1000 * point.at)
        metrics = [entities.Metric(key, value, at, point.round) for key, value in point.values.items()]
        client.log_batch(made.info.run_id, metrics=metrics)

    try:
        yield write
    finally:
        client.set_terminated(made.info.run_id)


@contextmanager
def _wandb(out: str, run: str, node: str) -> Iterator[Write]:
    wandb = _package("wandb", Logger.WANDB)
    Path(out).mkdir(parents=True, exist_ok=True)
    made = wandb.init(
        mode="offline", dir=out, project=run, name=node, reinit="create_new", settings=wandb.Settings(silent=True)
    )
    try:
        yield lambda point: made.log(point.values, step=point.round)
    finally:
        made.finish()
