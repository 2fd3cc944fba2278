"""The memory of a random program: what its windows always allow, whichever way control went before."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ..host.address_space import Shard
from ..image.image import PERMISSION_READ, PERMISSION_WRITE, Segment, Window
from ..isa.limits import CODE_SLOT, LEAF_BYTES

_BOTH = PERMISSION_READ | PERMISSION_WRITE
NARROWED = (1, 2, 3)
ALLOCATED = (8, 9)
MAPPED = 10
_SIZES = (4096, 5000, 8192, 16384, 1 << 17, 1 << 18)
"""Bytes of memory: from a leaf to more leaves than small translation buffers hold."""

_CONSTANT_WINDOW, _ALIAS_WINDOW, _CODE_WINDOW = 4, 5, 6
_DATA_SLOT, _CONSTANT_SLOT = 1, 2


@dataclass(frozen=True)
class Narrowing:
    """How a window is made, by a program that may do so again at any time: the result is the same or allows more."""

    source: int
    offset: int
    length: int
    permissions: int


class MemoryPlan:
    """rng decides sizes and contents. `usable`: (window, length, permissions) that a program can rely on."""

    def __init__(self, rng: Random) -> None:
        length = rng.choice(_SIZES)
        constants = rng.randbytes(rng.randrange(100, 3000))
        base = 4 * rng.randrange(256)
        self._windows = {
            0: Window(_DATA_SLOT, 0, length, _BOTH),
            _CONSTANT_WINDOW: Window(_CONSTANT_SLOT, 8, len(constants) - 8, PERMISSION_READ),
            _ALIAS_WINDOW: Window(_DATA_SLOT, base, length - base, _BOTH),
        }
        self.segments = (
            Segment(_DATA_SLOT, 0, length, rng.randbytes(rng.randrange(min(length, 16384) + 1))),
            Segment(_CONSTANT_SLOT, 0, len(constants) + LEAF_BYTES, constants),
        )
        self.usable = [(index, w.length, w.permissions) for index, w in self._windows.items()]
        self.narrowings: dict[int, Narrowing] = {}
        for index in NARROWED:
            source, room, permissions = rng.choice([entry for entry in self.usable if entry[1] >= 256])
            offset = 4 * rng.randrange(room // 8)
            part = rng.randrange(64, room - offset + 1)
            kept = rng.choice([permissions, permissions, permissions & PERMISSION_READ])
            self.narrowings[index] = Narrowing(source, offset, part, kept)
            self.usable.append((index, part, kept))
        self.allocations = {index: rng.randrange(64, 6000) for index in ALLOCATED}
        self.usable += [(index, size, _BOTH) for index, size in self.allocations.items()]
        self.shard = Shard(rng.getrandbits(64), rng.randbytes(4096), PERMISSION_READ)
        self.readable = [entry for entry in self.usable if entry[2] & PERMISSION_READ and entry[1] >= 64]
        self.writable = [entry for entry in self.usable if entry[2] & PERMISSION_WRITE and entry[1] >= 64]

    def windows(self, code_length: int) -> tuple[tuple[int, Window], ...]:
        """The image's windows; one of them reads the program's own code."""
        code = Window(CODE_SLOT, 0, code_length, PERMISSION_READ)
        return (*self._windows.items(), (_CODE_WINDOW, code))
