"""A client of the remote serial protocol, written from the protocol alone."""

from __future__ import annotations

import socket


class Client:
    """Talks to a server over a socket. Every answer is waited for."""

    def __init__(self, connection: socket.socket, acknowledges: bool = True) -> None:
        self._socket = connection
        self._acknowledges = acknowledges
        self._held = b""

    @staticmethod
    def connect(port: int) -> Client:
        return Client(socket.create_connection(("127.0.0.1", port)))

    def close(self) -> None:
        self._socket.close()

    def ask(self, payload: bytes | str) -> str:
        """The reply to a packet, as text."""
        self.send(payload)
        return self.reply()

    def send(self, payload: bytes | str) -> None:
        data = payload.encode("latin-1") if isinstance(payload, str) else payload
        self._socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 0xFF))
        if self._acknowledges:
            assert self._take(1) == b"+"

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reply(self) -> str:
        assert self._take(1) == b"$"
        body = b""
        while not body.endswith(b"#"):
            body += self._take(1)
        assert int(self._take(2), 16) == sum(body[:-1]) & 0xFF
        if self._acknowledges:
            self._socket.sendall(b"+")
        return expanded(body[:-1]).decode("latin-1")

    def stop_acknowledging(self) -> None:
        assert self.ask("QStartNoAckMode") == "OK"
        self._acknowledges = False

    def monitor(self, line: str) -> str:
        return bytes.fromhex(self.ask("qRcmd," + line.encode().hex())).decode()

    def register(self, number: int) -> int:
        return int.from_bytes(bytes.fromhex(self.ask(f"p{number:x}")), "little")

    def read_one(self) -> bytes:
        return self._take(1)

    def _take(self, count: int) -> bytes:
        while len(self._held) < count:
            data = self._socket.recv(4096)
            assert data, "the server has closed the connection"
            self._held += data
        taken, self._held = self._held[:count], self._held[count:]
        return taken


def expanded(body: bytes) -> bytes:
    """A packet's body without escapes and runs, by the rules of the protocol."""
    out = b""
    rest = list(body)
    while rest:
        byte = rest.pop(0)
        if byte == ord("}"):
            out += bytes([rest.pop(0) ^ 0x20])
        elif byte == ord("*"):
            out += out[-1:] * (rest.pop(0) - 29)
        else:
            out += bytes([byte])
    return out
