"""The demo from its first stage to its last."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rich.console import Console

from hack.cluster.layout import REPOSITORY
from hack.console import Problem, say
from hack.demo import chart, objects, panels, report, target
from hack.demo.forward import forwarded
from hack.demo.memory import PeakMemory
from hack.demo.stages import Stages
from hack.demo.target import Target
from kubeswarm_cli import ledger, progress
from kubeswarm_cli.cluster import Cluster, Swarm
from kubeswarm_cli.main import PLAIN_WIDTH
from kubeswarm_cli.report import Report, make_report, report_table

CHAIN = (f"{chart.RELEASE}-chain", 8545)
PROMETHEUS = (f"{chart.RELEASE}-prometheus", 9090)
#: Prometheus keeps a pod's last samples, and scrapes once more after completion.
AFTERWARDS = timedelta(minutes=5)
#: A fault may pass: an image that is still being loaded, a pod that is started again.
PATIENCE_SECONDS = 300.0


def up(stages: Stages, cluster: Target, *, images_present: bool, timeout: float) -> None:
    """Everything after the cluster itself. Raises Problem, CommandError, ChainError at the first stage that fails."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    with stages.stage("images", "build what changed and give it to the cluster"):
        builds = target.provide_images(cluster, present=images_present)
    with stages.stage("chart", f"helm upgrade --install {chart.RELEASE} charts/kubeswarm"):
        chart.install(cluster, builds)
    view = objects.cluster(cluster)
    with PeakMemory() as memory:
        trained = _train(stages, cluster, view, console, timeout)
        with stages.stage("report", "read the chain and ask Prometheus every query of the dashboard"):
            swarm = view.swarm(objects.SWARM)
            before = report.earlier(swarm.uid)
            peaks = _merged(before.peak_memory, memory.peaks(chart.NAMESPACE, objects.NAMESPACE))
            with forwarded(cluster, chart.NAMESPACE, *CHAIN) as url:
                chain = ledger.connect(url)
                made = make_report(swarm, lambda *ids: ledger.attestations(chain, *ids), peaks)
            shown = before.panels
            if trained or shown is None or shown.empty:  # Prometheus forgets; what it had once said stays true
                with forwarded(cluster, chart.NAMESPACE, *PROMETHEUS) as url:
                    end = min(datetime.now(UTC), _last_change(swarm) + AFTERWARDS)
                    shown = panels.ask(url, swarm.created, end)
    training = stages.seconds if trained else before.training_stages
    report.write(report.as_json(made, stages.seconds, training, peaks, shown))
    console.print(report_table(made))
    filled = shown.queries - len(shown.empty)
    say(f"the dashboard: {filled} of {shown.queries} queries have data; report written to {report.PATH}")
    _tell_more(cluster, made)
    if shown.empty:
        raise Problem("panels of the dashboard that show nothing:\n  " + "\n  ".join(shown.empty))


def _train(stages: Stages, cluster: Target, view: Cluster, console: Console, timeout: float) -> bool:
    """Apply the Swarm and follow it to its end, then the visitor; returns whether anything was left to train."""

    def swarm() -> Swarm:
        return view.swarm(objects.SWARM)

    def visited(seen: Swarm) -> bool:
        return any(node.name == objects.VISITOR and node.complete for node in seen.nodes)

    already = []
    for name, path, done in (
        ("train", objects.SWARM_FILE, lambda seen: seen.complete),
        ("visit", objects.VISITOR_FILE, visited),
    ):
        with stages.stage(name, f"kubectl apply -f {path.relative_to(REPOSITORY)}"):
            say(objects.apply(cluster, path))
            already.append(done(swarm()))
            if already[-1]:
                say("complete from an earlier run: nothing to train")
            else:
                progress.watch(console, impatient(progress.follow(swarm, timeout, done)))
    return not all(already)


def impatient(
    states: Iterator[tuple[float, Swarm]], patience: float = PATIENCE_SECONDS
) -> Iterator[tuple[float, Swarm]]:
    """The same states; raises Problem once the same faults have stood for `patience` seconds without a round done."""
    since, before = 0.0, None
    for seconds, swarm in states:
        now = (progress.problems(swarm), [node.status.round for node in swarm.nodes])
        if now != before:
            since, before = seconds, now
        if now[0] and seconds - since > patience:
            raise Problem(f"nothing moved for {patience:.0f} s:\n  " + "\n  ".join(now[0]))
        yield seconds, swarm


def _last_change(swarm: Swarm) -> datetime:
    """When a condition of the Swarm or of one of its Nodes last changed: nothing happens after that."""
    conditions = [*swarm.status.conditions, *(one for node in swarm.nodes for one in node.status.conditions)]
    return max((datetime.fromisoformat(one.last_transition_time) for one in conditions), default=swarm.created)


def _merged(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {pod: max(first.get(pod, 0), second.get(pod, 0)) for pod in sorted(first.keys() | second.keys())}


def _tell_more(cluster: Target, made: Report) -> None:
    if cluster.layout is not None:
        for node in made.nodes:
            say(f"the model of {node.name}: {objects.local_path(cluster, node.model.claim)}/{node.model.folder}")
    namespace = chart.NAMESPACE
    say("the cluster stays up. To look further:")
    for line in (
        f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.kubectl.parent}:$PATH",
        "kubectl get swarms,swarmnodes,pods            kubectl describe swarm first-light",
        f"kubectl -n {namespace} port-forward svc/{CHAIN[0]} {CHAIN[1]} &",
        f".venv/bin/kubeswarm rounds first-light-0 --chain-url http://localhost:{CHAIN[1]}",
        f"kubectl -n {namespace} port-forward svc/{PROMETHEUS[0]} {PROMETHEUS[1]} &   # Grafana's data source",
        "charts/kubeswarm/dashboards/kubeswarm.json    # its dashboard, to be imported",
        "make demo-down                                # removes all of it",
    ):
        print(f"  {line}")


def down() -> None:
    """Remove what `up` made, and the cluster itself if `up` started it. Raises Problem."""
    cluster = target.find()
    if cluster is None:
        say("there is no demo: the local cluster was never started")
        return
    if cluster.layout is not None and target.take_down(cluster.layout):
        say("the cluster is gone, with all that was on it; built images and programs stay in the cache")
        return
    objects.remove(cluster)
    chart.uninstall(cluster)
    say("the demo is removed; the cluster was there before it, and stays")
