"""A signing service with the parts of Web3Signer's eth1 API that we use, written from its documentation.

GET /api/v1/eth1/publicKeys answers a JSON list of public keys (0x and 128 hex digits). POST /api/v1/eth1/sign/{key}
with {"data": "0x..."} answers, as text, r, s and v of the signature over keccak256(data); 404 for a key that it lacks.
"""

import http.server
import json
import threading
from collections.abc import Callable
from typing import ClassVar

from eth_keys.constants import SECPK1_N
from eth_keys.datatypes import PrivateKey


def plain(data: bytes) -> bytes:
    return data


def high(data: bytes) -> bytes:
    """The same signature with the other s and v from 0, as some hardware gives it."""
    s = SECPK1_N - int.from_bytes(data[32:64])
    return data[:32] + s.to_bytes(32) + bytes([(data[64] - 27) ^ 1])


class SigningService:
    """Holds one key. `form` changes a signature's bytes before they are told; `text` replaces the whole answer."""

    def __init__(self, private_key: str, form: Callable[[bytes], bytes] = plain, text: str | None = None) -> None:
        key = PrivateKey(bytes.fromhex(private_key[2:]))
        self.form, self.text = form, text
        self.credentials: set[str | None] = set()
        self.signed: list[bytes] = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            api: ClassVar[str] = "/api/v1/eth1/"

            def do_GET(self) -> None:
                service.credentials.add(self.headers.get("Authorization"))
                self.say(200, json.dumps([key.public_key.to_hex()]))

            def do_POST(self) -> None:
                service.credentials.add(self.headers.get("Authorization"))
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != f"{self.api}sign/{key.public_key.to_hex()}":
                    self.say(404, "")
                    return
                data = bytes.fromhex(body["data"][2:])
                service.signed.append(data)
                made = key.sign_msg(data)
                signature = made.r.to_bytes(32) + made.s.to_bytes(32) + bytes([made.v + 27])
                self.say(200, service.text if service.text is not None else "0x" + service.form(signature).hex())

            def say(self, status: int, text: str) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
