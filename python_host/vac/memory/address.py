"""LA128: a shard and an offset in it, 64 bits each; and the key of a page in a shard."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from ..isa.limits import LEAF_BITS, LEAF_BYTES

U64 = (1 << 64) - 1
ADDRESS_BYTES = 16
DEFAULT_PAGE_BYTES = 1 << 16
MAX_PAGE_BYTES = 1 << 22
_PACKED = struct.Struct("<QQ")


@dataclass(frozen=True, order=True, slots=True)
class LA128:
    """A byte's full address. shard, offset: u64. Raises ValueError when one is out of range."""

    shard: int
    offset: int

    def __post_init__(self) -> None:
        if not (0 <= self.shard <= U64 and 0 <= self.offset <= U64):
            raise ValueError(f"shard {self.shard}, offset {self.offset}: each half of an address has 64 bits")

    def __add__(self, distance: int) -> LA128:
        """Moves inside the shard. Raises ValueError where that would leave it."""
        return LA128(self.shard, self.offset + distance)

    def __str__(self) -> str:
        return f"{self.shard:#x}:{self.offset:#x}"

    def to_bytes(self) -> bytes:
        """16 bytes, little-endian, shard first."""
        return _PACKED.pack(self.shard, self.offset)

    @staticmethod
    def from_bytes(packed: bytes) -> LA128:
        """Inverse of `to_bytes`. Raises ValueError unless there are 16 bytes."""
        if len(packed) != ADDRESS_BYTES:
            raise ValueError(f"an address has {ADDRESS_BYTES} bytes, not {len(packed)}")
        return LA128(*_PACKED.unpack(packed))


class PageKey(NamedTuple):
    """Names a page: its shard (u64), and its number in the shard: offset / page size."""

    shard: int
    number: int

    def __str__(self) -> str:
        return f"page {self.number} of shard {self.shard:#x}"


def check_page_bytes(page_bytes: int) -> None:
    """Raises ValueError unless this is a power of two from 4 KiB to 4 MiB."""
    if not LEAF_BYTES <= page_bytes <= MAX_PAGE_BYTES or page_bytes & (page_bytes - 1):
        raise ValueError(f"page size {page_bytes}; give a power of two from {LEAF_BYTES} to {MAX_PAGE_BYTES}")


def leaves_in(page_bytes: int) -> int:
    """Leaves of 4 KiB in a page of this size."""
    return page_bytes >> LEAF_BITS
