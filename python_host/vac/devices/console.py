"""Console at 0x00: bytes in, bytes out.

| register | `in` | `out` |
|---|---|---|
| 0 data | next input byte, waiting for it; refused at the end of the input | low byte goes out |
| 1 count | input bytes in the read window; 0 at the end | refused |

System call `read` gives bytes of the read window, none at the end; `write` takes every byte.
"""

from __future__ import annotations

import io
import select
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from ..isa.ports import CONSOLE_COUNT, CONSOLE_DATA
from .device import (
    ACCEPTED,
    REFUSAL,
    Access,
    BaseDevice,
    DeviceStateError,
    Reply,
    counted,
    packed,
    saved_bytes,
    saved_number,
)

INPUT_BYTES = 1 << 16
"""Capacity of the ring that input waits in."""
RECENT_BYTES = 1 << 12
"""Capacity of the ring that keeps the last output."""


class ReadWindow(Enum):
    """How much a program gets at once. Under the last two that depends on the bytes alone, not on when they came."""

    ARRIVED = "arrived"
    """What is there, at least one byte. `count` does not wait: it is 0 while nothing has come."""
    LINE = "line"
    """As far as the next line feed."""
    FULL = "full"
    """All that was asked for."""


class ByteSource(Protocol):
    """A buffered binary stream: `io.BytesIO`, an open file, `sys.stdin.buffer`."""

    def read1(self, size: int, /) -> bytes: ...

    def fileno(self) -> int: ...

    def seekable(self) -> bool: ...

    def seek(self, offset: int, whence: int, /) -> int: ...


class Console(BaseDevice):
    """source: where input comes from. sink: called with each run of output bytes.

    Any window ends at the end of the input, and where the input ring is full.
    """

    def __init__(
        self,
        source: ByteSource | bytes = b"",
        sink: Callable[[bytes], object] = lambda data: None,
        window: ReadWindow = ReadWindow.ARRIVED,
    ) -> None:
        self._source: ByteSource = io.BytesIO(source) if isinstance(source, bytes) else source
        self._sink = sink
        self._window = window
        self._buffer = b""
        self.taken = 0
        """Input bytes that the program has had."""
        self.given = 0
        """Output bytes that it has sent."""
        self.recent = b""
        """The last of these, at most RECENT_BYTES."""
        self.is_waiting = False
        """True while the host waits for input to come; whoever interrupts it leaves the machine at a clean tick."""

    def read_register(self, register: int, tick: int) -> Reply:
        if register == CONSOLE_DATA:
            data = self.read(1)
            return Reply(data[0]) if data else REFUSAL
        if register == CONSOLE_COUNT:
            if self._window is ReadWindow.ARRIVED and not self._buffer and not self._is_ready():
                return Reply(0)
            return counted(self._available(INPUT_BYTES))
        return REFUSAL

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        if register != CONSOLE_DATA:
            return REFUSAL
        self.write(bytes([value & 0xFF]))
        return ACCEPTED

    def read(self, length: int) -> bytes:
        length = min(length, self._available(min(length, INPUT_BYTES))) if length else 0
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        self.taken += len(data)
        return data

    def write(self, data: bytes) -> int:
        self._sink(data)
        self.given += len(data)
        self.recent = (self.recent + data[-RECENT_BYTES:])[-RECENT_BYTES:]
        return len(data)

    def follow(self, access: Access) -> None:
        if access.is_output:
            self.write(access.data if access.register is None else bytes([access.value & 0xFF]))
        elif access.register in (None, CONSOLE_DATA):
            length = len(access.data) if access.register is None else 1
            self.taken += length
            self._buffer = self._buffer[length:]  # what a checkpoint had read ahead

    def save(self) -> dict[str, Any]:
        return {
            "taken": self.taken,
            "given": self.given,
            "ahead": packed(self._buffer),
            "recent": packed(self.recent),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Goes on with what had been read ahead, and then with the source, which is moved to where it was, if it can
        be moved. Raises DeviceStateError."""
        taken, given = saved_number(saved, "taken"), saved_number(saved, "given")
        ahead, recent = saved_bytes(saved, "ahead"), saved_bytes(saved, "recent")
        distance = taken + len(ahead) - self.taken - len(self._buffer)
        try:
            if self._source.seekable():
                self._source.seek(distance, io.SEEK_CUR)
        except (OSError, ValueError) as error:
            raise DeviceStateError(f"the console's input cannot be moved by {distance} bytes: {error}") from error
        self._buffer, self.taken, self.given, self.recent = ahead, taken, given, recent

    def _available(self, wanted: int) -> int:
        """Bytes of the read window, in the ring when this returns; may stop counting at `wanted`."""
        if self._window is ReadWindow.ARRIVED:
            if not self._buffer:
                self._fill()
            return len(self._buffer)
        while True:
            line = self._buffer.find(b"\n") + 1 if self._window is ReadWindow.LINE else 0
            if line or len(self._buffer) >= wanted or not self._fill():
                return line or len(self._buffer)

    def _fill(self) -> bool:
        """Takes in what has come, waiting for something; False at the end."""
        self.is_waiting = True
        try:
            arrived = self._source.read1(INPUT_BYTES - len(self._buffer))
        finally:
            self.is_waiting = False
        self._buffer += arrived
        return bool(arrived)

    def _is_ready(self) -> bool:
        """True when reading would not wait."""
        try:
            return bool(select.select([self._source.fileno()], [], [], 0)[0])
        except (OSError, ValueError):  # bytes in memory have no file number
            return True
