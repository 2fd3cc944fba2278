"""A page: its bytes, the label set of each of its leaves, and one hash over both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from blake3 import blake3

from ..isa.limits import LEAF_BYTES
from .address import leaves_in

HASH_BYTES = 32
_KEY = blake3(b"", derive_key_context="VAC 1 page").digest()


def page_hash(data: bytes | bytearray | memoryview, labels: bytes = b"") -> bytes:
    """32 bytes. labels: as in `Page`; the data's length tells where they begin."""
    hasher = blake3(data, key=_KEY)
    if labels:
        hasher.update(labels)
    return hasher.digest()


@dataclass(frozen=True, slots=True)
class Page:
    """data: as long as the page size. labels: a u16 for each 4 KiB leaf, little-endian; empty where all are zero.
    hash: what `page_hash` gave when the page was sealed."""

    data: bytes
    labels: bytes
    hash: bytes

    @staticmethod
    def seal(data: bytes, labels: bytes = b"") -> Page:
        """A page with its hash. Raises ValueError when labels are neither absent nor one for each leaf."""
        if labels:
            if len(labels) != 2 * (len(data) // LEAF_BYTES):
                raise ValueError(f"{len(labels)} bytes of labels for a page of {len(data)} bytes")
            if not any(labels):
                labels = b""
        return Page(data, labels, page_hash(data, labels))

    def labels_of(self, leaf: int) -> int:
        """Label set of the page's leaf of this index."""
        return int.from_bytes(self.labels[2 * leaf : 2 * leaf + 2], "little")


@cache
def zero_page(page_bytes: int) -> Page:
    """The page that nobody has written: zeros, no labels."""
    return Page.seal(bytes(page_bytes), bytes(2 * leaves_in(page_bytes)))
