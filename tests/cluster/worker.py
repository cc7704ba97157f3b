"""What answers in the place of a head pod's containers."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kubeswarm_api.base import Model
from kubeswarm_api.names import ATTESTOR_PORT, TRAINER_PORT


class Worker:
    """Answers /status as the containers of a head pod do, on a loopback address of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.reports: dict[int, Model | bytes] = {}
        self._servers = [self._serve(port) for port in (TRAINER_PORT, ATTESTOR_PORT)]

    def _serve(self, port: int) -> ThreadingHTTPServer:
        worker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                report = worker.reports.get(port)
                body = report.model_dump_json(by_alias=True).encode() if isinstance(report, Model) else report
                self.send_response(200 if body else 503)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer((self.address, port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
