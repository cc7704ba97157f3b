"""Writes the Grafana dashboard into the chart: `python -m hack.generate.dashboard`.

Only metrics of kubeswarm_api.metrics are used. The labels swarm, node, pod and job come from the scraper, which takes
them from the pods' labels and ports.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TimeZoneBrowser
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableOption, VariableRefresh

from kubeswarm_api import metrics as m
from kubeswarm_api.metrics import Metric

PATH = Path(__file__).parents[2] / "charts" / "kubeswarm" / "dashboards" / "kubeswarm.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
SELECTED = '{swarm=~"$swarm", node=~"$node"}'


@dataclass(frozen=True)
class Panel:
    """One panel: its queries with their legends, and how many of the 24 columns it takes."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    width: int = 8
    description: str = ""
    single: bool = False


def _now(metric: Metric, by: str = "node", how: str = "max", selected: str = SELECTED) -> str:
    return f"{how} by ({by}) ({metric.name}{selected})"


def _rate(metric: Metric, by: str = "node", selected: str = SELECTED) -> str:
    return f"sum by ({by}) (rate({metric.name}{selected}[$__rate_interval]))"


def _mean(metric: Metric, by: str, selected: str = SELECTED) -> str:
    """The mean of a histogram's observations."""
    total, count = (f"rate({metric.name}_{part}{selected}[$__rate_interval])" for part in ("sum", "count"))
    return f"sum by ({by}) ({total}) / sum by ({by}) ({count})"


def _quantile(metric: Metric, quantile: float, by: str, selected: str = SELECTED) -> str:
    buckets = f"rate({metric.name}_bucket{selected}[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by (le, {by}) ({buckets}))"


def _or_zero(expression: str) -> str:
    """For what has no series before it first happens, which is hoped to be never."""
    return f"{expression} or vector(0)"


ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        Panel("Round", ((f"min({m.ROUND.name}{SELECTED})", ""),), width=4, single=True),
        Panel("Reward", ((f"avg({m.REWARD.name}{SELECTED})", ""),), width=4, single=True),
        Panel("Held-out reward", ((f"avg({m.HELD_OUT_REWARD.name}{SELECTED})", ""),), width=4, single=True),
        Panel("Tokens per second", ((f"sum(rate({m.TOKENS.name}{SELECTED}[$__rate_interval]))", ""),), width=4,
              single=True),
        Panel("Attested rounds", ((f"sum({m.ATTESTED_ROUNDS.name}{SELECTED})", ""),), width=4, single=True),
        Panel("Rounds not on the chain", ((f"sum({m.PENDING_ROUNDS.name}{SELECTED})", ""),), width=4, single=True),
    ),
    "Training": (
        Panel("Reward", ((_now(m.REWARD, by="node, task", how="avg"), "{{node}} {{task}}"),),
              description="Mean over the last round's own completions."),
        Panel("Held-out reward", ((_now(m.HELD_OUT_REWARD), "{{node}}"),),
              description="Mean over the fixed items that are never trained on."),
        Panel("Held-out, answered exactly", ((_now(m.HELD_OUT_EXACT), "{{node}}"),), unit="percentunit"),
        Panel("Rounds", ((_now(m.ROUND), "{{node}}"), (f"max({m.TARGET_ROUNDS.name}{SELECTED})", "wanted"))),
        Panel("Loss", ((_now(m.LOSS), "{{node}}"),)),
        Panel("Gradient norm, before clipping", ((_now(m.GRAD_NORM), "{{node}}"),)),
        Panel("Learning rate, and divergence from the base model",
              ((_now(m.LEARNING_RATE), "{{node}}"), (_now(m.REFERENCE_KL), "{{node}} KL"))),
        Panel("Rounds per minute", ((f"60 * {_rate(m.ROUNDS)}", "{{node}}"),)),
        Panel("Share of tokens that a bound acted on",
              ((_now(m.BOUNDED, by="node, origin, bound"), "{{node}} {{origin}} {{bound}}"),), unit="percentunit",
              description="clip: of the policy ratio; cap and mask: of the importance weight."),
        Panel("Effective sample share", ((_now(m.EFFECTIVE_SAMPLES, by="node, origin"), "{{node}} {{origin}}"),),
              unit="percentunit", description="Under the importance weights; 1 where all samples weigh the same."),
        Panel("Checkpoint", ((_now(m.CHECKPOINT_BYTES), "{{node}}"),), unit="bytes"),
    ),
    "Rewards": (
        Panel("Reward beside its strict part",
              ((_now(m.REWARD, by="node, task", how="avg"), "{{node}} {{task}} reward"),
               (_now(m.REWARD_COMPONENT, by="node, task", how="avg", selected=SELECTED[:-1] + ', component="strict"}'),
                "{{node}} {{task}} strict")),
              description="A reward that rises while its strict part doesn't is being gamed."),
        Panel("Reward is being gamed", ((_now(m.REWARD_GAMED, by="node, task"), "{{node}} {{task}}"),),
              description="1 while the mean reward has risen and the share of right answers has not risen with it."),
        Panel("Curriculum: factor of a task's weight",
              ((_now(m.TASK_EMPHASIS, by="node, task"), "{{node}} {{task}}"),)),
        Panel("Share of completions that are malformed", ((_now(m.MALFORMED, by="node, task", how="avg"),
                                                           "{{node}} {{task}}"),), unit="percentunit"),
        Panel("Parts of the reward",
              ((_now(m.REWARD_COMPONENT, by="node, task, component", how="avg"), "{{node}} {{task}} {{component}}"),),
              ),
        Panel("Length of completions, tokens", ((_now(m.COMPLETION_TOKENS, by="node, task", how="avg"),
                                                 "{{node}} {{task}}"),)),
        Panel("Share of completions that are cut off", ((_now(m.TRUNCATED, by="node, task", how="avg"),
                                                         "{{node}} {{task}}"),), unit="percentunit"),
        Panel("Completions not scored per minute",
              ((_or_zero(f"60 * {_rate(m.ENVIRONMENT_FAILURES, by='node, reason')}"), "{{node}} {{reason}}"),)),
        Panel("Half the 95 % interval of the held-out means", ((_now(m.HELD_OUT_ERROR, by="node, of"),
                                                                "{{node}} {{of}}"),)),
    ),
    "Rollouts": (
        Panel("Tokens sampled per second", ((_rate(m.TOKENS), "{{node}}"),)),
        Panel("Seconds a round by phase",
              ((_mean(m.PHASE_SECONDS, by="node, phase"), "{{node}} {{phase}}"),), unit="s"),
        Panel("Share of a round that waits for rollouts", ((_now(m.ROLLOUT_WAIT), "{{node}}"),), unit="percentunit",
              description="What more rollout pods can save: autoscalers go by it."),
        Panel("Log-probability gap, learner to sampler",
              ((_now(m.LOGPROB_GAP, by="node, origin"), "{{node}} {{origin}}"),),
              description="Mean absolute difference. Of local samples it stays near rounding (bf16: 0.01 to 0.05); a "
              "jump means that the engine doesn't run the learner's weights."),
        Panel("Mismatch: divergence of the sampler from the learner, and p99 of the ratio",
              ((_now(m.MISMATCH_KL, by="node, origin, estimator"), "{{node}} {{origin}} {{estimator}}"),
               (_now(m.MISMATCH_RATIO, by="node, origin", selected=SELECTED[:-1] + ', quantile="0.99"}'),
                "{{node}} {{origin}} p99"))),
        Panel("Samples trained per second", ((_rate(m.SAMPLES_TRAINED, by="node, origin"), "{{node}} {{origin}}"),)),
        Panel("Samples dropped per second", ((_or_zero(_rate(m.SAMPLES_DROPPED, by="node, reason")),
                                              "{{node}} {{reason}}"),)),
        Panel("Samples produced per second, and pending",
              ((_rate(m.SAMPLES_PRODUCED), "{{node}} produced"), (_now(m.SAMPLES_PENDING), "{{node}} pending"))),
        Panel("Engines: tokens per second, and ready",
              ((_rate(m.ENGINE_TOKENS, by="pod"), "{{pod}}"), (_now(m.ENGINE_READY, by="pod"), "{{pod}} ready"))),
        Panel("Engines: seconds of a call", ((_quantile(m.ENGINE_SECONDS, 0.9, by="pod"), "{{pod}} p90"),), unit="s"),
        Panel("Weight transfers per minute", ((f"60 * {_rate(m.WEIGHT_SYNCS, by='node, result')}",
                                               "{{node}} {{result}}"),)),
    ),
    "Exchange": (
        Panel("Connected", ((_now(m.EXCHANGE_CONNECTED, how="min"), "{{node}}"),), width=6),
        Panel("Batches published per minute", ((f"60 * {_rate(m.BATCHES_PUBLISHED)}", "{{node}}"),), width=6),
        Panel("Foreign groups per minute",
              ((f"60 * {_rate(m.GROUPS_RECEIVED)}", "{{node}} received"),
               (f"60 * {_rate(m.GROUPS_TAKEN)}", "{{node}} taken")), width=6),
        Panel("Foreign groups dropped per minute",
              ((_or_zero(f"60 * {_rate(m.GROUPS_DROPPED, by='node, reason')}"), "{{node}} {{reason}}"),), width=6),
    ),
    "Chain": (
        Panel("Rounds", ((_now(m.SPOOLED_ROUNDS), "{{node}} spooled"), (_now(m.ATTESTED_ROUNDS), "{{node}} attested"))),
        Panel("Rounds not on the chain", ((_now(m.PENDING_ROUNDS), "{{node}}"),)),
        Panel("Attestations sent", ((_now(m.ATTESTATIONS, how="sum"), "{{node}}"),)),
        Panel("Gas used", ((_now(m.ATTESTOR_GAS, how="sum"), "{{node}}"),),
              description="Of the transactions that the running attestors sent: registration, joining, attestations."),
        Panel("Balance of the Nodes' keys, ether", ((_now(m.ATTESTOR_BALANCE), "{{node}}"),)),
        Panel("Signatures, and failed attempts, per minute",
              ((f"60 * {_rate(m.SIGNATURES)}", "{{node}} signed"),
               (_or_zero(f"60 * {_rate(m.ATTESTOR_ERRORS, by='node, reason')}"), "{{node}} {{reason}}"))),
        Panel("Age of the oldest round that is not on the chain", ((_now(m.PENDING_SECONDS), "{{node}}"),), width=12,
              unit="s"),
        Panel("Records for which the volume has room", ((_now(m.SPOOL_ROOM, how="min"), "{{node}}"),), width=12),
    ),
    "Operator": (
        Panel("Passes per second", ((_rate(m.RECONCILES, by="kind, result", selected=""), "{{kind}} {{result}}"),)),
        Panel("Seconds of a pass", ((_quantile(m.RECONCILE_SECONDS, 0.5, by="kind", selected=""), "{{kind}} p50"),
                                    (_quantile(m.RECONCILE_SECONDS, 0.99, by="kind", selected=""), "{{kind}} p99")),
              unit="s"),
        Panel("Keys waiting", ((_now(m.QUEUE_DEPTH, by="kind", selected=""), "{{kind}}"),)),
        Panel("Requests to the Kubernetes API per second",
              ((_rate(m.API_REQUESTS, by="verb, resource, code", selected=""), "{{verb}} {{resource}} {{code}}"),),
              description="In steady state only the Lease is written."),
        Panel("Seconds since a watch's last event", ((_now(m.WATCH_AGE, by="resource", selected=""), "{{resource}}"),),
              unit="s"),
        Panel("Leader, Swarms and Nodes", ((_now(m.LEADER, by="pod", selected=""), "leader {{pod}}"),
                                           (_now(m.SWARMS, by="ready", selected=""), "Swarms, ready {{ready}}"),
                                           (_now(m.NODES, by="ready", selected=""), "Nodes, ready {{ready}}"))),
    ),
    "Log of runs": (
        Panel("Block, and how far behind the chain", ((_now(m.INDEXER_HEAD, by="pod", selected=""), "{{pod}} block"),
                                                      (_now(m.INDEXER_LAG, by="pod", selected=""), "{{pod}} behind"))),
        Panel("Events per second, and failures by reason",
              ((_rate(m.INDEXER_FACTS, by="pod", selected=""), "{{pod}} events"),
               (_or_zero(_rate(m.INDEXER_FAILURES, by="pod, reason", selected="")), "{{pod}} {{reason}}"))),
        Panel("Reorganisations, and depth of the last one",
              ((_now(m.INDEXER_REORGANISATIONS, by="pod", selected=""), "{{pod}}"),
               (_now(m.INDEXER_REORGANISATION_DEPTH, by="pod", selected=""), "{{pod}} depth"))),
        Panel("Seconds of an answer", ((_quantile(m.INDEXER_REQUEST_SECONDS, 0.5, by="route", selected=""),
                                        "{{route}} p50"),
                                       (_quantile(m.INDEXER_REQUEST_SECONDS, 0.99, by="route", selected=""),
                                        "{{route}} p99")), unit="s"),
    ),
}  # fmt: skip


def build() -> dict[str, Any]:
    """The dashboard as Grafana's JSON."""
    board = (
        dashboard.Dashboard("KubeSwarm")
        .uid("kubeswarm")
        .description("Swarms, their Nodes and the operator.")
        .tags(["kubeswarm", "generated"])
        .editable()
        .timezone(TimeZoneBrowser)
        .time("now-1h", "now")
        .refresh("10s")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_variable("swarm", f"label_values({m.ROUND.name}, swarm)"))
        .with_variable(_variable("node", f'label_values({m.ROUND.name}{{swarm=~"$swarm"}}, node)'))
    )
    number = 0
    for title, panels in ROWS.items():
        number += 1
        board.with_row(dashboard.Row(title).id(number))
        for panel in panels:
            number += 1
            board.with_panel(_panel(panel).id(number))
    return json.loads(JSONEncoder().encode(board.build()))


def _variable(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        # The operator's own series have neither label, and a Node in another cluster may lack one.
        .all_value(".*")
        .current(VariableOption(text="All", value="$__all"))
    )


def _panel(panel: Panel) -> stat.Panel | timeseries.Panel:
    if panel.single:
        built = stat.Panel().height(4)
    else:
        legend = (
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        built = timeseries.Panel().height(8).legend(legend).fill_opacity(8).line_width(1)
    built.title(panel.title).description(panel.description).unit(panel.unit).span(panel.width).datasource(SOURCE)
    for letter, (expression, legend) in zip("ABC", panel.queries, strict=False):
        built.with_target(prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend).range())
    return built


@dataclass(frozen=True)
class Query:
    """One query of a panel, as it stands in the dashboard."""

    panel: str
    expression: str

    def concrete(self, swarm: str = ".*", node: str = ".*", rate_interval: str = "1m") -> str:
        """The expression with the dashboard's variables filled in, for Prometheus itself."""
        values = {"$swarm": swarm, "$node": node, "$__rate_interval": rate_interval}
        return re.sub(r"\$\w+", lambda found: values[found.group()], self.expression)


def queries(board: dict[str, Any]) -> Iterator[Query]:
    """Every query of a dashboard, in the order of its panels."""
    row = ""
    for panel in board["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        for target in panel.get("targets", []):
            yield Query(panel=f"{row}: {panel['title']}", expression=target["expr"])


def main() -> None:
    """Writes the file."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(json.dumps(build(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
