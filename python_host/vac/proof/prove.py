"""Makes proofs of a moment of a run."""

from __future__ import annotations

from ..checkpoint.memory_map import HeldLeaf, MemoryMap, Node, key_of
from ..checkpoint.point import Point
from ..commitment.memory_tree import LEVELS, LeafProof
from ..commitment.state_root import stacks_hash
from .state_proof import ProvenLeaf, StateProof


def prove(point: Point, *, stacks: bool = False, leaf: tuple[int, int] | None = None) -> StateProof:
    """A proof of the registers at this point, and of the stacks and a leaf (slot, number) where that is wanted.

    Raises ValueError when no such leaf can exist, StoreError where the point's memory cannot be read.
    """
    memory: ProvenLeaf | bytes = point.memory.root()
    if leaf is not None:
        memory = ProvenLeaf(*leaf, point.memory.leaf(key_of(*leaf)), path_of(point.memory, *leaf))
    return StateProof(point.state, None if stacks else stacks_hash(point.state), memory)


def path_of(memory: MemoryMap, slot: int, number: int) -> LeafProof:
    """The nodes on a leaf's way up. Raises ValueError when no such leaf can exist."""
    key = key_of(slot, number)
    levels: list[tuple[int, tuple[bytes, ...]]] = []
    node: Node | HeldLeaf | None = memory.top
    for level in range(LEVELS - 1, -1, -1):
        children = node.children if isinstance(node, Node) else {}
        mine = key >> 4 * level & 15
        hashes = {index: child.address for index, child in sorted(children.items())}
        present = sum(1 << index for index, address in hashes.items() if address)
        levels.append((present, tuple(address for index, address in hashes.items() if address and index != mine)))
        node = children.get(mine)
    return LeafProof(tuple(reversed(levels)))
