"""Entries of an input log as bytes.

An entry is: how many ticks after the entry before it, what is there (one byte), the address or call, then of the
answer what differs from an empty one. Numbers are LEB128: seven bits a byte, low ones first, the top bit set where
more follow.

| bit of the second field | meaning |
|---|---|
| 0–1 | kind: 0 `in`, 1 `out`, 2 `sys` |
| 2 | refused |
| 3 | a value follows |
| 4 | a trap follows |
| 5 | windows follow: their number, then index, slot, base, length and permissions of each |
| 6 | writes follow: their number, then slot, offset, length and bytes of each |
"""

from __future__ import annotations

from ..image.image import ImageError, Window
from ..isa.limits import WINDOWS
from ..isa.traps import Trap
from ..machine.protocol import Answer, EventKind
from .input_log import Entry, InputLogError

_KINDS = (EventKind.DEVICE_IN, EventKind.DEVICE_OUT, EventKind.SYSTEM_CALL)
_REFUSED, _VALUE, _TRAP, _WINDOWS, _WRITES = 4, 8, 16, 32, 64
_MOST_BITS = 64


def append_number(out: bytearray, value: int) -> None:
    """Raises InputLogError for what is no unsigned number of 64 bits."""
    if not 0 <= value < 1 << _MOST_BITS:
        raise InputLogError(f"{value} is no number of {_MOST_BITS} bits")
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def read_number(data: bytes, position: int) -> tuple[int, int]:
    """A number and the position behind it. Raises InputLogError where it does not end or is written too long."""
    value = shift = 0
    while True:
        if position >= len(data):
            raise InputLogError("it ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value >> _MOST_BITS or (byte == 0 and shift):
                raise InputLogError("a number is too long")
            return value, position
        shift += 7
        if shift >= 70:
            raise InputLogError("a number is too long")


def encode_entry(entry: Entry, previous_tick: int) -> bytes:
    """previous_tick: of the entry before, 0 for the first. Raises InputLogError for what no run records."""
    answer = entry.answer
    out = bytearray()
    append_number(out, entry.tick - previous_tick)
    flags = _KINDS.index(entry.kind)
    flags |= _REFUSED if answer.refused else 0
    flags |= _VALUE if answer.value else 0
    flags |= _TRAP if answer.trap else 0
    flags |= _WINDOWS if answer.windows else 0
    flags |= _WRITES if answer.writes else 0
    out.append(flags)
    append_number(out, entry.number)
    if answer.value:
        append_number(out, answer.value)
    if answer.trap:
        out.append(answer.trap)
    if answer.windows:
        append_number(out, len(answer.windows))
        for index, window in answer.windows:
            for number in (index, window.slot, window.base, window.length, window.permissions):
                append_number(out, number)
    if answer.writes:
        append_number(out, len(answer.writes))
        for slot, offset, data in answer.writes:
            for number in (slot, offset, len(data)):
                append_number(out, number)
            out += data
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def number(self) -> int:
        value, self._position = read_number(self._data, self._position)
        return value

    def byte(self) -> int:
        return self.bytes(1)[0]

    def bytes(self, length: int) -> bytes:
        found = self._data[self._position : self._position + length]
        if len(found) != length:
            raise InputLogError(f"it ends inside {length} bytes")
        self._position += length
        return found

    def finish(self) -> None:
        if self._position != len(self._data):
            raise InputLogError(f"{len(self._data) - self._position} bytes too many")


def decode_entry(data: bytes, previous_tick: int) -> Entry:
    """Inverse of `encode_entry`. Raises InputLogError for anything that it does not write."""
    reader = _Reader(data)
    tick, flags = previous_tick + reader.number(), reader.byte()
    if flags >> 7 or flags & 3 >= len(_KINDS):
        raise InputLogError(f"there is no entry of form {flags:#04x}")
    number = reader.number()
    value = reader.number() if flags & _VALUE else 0
    try:
        trap = Trap(reader.byte()) if flags & _TRAP else Trap.NONE
        windows = tuple(_window(reader) for _ in range(reader.number())) if flags & _WINDOWS else ()
    except (ValueError, ImageError) as error:
        raise InputLogError(str(error)) from error
    writes: list[tuple[int, int, bytes]] = []
    if flags & _WRITES:
        for _ in range(reader.number()):
            slot, offset, length = reader.number(), reader.number(), reader.number()
            writes.append((slot, offset, reader.bytes(length)))
    reader.finish()
    is_empty = (flags & _VALUE and not value) or (flags & _TRAP and not trap) or (flags & _WINDOWS and not windows)
    if is_empty or (flags & _WRITES and not writes):
        raise InputLogError("it says that something follows that does not")
    answer = Answer(value, bool(flags & _REFUSED), trap, windows, tuple(writes))
    return Entry(tick, _KINDS[flags & 3], number, answer)


def _window(reader: _Reader) -> tuple[int, Window]:
    index = reader.number()
    if index >= WINDOWS:
        raise InputLogError(f"window {index} does not exist")
    window = Window(reader.number(), reader.number(), reader.number(), reader.number())
    window.check()
    return index, window
