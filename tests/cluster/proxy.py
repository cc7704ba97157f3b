"""A TCP proxy before the API server, whose connections can be made to fall silent: what a broken network does."""

import socket
import threading
from typing import Literal

#: Whence it connects to the server: so the audit log tells its requests from others'.
ADDRESS = "127.0.0.5"
Network = Literal["whole", "silent", "old connections silent"]


class Proxy:
    """Listens on a port of its own until `close`."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._silent = threading.Event()
        self._generation = 0
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, network: Network) -> None:
        """How the network is from now on: bytes that come while it is silent are lost, and nobody is told."""
        if network == "old connections silent":
            self._generation += 1
        elif network == "silent":
            self._generation += 1
            self._silent.set()
        else:
            self._silent.clear()

    def close(self) -> None:
        """Ends all of it."""
        self._listener.close()
        for each in list(self._open):
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        if self._silent.is_set():  # it is connected to, and hears nothing
            return
        generation = self._generation
        server = socket.create_connection(self._server, source_address=(ADDRESS, 0))
        self._open.add(server)
        threading.Thread(target=self._copy, args=(server, client, generation), daemon=True).start()
        self._copy(client, server, generation)

    def _copy(self, source: socket.socket, target: socket.socket, generation: int) -> None:
        try:
            while data := source.recv(65536):
                if generation == self._generation:
                    target.sendall(data)
        except OSError:
            pass
        if generation == self._generation:  # else not even the end is told
            for each in (source, target):
                each.close()
                self._open.discard(each)
