"""Memory maps: the root that the other tree gives, sharing, and differences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vac.checkpoint.memory_map import ZERO_LEAF, MemoryMap, key_of, pack_node, place_of, unpack_node
from vac.commitment.memory_tree import EMPTY_ROOT, MemoryTree
from vac.image.image import Segment
from vac.machine.protocol import Leaf

KEYS = st.one_of(st.integers(0, 40), st.integers(0, (1 << 28) - 1))
LEAVES = st.builds(lambda byte, labels: Leaf(bytes([byte]) * 4096, labels), st.integers(0, 3), st.integers(0, 1))
STEPS = st.lists(st.dictionaries(KEYS, LEAVES, max_size=12), max_size=6)


@given(STEPS)
def test_the_root_is_that_of_the_memory_tree(steps: list[dict[int, Leaf]]) -> None:
    tree, memory = MemoryTree(), MemoryMap()
    assert memory.root() == tree.root() == EMPTY_ROOT
    for step in steps:
        memory = memory.with_leaves(step)
        tree.put_all((place_of(key), leaf) for key, leaf in step.items())
        assert memory.root() == tree.root()


@given(STEPS)
def test_a_map_keeps_what_it_held_and_gives_what_it_was_given(steps: list[dict[int, Leaf]]) -> None:
    expected: dict[int, Leaf] = {}
    kept: list[tuple[MemoryMap, dict[int, Leaf]]] = []
    memory = MemoryMap()
    for step in steps:
        memory = memory.with_leaves(step)
        expected = expected | step
        kept.append((memory, expected))
    for memory, held in kept:
        assert {key: memory.leaf(key) for key in held} == held
        assert memory.leaf(777) == held.get(777, ZERO_LEAF)
        assert dict(memory.items()) == {key: leaf for key, leaf in held.items() if leaf != ZERO_LEAF}


@given(STEPS, st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_differences_name_every_leaf_that_differs(
    steps: list[dict[int, Leaf]], one: int, other: int, is_hashed: bool
) -> None:
    maps = [MemoryMap()]
    for step in steps:
        maps.append(maps[-1].with_leaves(step))
    a, b = maps[min(one, len(steps))], maps[min(other, len(steps))]
    if is_hashed:
        assert len(a.root()) == len(b.root())
    keys = {key for step in steps for key in step}
    differing = {key for key in keys if a.leaf(key) != b.leaf(key)}
    found = a.differences(b)
    assert found == sorted(set(found))
    assert differing <= set(found) <= keys
    if is_hashed:
        assert all(ZERO_LEAF in (a.leaf(key), b.leaf(key)) for key in set(found) - differing)


def test_an_unchanged_map_shares_everything() -> None:
    memory = MemoryMap().with_leaves({n: Leaf(bytes([1]) * 4096) for n in range(1000)})
    changed = memory.with_leaves({5: Leaf(bytes([2]) * 4096)})
    assert memory.differences(changed) == [5]
    assert memory.with_leaves({}) is memory


@given(st.dictionaries(st.integers(0, 15), st.binary(min_size=32, max_size=32)))
def test_nodes_pack_and_unpack(children: dict[int, bytes]) -> None:
    assert unpack_node(pack_node(children)) == children


def test_segments_fill_leaves_in_order() -> None:
    memory = MemoryMap.of_segments([Segment(1, 4000, 200, b"a" * 200), Segment(1, 4090, 500, b"b" * 10)])
    first, second = memory.leaf(key_of(1, 0)), memory.leaf(key_of(1, 1))
    assert first.data == bytes(4000) + b"a" * 90 + b"b" * 6
    assert second.data == b"b" * 4 + b"a" * 100 + bytes(4096 - 104)
