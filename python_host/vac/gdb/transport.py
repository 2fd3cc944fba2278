"""Where packets come from: a TCP connection, or standard input and output."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress

from ..debugger.session import Session
from .packets import Packet, PacketReader, Signal
from .server import Server

_PART_BYTES = 1 << 16


class Connection:
    """A stream of bytes both ways, by file descriptors. Reads give b"" at its end."""

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink

    def read(self) -> bytes:
        try:
            return os.read(self._source, _PART_BYTES)
        except OSError:
            return b""

    def is_ready(self) -> bool:
        """Whether something waits to be read."""
        return bool(select.select([self._source], [], [], 0)[0])

    def write(self, data: bytes) -> bool:
        """False where nobody takes it any more."""
        try:
            while data:
                data = data[os.write(self._sink, data) :]
        except OSError:
            return False
        return True


def serve(session: Session, connection: Connection, shape: str | None = None) -> bool:
    """One client from its first packet to its end. True when it asked that the session be ended."""
    server, reader = Server(session, shape), PacketReader()
    waiting: list[Packet | Signal] = []
    is_open = True

    def is_interrupted() -> bool:
        """While the session moves: keeps what comes, for afterwards; an interrupt ends the movement."""
        nonlocal is_open
        while is_open and connection.is_ready():
            data = connection.read()
            is_open = bool(data)
            waiting.extend(reader.feed(data))
        if Signal.INTERRUPT in waiting:
            waiting.remove(Signal.INTERRUPT)
            return True
        return not is_open

    session.poll = is_interrupted
    try:
        while not server.is_over:
            if not waiting:
                data = connection.read() if is_open else b""
                if not data:
                    break
                waiting += reader.feed(data)
                continue
            item = waiting.pop(0)
            # Who waits for an acknowledgement says nothing new before it comes, but the same again when it takes long.
            while server.acknowledges and isinstance(item, Packet) and waiting[:1] == [item]:
                waiting.pop(0)
            if not (connection.write(server.acknowledge(item)) and connection.write(server.take(item))):
                break
    finally:
        session.poll = None
        server.close()
    return server.is_killed


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes one client at a time. port 0: any that is free. Raises OSError."""
    return socket.create_server((host, port), backlog=1)


def serve_socket(
    session: Session, listener: socket.socket, shape: str | None = None, said: Callable[[str], object] = print
) -> None:
    """One client after another, until one kills the session. Each finds it where the one before left it."""
    while True:
        client, address = listener.accept()
        said(f"client from {address[0]}:{address[1]}")
        with client:
            with suppress(OSError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if serve(session, Connection(client.fileno(), client.fileno()), shape):
                return
        said("client gone")
