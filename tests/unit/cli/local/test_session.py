"""A run ends with the reason of a Node that gave up."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from kubeswarm_api import names
from kubeswarm_api.reports import NodeReport, Phase
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local.directory import RunDirectory
from kubeswarm_cli.local.node import LocalNode
from kubeswarm_cli.local.session import Session
from kubeswarm_cli.local.swarm_file import read

FILE = Path(__file__).parents[4] / "examples" / "tiny.yaml"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Of one Node that was not started."""
    directory = RunDirectory(tmp_path)
    run = directory.begin(read(FILE), FILE, chain=False, share=False, model=None, threads=None)
    made = Session(directory, run)
    common = {"model_root": Path("/"), "swarm_id": made.swarm_id, "chain": None, "exchange": None}
    made.nodes.append(LocalNode(directory, run, 0, python=Path("/bin/true"), **common))
    return made


@pytest.fixture
def failed(session: Session) -> Iterator[NodeReport]:
    """What its trainer says of itself."""
    report = NodeReport(phase=Phase.FAILED, message="round 3: the loss is nan: lower algorithm.learningRate", round=2)

    class Trainer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(report.to_json()).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    node_config = session.nodes[0]
    server = HTTPServer(("127.0.0.1", names.TRAINER_PORT + node_config._offset.value), Trainer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield report
    server.shutdown()


def test_a_trainer_that_gave_up_ends_the_run(session: Session, failed: NodeReport) -> None:
    with pytest.raises(CommandError, match=f"tiny-0: {failed.message}"):
        session.look()
