"""A machine's whole memory at one moment: a tree that shares with others what they have in common.

The shape and the hashes are those of `commitment.memory_tree`: a key of 28 bits (shard slot, leaf number), seven levels
of sixteen children, leaves of zeros without labels hashed as absent. So the root of a map is the memory root that goes
into the state root, and the hash of a node is the address under which a store keeps it. A map never changes;
`with_leaves` gives another one that has new nodes only on the way to what is new.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from ..commitment.hashing import HASH_BYTES, Domain, hash_of
from ..commitment.memory_tree import EMPTY_ROOT, LEVELS, leaf_hash
from ..image.image import Segment
from ..isa.limits import LEAF_BITS, LEAF_BYTES, SLOT_BITS
from ..machine.protocol import Leaf
from .errors import StoreError

NUMBER_BITS = 32 - LEAF_BITS
ZERO_LEAF = Leaf(bytes(LEAF_BYTES))


def key_of(slot: int, number: int) -> int:
    """The 28-bit key of a leaf. Raises ValueError when no such leaf can exist."""
    if not (0 <= slot < 1 << SLOT_BITS and 0 <= number < 1 << NUMBER_BITS):
        raise ValueError(f"leaf {number} of slot {slot} cannot exist")
    return slot << NUMBER_BITS | number


def place_of(key: int) -> tuple[int, int]:
    """Slot and leaf number; the inverse of `key_of`."""
    return key >> NUMBER_BITS, key & (1 << NUMBER_BITS) - 1


class ObjectSource(Protocol):
    """Where nodes and leaves are that were not read yet."""

    def read_leaf(self, address: bytes) -> Leaf:
        """Raises StoreError."""
        ...

    def read_node(self, address: bytes) -> bytes:
        """The bytes that a node's hash is taken of (`pack_node`). Raises StoreError."""
        ...


class HeldLeaf:
    """A leaf in a map, read from its source when it is first asked for."""

    __slots__ = ("_address", "_is_hashed", "_leaf", "_source")

    def __init__(self, leaf: Leaf | None, address: bytes | None = None, source: ObjectSource | None = None) -> None:
        self._leaf = leaf
        self._address = address
        self._is_hashed = address is not None
        self._source = source

    @property
    def leaf(self) -> Leaf:
        if self._leaf is None:
            assert self._source and self._address
            self._leaf = self._source.read_leaf(self._address)
        return self._leaf

    @property
    def address(self) -> bytes | None:
        """Hash, None for one that counts as absent."""
        if not self._is_hashed:
            self._address = leaf_hash(self.leaf)
            self._is_hashed = True
        return self._address

    @property
    def known_address(self) -> bytes | None:
        """The hash where it has been taken already."""
        return self._address


class Node:
    """Inner node; level 0 has leaves under it."""

    __slots__ = ("_address", "_children", "_is_hashed", "_source", "level")

    def __init__(
        self,
        level: int,
        children: dict[int, Node | HeldLeaf] | None,
        address: bytes | None = None,
        source: ObjectSource | None = None,
    ) -> None:
        self.level = level
        self._children = children
        self._address = address
        self._is_hashed = address is not None
        self._source = source

    @property
    def children(self) -> dict[int, Node | HeldLeaf]:
        """By index, 0 to 15; not to be changed."""
        if self._children is None:
            assert self._source and self._address
            found = unpack_node(self._source.read_node(self._address))
            self._children = {
                index: Node(self.level - 1, None, address, self._source)
                if self.level
                else HeldLeaf(None, address, self._source)
                for index, address in found.items()
            }
        return self._children

    @property
    def is_read(self) -> bool:
        return self._children is not None

    def packed(self) -> bytes:
        """What the node's hash is taken of: the set of children that are there (u16), and their hashes in order."""
        return pack_node({index: child.address for index, child in self.children.items()})

    @property
    def address(self) -> bytes | None:
        """Hash, None for a node with nothing under it that counts."""
        if not self._is_hashed:
            packed = self.packed()
            self._address = hash_of(Domain.MEMORY_NODE, packed) if len(packed) > 2 else None
            self._is_hashed = True
        return self._address

    @property
    def known_address(self) -> bytes | None:
        return self._address


def pack_node(children: Mapping[int, bytes | None]) -> bytes:
    mask, hashes = 0, b""
    for index in sorted(children):
        if address := children[index]:
            mask |= 1 << index
            hashes += address
    return mask.to_bytes(2, "little") + hashes


def unpack_node(packed: bytes) -> dict[int, bytes]:
    """Inverse of `pack_node`. Raises StoreError."""
    mask = int.from_bytes(packed[:2], "little")
    if len(packed) != 2 + HASH_BYTES * mask.bit_count():
        raise StoreError("a node of the page table has another length than its children need")
    present = [index for index in range(16) if mask >> index & 1]
    return {index: packed[2 + HASH_BYTES * i : 2 + HASH_BYTES * (i + 1)] for i, index in enumerate(present)}


_TOP = LEVELS - 1


class MemoryMap:
    """Every leaf of a machine by key; what is nowhere in it is zeros."""

    __slots__ = ("top",)

    def __init__(self, top: Node | None = None) -> None:
        self.top = top or Node(_TOP, {})

    @staticmethod
    def of_segments(segments: Iterable[Segment]) -> MemoryMap:
        """The memory that segments fill and label: the data of later ones over that of earlier ones."""
        leaves: dict[int, bytearray] = {}
        labels: dict[int, int] = {}
        for segment in segments:
            end = segment.offset + len(segment.data)
            for number in range(segment.offset >> LEAF_BITS, (end + LEAF_BYTES - 1) >> LEAF_BITS):
                leaf = leaves.setdefault(key_of(segment.slot, number), bytearray(LEAF_BYTES))
                start = number << LEAF_BITS
                first = max(start, segment.offset)
                part = segment.data[first - segment.offset : start + LEAF_BYTES - segment.offset]
                leaf[first - start : first - start + len(part)] = part
            if segment.labels:
                for key in (key_of(*place) for place in segment.leaf_keys()):
                    leaves.setdefault(key, bytearray(LEAF_BYTES))
                    labels[key] = labels.get(key, 0) | segment.labels
        return MemoryMap().with_leaves(
            {key: Leaf(bytes(data), labels.get(key, 0)) for key, data in leaves.items()}
        )  # fmt: skip

    @staticmethod
    def stored(root: bytes, source: ObjectSource) -> MemoryMap:
        """The map of this root, which is read from its source as it is needed."""
        return MemoryMap() if root == EMPTY_ROOT else MemoryMap(Node(_TOP, None, root, source))

    def leaf(self, key: int) -> Leaf:
        """Contents by key. Raises StoreError where they cannot be read."""
        node = self.top
        for level in range(_TOP, 0, -1):
            child = node.children.get(key >> 4 * level & 15)
            if child is None:
                return ZERO_LEAF
            assert isinstance(child, Node)
            node = child
        found = node.children.get(key & 15)
        return found.leaf if isinstance(found, HeldLeaf) else ZERO_LEAF

    def with_leaves(self, leaves: Mapping[int, Leaf]) -> MemoryMap:
        """The map after these leaves became new, or got other contents. Raises StoreError where what they replace
        cannot be read."""
        return self.after(leaves)[0]

    def after(self, leaves: Mapping[int, Leaf]) -> tuple[MemoryMap, list[int]]:
        """As `with_leaves`, and the keys of those that are not what they were."""
        changed: list[int] = []
        top = _changed(self.top, _TOP, sorted(leaves), leaves, changed) if leaves else self.top
        return (self if top is self.top else MemoryMap(top)), changed

    def root(self) -> bytes:
        """32 bytes that name the contents of memory, as `MemoryTree.root` does. Costs what was not hashed before."""
        return self.top.address or EMPTY_ROOT

    def items(self) -> Iterator[tuple[int, Leaf]]:
        """Every leaf that is not absent, by ascending key."""
        for key, _, mine in _differences(Node(_TOP, {}), self.top, 0):
            if mine is not None and mine.address is not None:
                yield key, mine.leaf

    def differences(self, other: MemoryMap) -> list[int]:
        """Keys of the leaves that may differ, ascending: those that the maps do not share and whose hashes, as far as
        they have been taken, are not equal."""
        return [key for key, _, _ in _differences(self.top, other.top, 0)]


def _changed(node: Node, level: int, keys: list[int], leaves: Mapping[int, Leaf], changed: list[int]) -> Node:
    """The node itself where nothing under it is new."""
    before = node.children
    children: dict[int, Node | HeldLeaf] | None = None
    if level == 0:
        for key in keys:
            leaf, held = leaves[key], before.get(key & 15)
            if held is None or held.leaf != leaf:  # pyright: ignore[reportAttributeAccessIssue]
                children = dict(before) if children is None else children
                children[key & 15] = HeldLeaf(leaf)
                changed.append(key)
        return node if children is None else Node(0, children)
    shift, start = 4 * level, 0
    while start < len(keys):
        prefix = keys[start] >> shift
        end = bisect_left(keys, prefix + 1 << shift, start)
        child = before.get(prefix & 15)
        assert child is None or isinstance(child, Node)
        found = _changed(child or Node(level - 1, {}), level - 1, keys[start:end], leaves, changed)
        if found is not child:
            children = dict(before) if children is None else children
            children[prefix & 15] = found
        start = end
    return node if children is None else Node(level, children)


def _is_same(mine: Node | HeldLeaf | None, theirs: Node | HeldLeaf | None) -> bool:
    if mine is theirs:
        return True
    if mine is None or theirs is None:
        return False
    return mine.known_address is not None and mine.known_address == theirs.known_address


def _differences(
    mine: Node | None, theirs: Node | None, prefix: int
) -> Iterator[tuple[int, HeldLeaf | None, HeldLeaf | None]]:
    if _is_same(mine, theirs):
        return
    left, right = mine.children if mine else {}, theirs.children if theirs else {}
    for index in sorted(left.keys() | right.keys()):
        a, b = left.get(index), right.get(index)
        if _is_same(a, b):
            continue
        key = prefix << 4 | index
        if isinstance(a, HeldLeaf) or isinstance(b, HeldLeaf):
            assert not isinstance(a, Node) and not isinstance(b, Node)
            yield key, a, b
        else:
            yield from _differences(a, b, key)
