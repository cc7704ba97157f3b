"""The dashboard asks only for metrics and labels that exist, and the chart's copy is up to date."""

import json
import re
from typing import Any

import pytest
import yaml

from hack.generate import dashboard
from kubeswarm_api import metrics

#: What the scraper adds to each series (charts/kubeswarm/templates/prometheus.yaml).
TARGET_LABELS = {"swarm", "node", "pod", "namespace", "job"}
BY_NAME = {metric.name: metric for metric in metrics.ALL}
QUERIES = list(dashboard.queries(dashboard.build()))
ALERTS = dashboard.PATH.parents[1] / "files" / "alerts.yaml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def series(name: str) -> metrics.Metric | None:
    """The metric that a series belongs to; a histogram's have suffixes."""
    if name in BY_NAME:
        return BY_NAME[name] if BY_NAME[name].kind != "histogram" else None
    base = BY_NAME.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return base if base is not None and base.kind == "histogram" else None


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.panel)
def test_a_query_uses_known_metrics_and_labels(query: dashboard.Query) -> None:
    check(query.expression)


def check(expression: str) -> None:
    names = set(re.findall(r"kubeswarm_\w+", expression))
    assert names
    known: set[str] = set(TARGET_LABELS)
    for name in names:
        metric = series(name)
        assert metric is not None, f"{name} is in no table"
        known |= set(metric.labels) | ({"le"} if name.endswith("_bucket") else set())
        rated = re.search(rf"(rate|increase)\({name}\b", expression) is not None
        counter = metric.kind == "counter" or name.endswith(("_bucket", "_sum", "_count"))
        assert counter or not rated, f"{name} is a gauge: it has no rate"
    used = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    used |= set(re.findall(r"[{,]\s*(\w+)=", expression))
    assert used <= known


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_uses_known_metrics_and_labels(rule: dict[str, Any]) -> None:
    check(rule["expr"])
    shown = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    kept = re.findall(r"by \(([^)]*)\)", rule["expr"])
    assert shown <= {label.strip() for group in kept for label in group.split(",")}
    assert rule["labels"]["severity"] in ("info", "warning", "critical")


def test_every_metric_is_shown() -> None:
    shown = " ".join(query.expression for query in QUERIES)
    assert [metric.name for metric in metrics.ALL if metric.name not in shown] == []


def test_variables_are_filled_in() -> None:
    for query in QUERIES:
        assert "$" not in query.concrete()


def test_the_charts_copy_is_up_to_date() -> None:
    assert json.loads(dashboard.PATH.read_text(encoding="utf-8")) == dashboard.build()
