"""The memory tree: independent of order and residency, sensitive to every bit, incremental, provable."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from vac.commitment.memory_tree import EMPTY_ROOT, LeafProof, MemoryTree, leaf_is_proven
from vac.machine.protocol import Leaf

ZEROS = Leaf(bytes(4096))
KEYS = st.tuples(st.sampled_from([0, 1, 2, 255]), st.sampled_from([0, 1, 2, 15, 16, 17, 4095, (1 << 20) - 1]))
LEAVES = st.builds(lambda byte, at, labels: Leaf(bytes(at) + bytes([byte]) + bytes(4095 - at), labels),
                   st.integers(0, 3), st.sampled_from([0, 100, 4095]), st.integers(0, 2))  # fmt: skip


def _by_hand(leaves: dict[tuple[int, int], Leaf]) -> bytes:
    """The definition once more, from the top, without a tree that is kept."""

    def key(context: str) -> bytes:
        return blake3(b"", derive_key_context=context).digest()

    def node(height: int, inside: dict[int, Leaf]) -> bytes | None:
        if height == 0:
            (leaf,) = inside.values()
            if leaf == ZEROS:
                return None
            return blake3(leaf.labels.to_bytes(2, "little") + leaf.data, key=key("VAC 1 memory leaf")).digest()
        present, hashes = 0, b""
        for child in range(16):
            part = {k: leaf for k, leaf in inside.items() if k >> 4 * (height - 1) & 15 == child}
            found = node(height - 1, part) if part else None
            if found:
                present, hashes = present | 1 << child, hashes + found
        if not present and height < 7:
            return None
        return blake3(present.to_bytes(2, "little") + hashes, key=key("VAC 1 memory tree node")).digest()

    root = node(7, {slot << 20 | number: leaf for (slot, number), leaf in leaves.items()})
    assert root
    return root


@given(st.lists(st.tuples(KEYS, LEAVES), max_size=12), st.randoms(use_true_random=False))
def test_equals_recomputation_in_any_order(changes: list[tuple[tuple[int, int], Leaf]], draw: random.Random) -> None:
    tree = MemoryTree()
    for key, leaf in changes:
        tree.put(*key, leaf)
        if draw.random() < 0.3:
            tree.root()
    assert tree.root() == _by_hand(dict(changes))
    rest = list(dict(changes).items())
    draw.shuffle(rest)
    other = MemoryTree()
    other.put_all(rest)
    assert other.root() == tree.root()


def test_zeros_count_as_absent() -> None:
    tree = MemoryTree()
    assert tree.root() == EMPTY_ROOT
    tree.put(3, 5, ZEROS)
    assert tree.root() == EMPTY_ROOT
    tree.put(3, 5, Leaf(bytes(4096), 1))
    assert tree.root() != EMPTY_ROOT
    tree.put(3, 5, ZEROS)
    assert tree.root() == EMPTY_ROOT


def test_place_matters() -> None:
    roots: set[bytes] = set()
    leaf = Leaf(b"\1" * 4096)
    for slot, number in ((0, 0), (0, 1), (1, 0), (0, 16), (16, 0), (255, (1 << 20) - 1)):
        tree = MemoryTree()
        tree.put(slot, number, leaf)
        roots.add(tree.root())
    assert len(roots) == 6


@given(st.dictionaries(KEYS, LEAVES, max_size=8), KEYS)
def test_proofs(leaves: dict[tuple[int, int], Leaf], key: tuple[int, int]) -> None:
    tree = MemoryTree()
    tree.put_all(leaves.items())
    root, proof = tree.root(), tree.prove(*key)
    leaf = leaves.get(key, ZEROS)
    assert leaf_is_proven(root, *key, leaf, proof)
    changed = Leaf(leaf.data[:-1] + bytes([leaf.data[-1] ^ 1]), leaf.labels)
    assert not leaf_is_proven(root, *key, changed, proof)
    assert not leaf_is_proven(root, *key, replace(leaf, labels=leaf.labels ^ 4), proof)
    assert not leaf_is_proven(bytes(32), *key, leaf, proof)
    assert not leaf_is_proven(root, *key, leaf, LeafProof(proof.levels[:-1]))


def test_impossible_leaf() -> None:
    with pytest.raises(ValueError, match="cannot exist"):
        MemoryTree().put(256, 0, ZEROS)
    with pytest.raises(ValueError, match="cannot exist"):
        MemoryTree().prove(0, 1 << 20)
