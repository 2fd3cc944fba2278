"""Storage at 0x30 as keys and values. The values lie in the machine, so to say: they are part of its checkpoints.

| register | `in` | `out` |
|---|---|---|
| 0 data | byte of the value at the position, which moves on; refused at the end | byte to the position |
| 1 left | bytes from the position to the end of the value | refused |
| 2, 3 position | its low and high cell | sets that cell of the position |
| 4, 5 size | low and high cell of the value's size in bytes | refused |
| 6 key | 1 when the selected key has a value, else 0 | selects the key of these four bytes, lowest first |
| 7 name | bytes of the selected key | the next `write` gives the bytes of the key to select: 1 to 255 |
| 8 remove | refused | takes the selected key away; refused when it has no value |
| 9 count | keys that have a value | selects the n-th of them, from 0, in the order of their bytes; refused beyond |
| 10 free | bytes left of the quota | the next `read` gives the bytes of the selected key |

Selecting a key moves the position to 0. System calls `read` and `write` move many bytes of the selected value at once,
and the position with them. The quota counts the bytes of keys and values; what would go beyond it is refused.
"""

from __future__ import annotations

from typing import Any

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
from .storage import DATA, LEFT, POSITION_HIGH, POSITION_LOW, SIZE_HIGH, SIZE_LOW

KEY = 6
NAME = 7
REMOVE = 8
COUNT = 9
FREE = 10
DEFAULT_QUOTA = 1 << 20
MAX_KEY_BYTES = 255


class KeyValueStorage(BaseDevice):
    """quota: bytes of keys and values together. items: what is there in the beginning. Raises ValueError when a key has
    no bytes or more than 255, or the items are beyond the quota."""

    def __init__(self, quota: int = DEFAULT_QUOTA, items: dict[bytes, bytes] | None = None) -> None:
        self.quota = quota
        self.items = {key: bytearray(value) for key, value in (items or {}).items()}
        self.used = sum(len(key) + len(value) for key, value in self.items.items())
        if any(not 0 < len(key) <= MAX_KEY_BYTES for key in self.items):
            raise ValueError(f"a key has 1 to {MAX_KEY_BYTES} bytes")
        if self.used > quota:
            raise ValueError(f"{self.used} bytes of keys and values; the quota is {quota}")
        self._key = bytes(4)
        self.position = 0
        self._is_name_next = False
        self._is_name_asked = False

    def read_register(self, register: int, tick: int) -> Reply:
        value = self.items.get(self._key, b"")
        if register == DATA:
            data = self._read_value(1)
            return Reply(data[0]) if data else REFUSAL
        if register == LEFT:
            return counted(max(0, len(value) - self.position))
        if register in (POSITION_LOW, POSITION_HIGH):
            return Reply(self.position >> (CELL_BITS if register == POSITION_HIGH else 0) & CELL_MASK)
        if register in (SIZE_LOW, SIZE_HIGH):
            return Reply(len(value) if register == SIZE_LOW else 0)
        if register == KEY:
            return Reply(int(self._key in self.items))
        if register == NAME:
            return Reply(len(self._key))
        if register == COUNT:
            return counted(len(self.items))
        if register == FREE:
            return counted(self.quota - self.used)
        return REFUSAL

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        if register == DATA:
            return REFUSAL if self._write_value(bytes([value & 0xFF])) is None else ACCEPTED
        if register == POSITION_LOW:
            self.position = self.position >> CELL_BITS << CELL_BITS | value
        elif register == POSITION_HIGH:
            self.position = value << CELL_BITS | self.position & CELL_MASK
        elif register == KEY:
            self._select(value.to_bytes(4, "little"))
        elif register == NAME:
            self._is_name_next = True
        elif register == FREE:
            self._is_name_asked = True
        elif register == REMOVE and self._key in self.items:
            self.used -= len(self._key) + len(self.items.pop(self._key))
            self.position = 0
        elif register == COUNT and value < len(self.items):
            self._select(sorted(self.items)[value])
        else:
            return REFUSAL
        return ACCEPTED

    def read(self, length: int) -> bytes:
        if self._is_name_asked:
            self._is_name_asked = False
            return self._key[:length]
        return self._read_value(length)

    def write(self, data: bytes) -> int | None:
        if not self._is_name_next:
            return self._write_value(data)
        self._is_name_next = False
        if not 0 < len(data) <= MAX_KEY_BYTES:
            return None
        self._select(data)
        return len(data)

    def follow(self, access: Access) -> None:
        """The same request once more: nothing here depends on anything but requests."""
        if access.register is not None:
            if access.is_output:
                self.write_register(access.register, access.value, access.tick)
            else:
                self.read_register(access.register, access.tick)
        elif access.is_output:
            self.write(access.data)
        else:
            self.read(len(access.data))

    def save(self) -> dict[str, Any]:
        return {
            "items": [[packed(key), packed(bytes(value))] for key, value in sorted(self.items.items())],
            "key": packed(self._key),
            "position": self.position,
            "is_name_next": self._is_name_next,
            "is_name_asked": self._is_name_asked,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        items: dict[bytes, bytes] = {}
        try:
            for key, value in saved["items"]:
                row = {"key": key, "value": value}
                items[saved_bytes(row, "key")] = saved_bytes(row, "value")
            fresh = KeyValueStorage(self.quota, items)
        except (KeyError, TypeError, ValueError) as error:
            raise DeviceStateError(f"its keys and values are damaged, or beyond its quota: {error}") from error
        key, position = saved_bytes(saved, "key"), saved_number(saved, "position")
        self.items, self.used = fresh.items, fresh.used
        self._key, self.position = key, position
        self._is_name_next, self._is_name_asked = bool(saved.get("is_name_next")), bool(saved.get("is_name_asked"))

    def _select(self, key: bytes) -> None:
        self._key, self.position = key, 0

    def _read_value(self, length: int) -> bytes:
        data = bytes(self.items.get(self._key, b"")[self.position : self.position + length])
        self.position += len(data)
        return data

    def _write_value(self, data: bytes) -> int | None:
        old = self.items.get(self._key)
        before = 0 if old is None else len(self._key) + len(old)
        size = max(self.position + len(data), 0 if old is None else len(old))
        if self.used - before + len(self._key) + size > self.quota:
            return None
        value = self.items.setdefault(self._key, bytearray())
        value.extend(bytes(size - len(value)))
        value[self.position : self.position + len(data)] = data
        self.used += len(self._key) + size - before
        self.position += len(data)
        return len(data)
