"""Cells as text, records of beams, and events that go from one store to another."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.beams.cell import Space, cell, cell_text, parse_cell
from vac.beams.errors import BadQuery, OutOfOrder
from vac.beams.opening import open_store
from vac.beams.record import EVENT, JoinCount, events_of_beams
from vac.isa.beam import Beam, BeamFlag


@given(st.one_of(st.integers(0, 256), st.sampled_from(list(Space)[:-1])), st.integers(0, (1 << 32) - 1))
def test_a_cell_is_its_text(space: int, address: int) -> None:
    number = cell(space, address)
    assert parse_cell(cell_text(number)) == number


@given(st.text(max_size=20) | st.from_regex(r"(mem:[0-9?]{1,3}|site|reg|stack):(0x)?[0-9a-fA-F]{1,9}", fullmatch=True))
def test_only_that_text_is_a_cell(text: str) -> None:
    number = parse_cell(text)
    assert number is None or cell_text(number) == text


@given(st.lists(st.integers(0, 40_000), max_size=3), st.integers(1, 40_000))
def test_beams_taken_in_pieces_are_those_taken_at_once(cuts: list[int], count: int) -> None:
    draw = np.random.default_rng(count)
    beams = draw.integers(0, 256, 16 * count, np.uint8)
    beams[5::16] &= ~np.uint8(BeamFlag.JOIN)
    joins = draw.random(count) < 0.01
    beams[5::16][joins] |= np.uint8(BeamFlag.JOIN)
    values = beams.view("<u4")[2::4]
    values[joins] = np.arange(5, 5 + joins.sum())
    whole, where, after = events_of_beams(beams.tobytes(), 7, JoinCount(), 0)
    count_so_far, parts = JoinCount(), [np.zeros(0, EVENT)]
    edges = [0, *sorted(min(cut, count) for cut in cuts), count]
    for first, end in pairwise(edges):
        part, _, count_so_far = events_of_beams(beams[16 * first : 16 * end].tobytes(), 7 + first, count_so_far, 0)
        parts.append(part)
    assert np.array_equal(np.concatenate(parts), whole) and count_so_far == after
    assert where.tolist() == np.flatnonzero(joins).tolist()


def test_beams_that_do_not_follow_are_refused(tmp_path: Path) -> None:
    def join(ordinal: int) -> bytes:
        return Beam(0, 0x0C, BeamFlag.JOIN, 0, ordinal, 0).pack()

    with open_store(tmp_path / "store") as store:
        store.ingest("r", 10, join(3))
        for first, beams, error, words in (
            (10, join(4), OutOfOrder, "up to tick 10"),
            (11, join(6), OutOfOrder, "join 6 where join 4 is next"),
            (11, b"x" * 15, BadQuery, "whole number of beams"),
            (-1, join(4), BadQuery, "tick -1"),
            ((1 << 63) - 1, join(4), BadQuery, "ticks are"),
        ):
            with pytest.raises(error, match=words):
                store.ingest("r", first, beams)
        with pytest.raises(BadQuery, match="cells for"):
            store.ingest("r", 11, join(4), cells=np.zeros(2, np.uint64))
        assert store.ingest("r", 20, join(4)) == 1 and store.run("r").next_tick == 21


def test_events_move_from_store_to_store_as_they_are(tmp_path: Path) -> None:
    beams = [Beam(at, 0x0C if at % 9 == 8 else 0x50, BeamFlag.JOIN if at % 9 == 8 else 0, at % 7, at // 9 + 1, at)
             for at in range(100)]  # fmt: skip
    with open_store(tmp_path / "one") as one, open_store(f"sqlite:///{tmp_path}/two.db") as two:
        one.ingest("r", 0, b"".join(beam.pack() for beam in beams))
        events = one.beam_events("r", one.range("r"))
        assert two.persist_beam_events(events) == 100
        assert two.beam_events("r", two.range("r")) == events
        assert two.range("r").rows.tolist() == one.range("r").rows.tolist(), "kept as beams, not beside them"
        assert two.run("r") == one.run("r")
        with pytest.raises(OutOfOrder):
            two.persist_beam_events(events[:1])
