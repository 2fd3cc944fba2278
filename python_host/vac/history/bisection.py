"""The first tick at which a condition holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..checkpoint.memory_map import key_of
from ..isa.limits import LEAF_BITS
from .expression import Expression, Range
from .history import History
from .tracing import stores_overlapping

if TYPE_CHECKING:
    from .compiled_search import CompiledSearch

Progress = Callable[[int], object]
_COMPILING_ENGINES = ("fast", "jit")
_PART_TICKS = 1 << 22


def bisected(history: History, condition: Expression) -> int | None:
    """The tick from which on the condition holds, if it holds from there to the end: found by bisection, some thirty
    visits. None where it does not hold at the end. The cursor is there then. Raises HistoryError."""
    history.end()
    high = history.tick
    if not condition.holds(history):
        return None
    low = history.first_tick
    while low < high:
        middle = (low + high) // 2
        history.seek(middle)
        if condition.holds(history):
            high = middle
        else:
            low = middle + 1
    history.seek(high)
    return high


def first(history: History, condition: Expression, on_progress: Progress = lambda tick: None) -> int | None:
    """The first tick at which the condition holds, whether or not it holds on. None where it never does. The cursor is
    there then, or at the end.

    A condition that looks at nothing but memory is asked only where that memory may have been written; what the run
    did not store to is passed over. Any other is compiled and asked inside the engine; one that says more than that
    can is asked in Python at each tick. Raises HistoryError.
    """
    history.end()
    end = history.tick
    tick, is_asked_in_python = history.first_tick, False
    while tick <= end:
        history.seek(tick)
        if condition.holds(history):
            return tick
        if not condition.reads_registers and condition.ranges:
            found, tick = _by_memory(history, condition, tick, end, on_progress)
            if found:
                return tick
        elif not is_asked_in_python and (search := compiled(history, condition)):
            found_at = _in_parts(history, search, tick + 1, end, on_progress)
            history.seek(end if found_at is None else found_at)
            return found_at
        else:
            tick, is_asked_in_python = tick + 1, True
            if not tick & 1023:
                on_progress(tick)
    history.seek(end)
    return None


def compiled(history: History, condition: Expression) -> CompiledSearch | None:
    """None where the condition can only be asked in Python, or where the history is not visited on a fast engine."""
    from .compiled_search import CompiledSearch, NotCompiled

    if history.engine not in _COMPILING_ENGINES:
        return None
    try:
        return CompiledSearch(history, condition)
    except NotCompiled:
        return None


def _in_parts(history: History, search: CompiledSearch, first: int, last: int, on_progress: Progress) -> int | None:
    for start in range(first, last + 1, _PART_TICKS):
        on_progress(start)
        found = search.first(history, start, min(last, start + _PART_TICKS - 1))
        if found is not None:
            return found
    return None


def _by_memory(
    history: History, condition: Expression, start: int, end: int, on_progress: Progress
) -> tuple[bool, int]:
    """Whether it comes to hold behind `start`, and where. When it begins to look at something else: False, and the tick
    to go on from."""
    ranges = frozenset(condition.ranges)
    for low, high in _spans(history, ranges, start, end):
        on_progress(low)
        for tick in _written_at(history, ranges, max(low, start), high):
            history.seek(tick + 1)
            if condition.holds(history):
                return True, tick + 1
            if condition.reads_registers or frozenset(condition.ranges) != ranges:
                return False, tick + 2
    return False, end + 1


def _spans(history: History, ranges: frozenset[Range], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans between kept points, end excluded, in which one of the leaves may have been stored to."""
    keys = {
        key_of(slot, number)
        for slot, offset, length in ranges
        for number in range(offset >> LEAF_BITS, (offset + length - 1 >> LEAF_BITS) + 1)
    }
    low = history.first_tick
    history.seek(end)
    for point in [*history.timeline.kept[1:], history.point()]:
        high = point.moment
        if high > start and (point.written is None or keys & point.written):
            yield low, high
        low = high


def _written_at(history: History, ranges: frozenset[Range], low: int, high: int) -> Iterator[int]:
    """Ticks at which one of the ranges may have been written, ascending."""
    answered = {
        entry.tick
        for _, entry in history.entries(low, high - 1)
        for slot, offset, data in entry.answer.writes
        if any(slot == s and offset < o + n and o < offset + len(data) for s, o, n in ranges)
    }
    for tick, beams in history.beams(low, high):
        stored = [stores_overlapping(beams, offset, length) + tick for _, offset, length in ranges]
        here = {at for at in answered if tick <= at < tick + len(beams)}
        ticks = np.unique(np.concatenate([*stored, np.array(sorted(here), np.intp)]))
        yield from ticks.tolist()
