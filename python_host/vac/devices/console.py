"""Console at 0x00: bytes in, bytes out.

| register | `in` | `out` |
|---|---|---|
| 0 data | next input byte, waiting for it; refused at the end of the input | low byte goes out |
| 1 count | input bytes here now; 0 while none has come, and at the end | refused |

System call `read` gives what is there, at least one byte, none at the end; `write` takes every byte.
"""

from __future__ import annotations

import io
import select
from collections.abc import Callable
from typing import Any, Protocol

from ..isa.ports import CONSOLE_COUNT, CONSOLE_DATA
from .device import ACCEPTED, REFUSAL, DeviceStateError, Reply, counted, packed, saved_bytes, saved_number

_CHUNK = 65536


class ByteSource(Protocol):
    """A buffered binary stream: `io.BytesIO`, an open file, `sys.stdin.buffer`."""

    def read1(self, size: int, /) -> bytes: ...

    def fileno(self) -> int: ...

    def seekable(self) -> bool: ...

    def seek(self, offset: int, whence: int, /) -> int: ...


class Console:
    """source: where input comes from. sink: called with each run of output bytes."""

    def __init__(self, source: ByteSource | bytes = b"", sink: Callable[[bytes], object] = lambda data: None) -> None:
        self._source: ByteSource = io.BytesIO(source) if isinstance(source, bytes) else source
        self._sink = sink
        self._buffer = b""
        self.taken = 0
        """Input bytes that the program has had."""
        self.given = 0
        """Output bytes that it has sent."""
        self.is_waiting = False
        """True while the host waits for input to come; whoever interrupts it leaves the machine at a clean tick."""

    def read_register(self, register: int, tick: int) -> Reply:
        if register == CONSOLE_DATA:
            data = self.read(1)
            return Reply(data[0]) if data else REFUSAL
        if register == CONSOLE_COUNT:
            if not self._buffer and self._is_ready():
                self._fill()
            return counted(len(self._buffer))
        return REFUSAL

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        if register != CONSOLE_DATA:
            return REFUSAL
        self.write(bytes([value & 0xFF]))
        return ACCEPTED

    def read(self, length: int) -> bytes:
        if length and not self._buffer:
            self._fill()
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        self.taken += len(data)
        return data

    def write(self, data: bytes) -> int:
        self._sink(data)
        self.given += len(data)
        return len(data)

    def save(self) -> dict[str, Any]:
        return {"taken": self.taken, "given": self.given, "ahead": packed(self._buffer)}

    def restore(self, saved: dict[str, Any]) -> None:
        """Goes on with what had been read ahead, and then with the source, which is moved to where it was, if it can
        be moved. Raises DeviceStateError."""
        taken, given = saved_number(saved, "taken"), saved_number(saved, "given")
        ahead = saved_bytes(saved, "ahead")
        distance = taken + len(ahead) - self.taken - len(self._buffer)
        try:
            if self._source.seekable():
                self._source.seek(distance, io.SEEK_CUR)
        except (OSError, ValueError) as error:
            raise DeviceStateError(f"the console's input cannot be moved by {distance} bytes: {error}") from error
        self._buffer, self.taken, self.given = ahead, taken, given

    def _fill(self) -> None:
        self.is_waiting = True
        try:
            self._buffer = self._source.read1(_CHUNK)
        finally:
            self.is_waiting = False

    def _is_ready(self) -> bool:
        """True when reading would not wait."""
        try:
            return bool(select.select([self._source.fileno()], [], [], 0)[0])
        except (OSError, ValueError):  # bytes in memory have no file number
            return True
