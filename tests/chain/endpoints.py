"""Servers that answer otherwise than they should."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint(BaseHTTPRequestHandler):
    """Answers each request by status and body; the connections that it was asked on, one entry a request."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, int]]

    def answer(self) -> tuple[int, bytes]:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.asked.append(self.client_address)
        status, body = self.answer()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    @property
    def is_first(self) -> bool:
        """Whether this is the connection that was asked on first."""
        return self.client_address == self.asked[0]


@contextmanager
def serving(kind: type[Endpoint]) -> Iterator[str]:
    """The URL of one."""
    handler = type("Handler", (kind,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
