"""Storage at 0x30: the bytes of one file, read in order from a position that can be moved.

| register | `in` | `out` |
|---|---|---|
| 0 data | byte at the position, which moves on; refused at the end | byte to the position, which moves on; refused when read-only |
| 1 left | bytes from the position to the end | refused |
| 2, 3 position | its low and high cell | sets that cell of the position |
| 4, 5 size | low and high cell of the size in bytes | refused |

System calls `read` and `write` move many bytes at once and the position with them; `write` makes the file grow.
A checkpoint holds the position, and the bytes where programs may change them; others are taken as unchanged.
"""  # noqa: E501  (a table row)

from __future__ import annotations

import zlib
from typing import Any, BinaryIO

from ..isa.limits import CELL_BITS, CELL_MASK
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

DATA = 0
LEFT = 1
POSITION_LOW = 2
POSITION_HIGH = 3
SIZE_LOW = 4
SIZE_HIGH = 5


class Storage(BaseDevice):
    """file: opened in binary mode, seekable. is_writable: whether programs may change it.

    Errors of the file system come out as OSError; the host turns them into refusals.
    """

    def __init__(self, file: BinaryIO, is_writable: bool = False) -> None:
        self._file = file
        self._is_writable = is_writable
        self.position = 0
        self.size = file.seek(0, 2)

    def read_register(self, register: int, tick: int) -> Reply:
        if register == DATA:
            data = self.read(1)
            return Reply(data[0]) if data else REFUSAL
        if register == LEFT:
            return counted(max(0, self.size - self.position))
        if register in (POSITION_LOW, SIZE_LOW):
            return Reply((self.position if register == POSITION_LOW else self.size) & CELL_MASK)
        if register in (POSITION_HIGH, SIZE_HIGH):
            return Reply((self.position if register == POSITION_HIGH else self.size) >> CELL_BITS & CELL_MASK)
        return REFUSAL

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        if register == DATA:
            return ACCEPTED if self.write(bytes([value & 0xFF])) else REFUSAL
        if register == POSITION_LOW:
            self.position = self.position >> CELL_BITS << CELL_BITS | value
            return ACCEPTED
        if register == POSITION_HIGH:
            self.position = value << CELL_BITS | self.position & CELL_MASK
            return ACCEPTED
        return REFUSAL

    def read(self, length: int) -> bytes:
        length = min(length, max(0, self.size - self.position))
        if not length:
            return b""
        self._file.seek(self.position)
        data = self._file.read(length)
        self.position += len(data)
        return data

    def write(self, data: bytes) -> int | None:
        if not self._is_writable:
            return None
        self._file.seek(self.position)
        self._file.write(data)
        self._file.flush()
        self.position += len(data)
        self.size = max(self.size, self.position)
        return len(data)

    def follow(self, access: Access) -> None:
        """Moves the position; the file stays untouched."""
        if access.register in (None, DATA):
            self.position += len(access.data) if access.register is None else 1
            self.size = max(self.size, self.position) if access.is_output else self.size
        elif access.is_output:
            self.write_register(access.register, access.value, access.tick)

    def save(self) -> dict[str, Any]:
        saved: dict[str, Any] = {"position": self.position, "size": self.size}
        if self._is_writable:
            self._file.seek(0)
            saved["content"] = packed(zlib.compress(self._file.read(), 1))
        return saved

    def restore(self, saved: dict[str, Any]) -> None:
        """Raises DeviceStateError, and OSError where a writable file cannot be put back."""
        position, size = saved_number(saved, "position"), saved_number(saved, "size")
        if self._is_writable != ("content" in saved):
            raise DeviceStateError("the storage was writable then and is not now, or the other way round")
        if self._is_writable:
            try:
                content = zlib.decompress(saved_bytes(saved, "content"))
            except zlib.error as error:
                raise DeviceStateError(f"the storage's content is damaged: {error}") from error
            self._file.seek(0)
            self._file.write(content)
            self._file.truncate()
            self._file.flush()
        elif size != self.size:
            raise DeviceStateError(
                f"the storage had {size} bytes and has {self.size} now: another file, or a changed one"
            )
        self.position, self.size = position, size
