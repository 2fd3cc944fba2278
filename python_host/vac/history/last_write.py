"""Who wrote this: the last write to some bytes before a tick, and the first after one.

Kept points say in which spans a leaf may have been stored to at all. Only the beams of those are made again and looked
through; which shard slot a store went to, which its beam does not say, is asked of the golden model where it matters.
Writes of the host's answers stand in the input log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..checkpoint.memory_map import key_of
from ..checkpoint.point import Point
from ..golden.model import GoldenMachine
from ..host.input_log import Entry
from ..isa.limits import CODE_SLOT, LEAF_BITS
from ..machine.protocol import Leaf
from .tracing import STORE_SIZES, Beams, stores_overlapping

if TYPE_CHECKING:
    from .history import History

_WINDOW = 1 << 24
"""Ticks that are searched from behind at once."""


@dataclass(frozen=True)
class Write:
    """tick: of the instruction that wrote; the bytes are there from tick + 1 on. pc: its address. slot, offset, length:
    all that it wrote. value: what was stored, as a cell; None where it was the host's answer, `entry`."""

    tick: int
    pc: int
    slot: int
    offset: int
    length: int
    value: int | None = None
    opcode: int | None = None
    entry: Entry | None = None


def find_last_write(
    history: History, slot: int, offset: int, length: int, before: int, not_before: int = 0
) -> Write | None:
    """The last write at a tick below `before` and not below `not_before`. The cursor stays.

    Raises ValueError where there is no such memory.
    """
    keys = _keys(slot, offset, length)
    here = history.tick
    try:
        history.seek(before)
        before = min(before, history.tick)
        answered = _answer_before(history, slot, offset, length, before, not_before)
        lowest = answered.tick + 1 if answered else not_before
        for first, last in _suspect_spans(history, keys, lowest, before):
            found = _last_store(history, slot, offset, length, max(first, lowest), last)
            if found:
                return found
        return answered
    finally:
        history.seek(here)


def find_first_write(history: History, slot: int, offset: int, length: int, first: int, last: int) -> Write | None:
    """The first write at a tick from `first` to `last` - 1. The cursor stays."""
    keys = _keys(slot, offset, length)
    here = history.tick
    try:
        history.seek(last)
        answered = _answer_after(history, slot, offset, length, first, last)
        if answered:
            last = answered.tick
        spans = sorted(_suspect_spans(history, keys, first, last))
        for start, end in spans:
            for write in _stores(history, slot, offset, length, max(start, first), end):
                return write
        return answered
    finally:
        history.seek(here)


def _keys(slot: int, offset: int, length: int) -> frozenset[int]:
    if length < 1 or not 0 <= offset <= (1 << 32) - length:
        raise ValueError(f"{length} bytes at offset {offset:#x} are no memory")
    return frozenset(
        key_of(slot, number) for number in range(offset >> LEAF_BITS, (offset + length - 1 >> LEAF_BITS) + 1)
    )


def _suspect_spans(history: History, keys: frozenset[int], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Spans of ticks, end excluded, the latest first, in which one of the leaves may have been stored to."""
    history.seek(last)
    tail = history.point()
    kept = [point for point in history.timeline.kept if point.moment <= last]
    marks: list[Point] = [*kept, tail]
    for index in range(len(marks) - 1, 0, -1):
        start, end = marks[index - 1], marks[index]
        if end.moment <= first:
            return
        if end.written is None:
            yield from _refined(history, keys, start, end)
        elif keys & end.written:
            yield start.moment, end.moment


def _refined(history: History, keys: frozenset[int], start: Point, end: Point) -> Iterator[tuple[int, int]]:
    """As `_suspect_spans` of a span that nobody has looked at: it is passed through, which leaves points in it."""
    history.seek(start.moment)
    history.seek(end.moment)
    inner = [point for point in history.timeline.kept if start.moment <= point.moment <= end.moment]
    for index in range(len(inner) - 1, 0, -1):
        written = inner[index].written
        if written is None or keys & written:
            yield inner[index - 1].moment, inner[index].moment


def _answer_before(history: History, slot: int, offset: int, length: int, before: int, not_before: int) -> Write | None:
    for _, entry in reversed(history.entries(not_before, before - 1)):
        found = _written_by(entry, slot, offset, length)
        if found:
            return _with_pc(history, found)
    return None


def _answer_after(history: History, slot: int, offset: int, length: int, first: int, last: int) -> Write | None:
    for _, entry in history.entries(first, last - 1):
        found = _written_by(entry, slot, offset, length)
        if found:
            return _with_pc(history, found)
    return None


def _written_by(entry: Entry, slot: int, offset: int, length: int) -> Write | None:
    for place, start, data in entry.answer.writes:
        if place == slot and start < offset + length and offset < start + len(data):
            return Write(entry.tick, 0, slot, start, len(data), entry=entry)
    return None


def _with_pc(history: History, write: Write) -> Write:
    return replace(write, pc=history.seek(write.tick).pc)


def _last_store(history: History, slot: int, offset: int, length: int, first: int, last: int) -> Write | None:
    while first < last:
        start = max(first, last - _WINDOW)
        candidates: list[tuple[int, npt.NDArray[np.intp], Beams]] = []
        for tick, beams in history.beams(start, last):
            found = stores_overlapping(beams, offset, length)
            if len(found):
                candidates.append((tick, found, beams[found]))
        for tick, found, chosen in reversed(candidates):
            for index in range(len(found) - 1, -1, -1):
                at = tick + int(found[index])
                if slot_stored_to(history, at) == slot:
                    return _write(at, slot, chosen[index])
        last = start
    return None


def _write(tick: int, slot: int, beam: Any) -> Write:
    pc, opcode, _, _, value, aux = beam.tolist()
    return Write(tick, pc, slot, aux, int(STORE_SIZES[opcode]), value, opcode)


def _stores(history: History, slot: int, offset: int, length: int, first: int, last: int) -> Iterator[Write]:
    for tick, beams in history.beams(first, last):
        for index in stores_overlapping(beams, offset, length).tolist():
            if slot_stored_to(history, tick + index) == slot:
                yield _write(tick + index, slot, beams[index])


def slot_stored_to(history: History, tick: int) -> int:
    """The shard slot that the store at this tick goes to: the golden model, which holds nothing but the instruction
    itself, misses a leaf of that slot."""
    state = history.seek(tick)
    golden = GoldenMachine()
    golden.set_state(state)
    for number in {state.pc >> LEAF_BITS, (state.pc + 4) >> LEAF_BITS}:
        golden.install(CODE_SLOT, number, Leaf(history.leaf(CODE_SLOT, number).data))
    stop = golden.run(tick + 1)
    return stop.miss.slot if stop.miss else CODE_SLOT
