"""A network between a client and its server that is slow, or loses answers: a TCP proxy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class BadNetwork:
    """target: port on this machine. delay_seconds: added to every answer. lost_answers: how many answers to requests
    that start with `method` still get lost, with their connections."""

    def __init__(self, target: int) -> None:
        self.delay_seconds = 0.0
        self.lost_answers = 0
        self.method = b"PUT"
        self.requests = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection; each answer is passed on by a thread of its own."""
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            is_doomed = threading.Event()
            threading.Thread(target=self._answer, args=(server, client, is_doomed), daemon=True).start()
            while True:
                try:
                    data = client.recv(1 << 16)
                    if not data:
                        return
                    if data.startswith(self.method) and b"/objects/" in data.split(b"\r\n")[0]:
                        self.requests += 1
                        if self.lost_answers:
                            self.lost_answers -= 1
                            is_doomed.set()
                    server.sendall(data)
                except OSError:
                    return

    def _answer(self, server: socket.socket, client: socket.socket, is_doomed: threading.Event) -> None:
        while True:
            try:
                data = server.recv(1 << 16)
                time.sleep(self.delay_seconds)
                if is_doomed.is_set() or not data:
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.close()


@contextmanager
def bad_network(target: int) -> Iterator[BadNetwork]:
    """A proxy that is there while the block runs."""
    network = BadNetwork(target)
    try:
        yield network
    finally:
        network.close()
