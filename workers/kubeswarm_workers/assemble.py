"""Puts the trainer of a Node together from its configuration and what its volume holds."""

import logging
from collections.abc import Callable
from contextlib import ExitStack

from kubeswarm_api import names
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_workers import config as configuration
from kubeswarm_workers import gaming, heldout, history
from kubeswarm_workers.attest import spool
from kubeswarm_workers.environments.launch import launch
from kubeswarm_workers.environments.process import EnvironmentProcess
from kubeswarm_workers.learn import checkpoint, snapshot
from kubeswarm_workers.learn.export import exported_round
from kubeswarm_workers.learn.model import load_tokenizer, resolve
from kubeswarm_workers.learn.start import new_learner
from kubeswarm_workers.learn.step import Learner
from kubeswarm_workers.node import Node, engine_spec
from kubeswarm_workers.place import Place
from kubeswarm_workers.ports import Exchange, Notary
from kubeswarm_workers.progress import Progress
from kubeswarm_workers.report import Report
from kubeswarm_workers.rollout import cluster
from kubeswarm_workers.rollout.pool import Pool
from kubeswarm_workers.round import Collected
from kubeswarm_workers.text import Text
from kubeswarm_workers.trainer import AHEAD, Trainer
from kubeswarm_workers.weights import Snapshot

log = logging.getLogger(__name__)

#: Tokens of the sequence whose log-probabilities learner and engines compare after each transfer.
PROBE_TOKENS = 64


def assemble(
    config: NodeConfig, place: Place, report: Report, stopping: Callable[[], bool], threads: int, stack: ExitStack
) -> Trainer:
    """The trainer, resumed from its latest checkpoint; everything that has to be closed is put on `stack`."""
    training = config.training
    ray_processes = cluster.start(place, head=None, engines=0 if training.rollout.workers else 1)
    stack.callback(ray_processes.stop)
    report.add_engine_files(ray_processes.metrics)

    base = resolve(config.model_dir)
    learner = new_learner(base, training, threads)
    progress, ahead = resume(place, learner)
    report.samples.before = report.samples.now = progress.samples
    report.show(progress)
    report.gaming = gaming.resumed(history.read(place.history, progress.round))

    started = launch(training.environment, training.seed, training.evaluation.items, place)
    environment = EnvironmentProcess(started, report.environment_failed)
    stack.callback(environment.close)
    text = Text(load_tokenizer(base))
    probe = text.encode(environment.draw(config.index, 0, 1)[0].turns)[:PROBE_TOKENS]
    notary, exchange = open_ports(config, place)
    if exchange is not None:
        stack.callback(exchange.close)
        exchange.received(progress.reading.after)  # says where to begin
        report.watch(exchange)

    cluster.connect(ray_processes, stopping)
    stack.callback(cluster.disconnect)
    spec = engine_spec(config, learner)

    def wanted() -> int:
        return configuration.engines(configuration.read(place))

    pool = Pool(spec, configuration.engines(config), report.waiting, stopping, wanted)
    stack.callback(pool.close)
    policy = Snapshot(learner.policy.packed)
    node = Node(
        config, environment, text, learner, pool, spec.context, report, policy, probe, notary, exchange, stopping
    )
    return Trainer(node, place, base, progress, ahead)


def finished(config: NodeConfig, place: Place, report: Report) -> bool:
    """Whether all rounds are played and the model is there; then their end goes into the report."""
    found = checkpoint.latest(place.checkpoints)
    if found is None or found.round < config.training.rounds or exported_round(place.trained_model) != found.round:
        return False
    progress = Progress.from_json(found.state["progress"])
    assert progress.record is not None
    measured = heldout.read(place.held_out, progress.round)
    if config.training.evaluation.items and (not measured or measured[-1].round < progress.round):
        return False
    spool.append(place.spool, progress.record)
    report.show(progress)
    report.show_held_out(heldout.report_of(measured))
    report.update(checkpoint=str(found.directory))
    return True


def resume(place: Place, learner: Learner) -> tuple[Progress, Collected | None]:
    """Brings the learner to the latest complete checkpoint, and makes sure that its record is in the spool.

    Returns what is behind the Node, and the rollouts of its next round if they were sampled already.
    """
    found = checkpoint.latest(place.checkpoints)
    if found is None:
        return Progress(), None
    snapshot.restore(learner, found.tensors, found.state["random"])
    progress = Progress.from_json(found.state["progress"])
    assert progress.record is not None
    spool.append(place.spool, progress.record)
    log.info("resumed", extra={"round": progress.round, "checkpoint": str(found.directory)})
    ahead = found.files.get(AHEAD)
    return progress, Collected.from_bytes(ahead) if ahead else None


def open_ports(config: NodeConfig, place: Place) -> tuple[Notary | None, Exchange | None]:
    """The attestor's socket and the exchange, where the configuration has a chain and an exchange."""
    if config.chain is None:
        return None, None
    from kubeswarm_workers.attest import open_notary

    notary = open_notary(place.path(names.ATTESTOR_SOCKET))
    if config.exchange is None:
        return notary, None
    from kubeswarm_workers.exchange import open_exchange

    return notary, open_exchange(config, place.path(names.EXCHANGE_CREDENTIALS_FILE), notary)
