"""Proofs hold for the state that they are of and for no other, whoever checks them, and no bit of them is free."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.proof.independent_checker import Refused, check

from vac.checkpoint.memory_map import MemoryMap
from vac.checkpoint.point import Point
from vac.commitment.memory_tree import MemoryTree
from vac.engines.registry import create_machine
from vac.history.history import History
from vac.image.image import Segment, Window
from vac.isa.sqi import Sqi
from vac.machine.protocol import Leaf
from vac.machine.state import State
from vac.proof.errors import ProofError
from vac.proof.prove import path_of, prove
from vac.proof.state_proof import StateProof, check_proof
from vac.randomised.program import random_program


@cache
def some_point(tick: int = 120) -> Point:
    program = random_program(5, 40)
    history = History.following(program.host(create_machine("fast", keeps_beams=False)), program.image)
    assert history.seek(tick).tick == tick
    return history.point()


KINDS: dict[str, dict[str, Any]] = {
    "registers": {},
    "stacks": {"stacks": True},
    "leaf": {"leaf": (1, 0)},
    "code": {"leaf": (0, 0), "stacks": True},
    "absent": {"leaf": (77, 12345)},
}


@cache
def file_of(kind: str) -> tuple[bytes, bytes]:
    """A proof, and the root that it is for."""
    point = some_point()
    return prove(point, **KINDS[kind]).to_bytes(), point.root()


def _refused_by_both(content: bytes, root: bytes) -> None:
    with pytest.raises(ProofError):
        check_proof(content, root)
    with pytest.raises(Refused):
        check(content, root)


@pytest.mark.parametrize("kind", KINDS)
def test_both_checkers_accept(kind: str) -> None:
    content, root = file_of(kind)
    proof, fields = check_proof(content, root), check(content, root)
    assert proof.to_bytes() == content
    assert proof.state.tick == fields["registers"]["tick"] == some_point().tick
    state = some_point().state
    if KINDS[kind].get("stacks"):
        assert proof.state.data_stack == state.data_stack and proof.state.return_stack == state.return_stack
    if "leaf" in KINDS[kind]:
        assert not isinstance(proof.memory, bytes)
        slot, number = KINDS[kind]["leaf"]
        assert proof.memory.leaf == some_point().memory.leaf(slot << 20 | number)
        assert any(proof.memory.leaf.data) == (kind != "absent")


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_no_byte_can_change(kind: str, data: st.DataObject) -> None:
    content, root = file_of(kind)
    at = data.draw(st.integers(0, len(content) - 1))
    changed = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    _refused_by_both(changed, root)


@pytest.mark.parametrize("kind", ["registers", "absent"])
def test_no_bit_can_change(kind: str) -> None:
    """All of them, one after another, where the file is short."""
    content, root = file_of(kind)
    places = range(len(content)) if kind == "registers" else range(0, len(content), 37)
    for at in places:
        bit = 1 << at % 8
        with pytest.raises(ProofError):
            check_proof(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :], root)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_nothing_can_be_left_out_or_added(kind: str, data: st.DataObject) -> None:
    content, root = file_of(kind)
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    added = data.draw(st.binary(max_size=3) | st.sampled_from([b" ", b"\n", b"0", b",", b'"x":1,']))
    changed = content[:start] + added + content[end:]
    if changed != content:
        _refused_by_both(changed, root)


@given(st.binary(min_size=32, max_size=32))
def test_another_root_is_refused(root: bytes) -> None:
    for kind in ("registers", "leaf"):
        _refused_by_both(file_of(kind)[0], root)


def test_the_states_around_are_not_what_is_proven() -> None:
    roots = {some_point(tick).root() for tick in (119, 121)}
    assert len(roots) == 2
    for root in roots:
        _refused_by_both(file_of("stacks")[0], root)


SEGMENTS = st.lists(
    st.builds(
        lambda slot, number, byte: Segment(slot, number << 12, 1, bytes([byte])),
        st.sampled_from([0, 1, 2, 255]),
        st.sampled_from([0, 1, 15, 16, 4095, (1 << 20) - 1]),
        st.integers(0, 3),
    ),
    max_size=10,
)
CELLS = st.integers(0, 0xFFFFFFFF)


@given(SEGMENTS, st.sampled_from([0, 1, 3, 255]), st.sampled_from([0, 1, 15, 4095, 7]))
def test_paths_are_those_of_the_memory_tree(segments: list[Segment], slot: int, number: int) -> None:
    memory, tree = MemoryMap.of_segments(segments), MemoryTree()
    tree.put_all(((key >> 20, key & 0xFFFFF), leaf) for key, leaf in memory.items())
    assert path_of(memory, slot, number) == tree.prove(slot, number)


STATES = st.builds(
    State,
    pc=CELLS, tick=st.integers(0, (1 << 64) - 1), sp=st.integers(0, 64), rp=st.integers(0, 192), fp=st.integers(0, 192),
    cells=st.lists(CELLS, min_size=256, max_size=256),
    labels=st.lists(st.integers(0, 0xFFFF), min_size=256, max_size=256),
    windows=st.lists(
        st.builds(Window, st.integers(0, 255), CELLS, st.integers(0, 1 << 28), st.integers(0, 3)),
        min_size=17, max_size=17,
    ),
    code_length=st.integers(0, 1 << 24), has_labels=st.booleans(), cone_in=st.integers(0, (1 << 64) - 1),
    cone_out=st.integers(0, (1 << 64) - 1), joins=CELLS,
    sqi=st.builds(
        Sqi, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 256),
        st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 0xFFFF), CELLS,
    ),
)  # fmt: skip


@given(STATES, SEGMENTS, st.booleans(), st.none() | st.sampled_from([(0, 0), (1, 16), (255, (1 << 20) - 1), (9, 9)]))
def test_any_state_can_be_proven(
    state: State, segments: list[Segment], stacks: bool, leaf: tuple[int, int] | None
) -> None:
    point = Point(state, MemoryMap.of_segments(segments))
    content = prove(point, stacks=stacks, leaf=leaf).to_bytes()
    assert StateProof.from_bytes(content).root() == point.root()
    assert check(content, point.root())["registers"]["pc"] == state.pc


def test_impossible_leaves() -> None:
    with pytest.raises(ValueError, match="cannot exist"):
        prove(some_point(), leaf=(256, 0))


FIELDS = st.sampled_from(["format", "version", "root", "registers", "stacks", "memory"])
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.just("vac-state-proof"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=8,
)


@given(st.binary(max_size=80) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(ProofError):
        StateProof.from_bytes(content)


def test_labels_of_a_leaf_count() -> None:
    memory = MemoryMap().with_leaves({1 << 20: Leaf(bytes(4096), 4)})
    point = Point(State(), memory)
    content = prove(point, leaf=(1, 0)).to_bytes()
    assert check(content, point.root())["memory"]["labels"] == 4
    _refused_by_both(content.replace(b'"labels":4', b'"labels":5'), point.root())
