"""Commitment to memory: a sparse tree of radix 16 over all leaves of all shard slots.

A leaf's key has 28 bits: shard slot, then leaf number. Seven levels of sixteen children lead to it. A node is hashed
as the set of its children that are there (u16) and their hashes in order. A leaf of zeros without labels counts as one
that was never there, so that the root does not depend on what a host has made resident. A change costs seven hashes,
and changes that are near each other share most of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..isa.limits import LEAF_BITS, LEAF_BYTES, SLOT_BITS
from ..machine.protocol import Leaf
from .hashing import HASH_BYTES, Domain, hash_of

_NUMBER_BITS = 32 - LEAF_BITS
LEVELS = (SLOT_BITS + _NUMBER_BITS) // 4
EMPTY_ROOT = hash_of(Domain.MEMORY_NODE, bytes(2))
_ZEROS = bytes(LEAF_BYTES)


@dataclass(frozen=True)
class LeafProof:
    """The nodes on a leaf's way up, lowest first: the children that are there, and the hashes of the others."""

    levels: tuple[tuple[int, tuple[bytes, ...]], ...]


def _key(slot: int, number: int) -> int:
    if not (0 <= slot < 1 << SLOT_BITS and 0 <= number < 1 << _NUMBER_BITS):
        raise ValueError(f"leaf {number} of slot {slot} cannot exist")
    return slot << _NUMBER_BITS | number


def leaf_hash(leaf: Leaf) -> bytes | None:
    """Hash of a leaf, or None when it counts as absent."""
    if not leaf.labels and leaf.data == _ZEROS:
        return None
    return hash_of(Domain.MEMORY_LEAF, leaf.labels.to_bytes(2, "little"), leaf.data)


def _node_hash(children: dict[int, bytes]) -> bytes:
    present = sum(1 << index for index in children)
    return hash_of(Domain.MEMORY_NODE, present.to_bytes(2, "little"), *(children[index] for index in sorted(children)))


class MemoryTree:
    """The hashes of all nodes, kept up to date with `put`."""

    def __init__(self) -> None:
        self._levels: list[dict[int, dict[int, bytes]]] = [{} for _ in range(LEVELS)]
        """By height from the lowest nodes: node prefix to children to their hashes."""
        self._stale: set[int] = set()
        """Prefixes of the lowest nodes that changed since the last root."""

    def put(self, slot: int, number: int, leaf: Leaf) -> None:
        """A leaf is new or has changed. Raises ValueError when no such leaf can exist."""
        self.put_hash(slot, number, leaf_hash(leaf))

    def put_hash(self, slot: int, number: int, found: bytes | None) -> None:
        """`put` where `leaf_hash` of the leaf is known already."""
        key = _key(slot, number)
        self._set(0, key, found)
        self._stale.add(key >> 4)

    def put_all(self, leaves: Iterable[tuple[tuple[int, int], Leaf]]) -> None:
        """`put` for each of ((slot, number), leaf)."""
        for (slot, number), leaf in leaves:
            self.put(slot, number, leaf)

    def _set(self, level: int, key: int, value: bytes | None) -> None:
        nodes = self._levels[level]
        if value is not None:
            nodes.setdefault(key >> 4, {})[key & 15] = value
        elif key >> 4 in nodes:
            nodes[key >> 4].pop(key & 15, None)
            if not nodes[key >> 4]:
                del nodes[key >> 4]

    def root(self) -> bytes:
        """32 bytes that name the contents of memory. Costs what changed since the last call."""
        stale = self._stale
        for level in range(LEVELS - 1):
            for prefix in stale:
                children = self._levels[level].get(prefix)
                self._set(level + 1, prefix, _node_hash(children) if children else None)
            stale = {prefix >> 4 for prefix in stale}
        self._stale = set()
        return _node_hash(self._levels[-1].get(0, {}))

    def prove(self, slot: int, number: int) -> LeafProof:
        """That a leaf has its contents, or is absent. Raises ValueError when no such leaf can exist."""
        key = _key(slot, number)
        self.root()
        levels: list[tuple[int, tuple[bytes, ...]]] = []
        for nodes in self._levels:
            children = nodes.get(key >> 4, {})
            others = tuple(children[index] for index in sorted(children) if index != key & 15)
            levels.append((sum(1 << index for index in children), others))
            key >>= 4
        return LeafProof(tuple(levels))


def leaf_root(slot: int, number: int, leaf: Leaf, proof: LeafProof) -> bytes | None:
    """The memory root that a proof of this leaf leads to; None where the proof does not hang together.

    Raises ValueError when no such leaf can exist.
    """
    key = _key(slot, number)
    found = leaf_hash(leaf)
    if len(proof.levels) != LEVELS:
        return None
    for height, (present, others) in enumerate(proof.levels):
        is_present = bool(present >> (key & 15) & 1)
        if is_present != (found is not None) or present.bit_count() - is_present != len(others):
            return None
        if not 0 <= present < 1 << 16 or any(len(other) != HASH_BYTES for other in others):
            return None
        rest = iter(others)
        indices = [index for index in range(16) if present >> index & 1]
        children = {index: found if found and index == key & 15 else next(rest) for index in indices}
        found = _node_hash(children) if children or height == LEVELS - 1 else None
        key >>= 4
    return found


def leaf_is_proven(root: bytes, slot: int, number: int, leaf: Leaf, proof: LeafProof) -> bool:
    """Whether this leaf stands there in the memory that `root` names; a leaf of zeros: whether none does."""
    return leaf_root(slot, number, leaf, proof) == root
