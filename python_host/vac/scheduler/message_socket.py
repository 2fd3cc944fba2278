"""Messages between two processes over a pair of connected sockets.

A message is a pickled object behind its length, eight bytes, low byte first. Only for processes that trust each other.
"""

from __future__ import annotations

import pickle
import socket
from select import POLLIN, poll
from typing import Any

_LENGTH_BYTES = 8
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
"""A message to a process that has ended is an error here. Without this it would be the signal SIGPIPE as well, which
ends a program in which somebody has given that signal its default action back."""


class MessageSocket:
    """One end. end: of a connected stream socket, which this object closes. Not for two threads at a time."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        """The descriptor, for who waits for several of these. -1 once closed."""
        return self._end.fileno()

    def send(self, message: Any) -> None:
        """Raises OSError when the other end is closed."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._end.sendall(len(data).to_bytes(_LENGTH_BYTES, "little") + data, _NO_SIGNAL)

    def poll(self) -> bool:
        """Whether `recv` would find the beginning of a message, or the end of all. Raises OSError when closed."""
        if self._end.fileno() < 0:
            raise OSError("this end is closed")
        waiting = poll()
        waiting.register(self._end, POLLIN)
        return bool(waiting.poll(0))

    def recv(self) -> Any:
        """The next message, once it is there. Raises EOFError when the other end is closed, and OSError."""
        return pickle.loads(self._take(int.from_bytes(self._take(_LENGTH_BYTES), "little")))

    def close(self) -> None:
        """Can be called again."""
        self._end.close()

    def _take(self, count: int) -> bytes:
        """So many bytes, and not one more: what comes behind them is to be seen by who waits for this descriptor."""
        found = self._end.recv(count, socket.MSG_WAITALL)
        while len(found) < count:
            more = self._end.recv(count - len(found), socket.MSG_WAITALL)
            if not more:
                raise EOFError
            found += more
        return found
