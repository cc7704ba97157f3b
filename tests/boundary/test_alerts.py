"""The chart's alert rules in a Prometheus that scrapes a trainer whose reward is being gamed, and one that is well."""

import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from hack.cluster.binaries import ensure_programs
from hack.cluster.layout import cache_folder
from kubeswarm_workers.report import serve
from tests.unit.workers.test_gaming import played

ALERTS = Path(__file__).parents[2] / "charts" / "kubeswarm" / "files" / "alerts.yaml"
CONSTANT = {"tasks": [{"name": "coin_flip"}], "scorer": "partial", "shots": 0}
SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def alerts(port: int) -> list[dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as answer:
            return json.loads(answer.read())["data"]["alerts"]
    except OSError:
        return []


def test_the_alert_fires_for_the_node_whose_reward_is_gamed(tmp_path: Path) -> None:
    program = ensure_programs(cache_folder(), ("prometheus",))["prometheus"]
    reports = {"gamed": played(CONSTANT, True)[0], "well": played(CONSTANT, False)[0]}
    servers = {node: serve("127.0.0.1", 0, report.registry.collectors) for node, report in reports.items()}
    scraped = [
        {
            "targets": [f"127.0.0.1:{server.server_port}"],
            "labels": {"namespace": "default", "swarm": "s", "node": node},
        }
        for node, server in servers.items()
    ]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "trainer", "static_configs": scraped}],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    options = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]  # fmt: skip
    with subprocess.Popen([program, *options]) as running:
        try:
            deadline = time.monotonic() + SECONDS
            while not (found := alerts(port)):
                assert running.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
        finally:
            running.kill()
            for server in servers.values():
                server.shutdown()
    [alert] = found
    assert alert["labels"] == {"alertname": "KubeSwarmRewardGamed", "severity": "warning", "namespace": "default",
                               "swarm": "s", "node": "gamed", "task": "coin_flip"}  # fmt: skip
    assert "kubeswarm rollouts --task coin_flip --best" in alert["annotations"]["description"]
