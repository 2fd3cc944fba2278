"""Which points are kept."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vac.checkpoint.memory_map import MemoryMap
from vac.checkpoint.point import Point
from vac.history.timeline import Limits, Timeline
from vac.machine.state import State


def point(tick: int, written: frozenset[int] | None = frozenset()) -> Point:
    return Point(State(tick=tick), MemoryMap(), written=written)


def test_old_points_are_thinned_out_and_none_is_further_apart_than_need_be() -> None:
    timeline = Timeline(point(0), Limits(points=100, widest_gap=1 << 12))
    timeline.spacing = 1
    for tick in range(1, 20_000):
        timeline.keep(point(tick))
    ticks = [kept.tick for kept in timeline.kept]
    gaps = [later - earlier for earlier, later in pairwise(ticks)]
    assert len(ticks) <= 100
    assert (ticks[0], ticks[-1]) == (0, 19_999)
    assert max(gaps) <= 1 << 12
    assert gaps[-1] == 1
    assert max(gaps[: len(gaps) // 4]) > max(gaps[-len(gaps) // 4 :])


def test_memory_counts_too() -> None:
    timeline = Timeline(point(0), Limits(points=1000, memory_bytes=50 << 20))
    for tick in range(1, 200):
        timeline.keep(point(tick * 1000, frozenset(range(tick, tick + 500))))
        assert timeline.held_bytes <= 50 << 20
        # Each kept point holds its own version of what was written before it.
        versions = sum(len(kept.written or ()) for kept in timeline.kept)
        assert (versions - 500 - tick) * 4096 <= 50 << 20
    assert len(timeline.kept) > 10


STEPS = st.lists(st.tuples(st.integers(1, 30), st.frozensets(st.integers(0, 50), max_size=4)), max_size=60)


@given(STEPS, st.integers(4, 12))
def test_what_was_written_between_two_points_is_never_lost(
    steps: list[tuple[int, frozenset[int]]], points: int
) -> None:
    timeline = Timeline(point(0), Limits(points=points, widest_gap=16))
    timeline.spacing = 1
    tick, all_written = 0, {}
    for distance, written in steps:
        tick += distance
        all_written[tick] = written
        timeline.keep(point(tick, written))
    kept = timeline.kept
    for earlier, later in pairwise(kept):
        inside = [written for at, written in all_written.items() if earlier.tick < at <= later.tick]
        assert later.written == frozenset().union(*inside)
    assert kept[-1].tick == tick


@given(st.lists(st.integers(1, 1000), unique=True, max_size=30), st.integers(0, 1000))
def test_the_nearest_point_is_found(ticks: list[int], wanted: int) -> None:
    timeline = Timeline(point(0), Limits(), [point(tick) for tick in ticks[::2]])
    for tick in ticks[1::2]:
        timeline.add_near(point(tick))
    assert timeline.at_or_before(wanted).tick == max(tick for tick in [0, *ticks] if tick <= wanted)
    following = timeline.next_kept(wanted)
    expected = min((tick for tick in ticks[::2] if tick > wanted), default=None)
    assert (following and following.tick) == expected
