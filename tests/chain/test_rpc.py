"""The client of the endpoint, against a server that is no chain at first."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kubeswarm_contracts import ChainUnreachable
from kubeswarm_contracts.rpc import Rpc

ANSWER = b'{"jsonrpc": "2.0", "id": 0, "result": "0x7a69"}'


class FirstConnectionIsNoChain(BaseHTTPRequestHandler):
    """As where a Service without endpoints led elsewhere: that connection answers 404 for as long as it is kept."""

    protocol_version = "HTTP/1.1"
    connections: list[tuple[str, int]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.client_address not in self.connections:
            self.connections.append(self.client_address)
        first = self.client_address == self.connections[0]
        body = b"" if first else ANSWER
        self.send_response(404 if first else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url() -> Iterator[str]:
    handler = type("Handler", (FirstConnectionIsNoChain,), {"connections": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_connection_that_leads_elsewhere_is_not_kept(url: str) -> None:
    rpc = Rpc(url)
    with pytest.raises(ChainUnreachable, match="HTTP status 404"):
        rpc.quantity("eth_chainId")
    assert rpc.quantity("eth_chainId") == 31337
