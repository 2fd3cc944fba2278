"""Conditions beside those of a history: loads, information-flow labels, and the tick before something."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..history.conditions import BeamCondition, Condition, Requested
from ..history.history import History
from ..history.last_write import slot_stored_to as slot_accessed
from ..history.tracing import Beams
from ..isa.instruction import Unit
from ..isa.table import INSTRUCTIONS
from ..machine.protocol import EventKind


def _load_sizes() -> npt.NDArray[np.uint32]:
    sizes = np.zeros(256, np.uint32)
    for row in INSTRUCTIONS:
        if row.unit is Unit.LOAD and row.access:
            sizes[row.opcode] = row.access.size
    return sizes


_LOAD_SIZES = _load_sizes()
"""Bytes that an opcode loads, 0 for one that does not."""
_BACKWARDS = 1 << 20
"""Ticks that are searched from behind at once."""


class Loaded:
    """Bytes of a shard slot were loaded by the instruction before. What the host reads for an answer does not count.

    A beam does not say which slot was meant: of each load at this offset the golden model is asked, the nearest first.
    """

    def __init__(self, slot: int, offset: int, length: int = 1) -> None:
        self._slot, self._offset, self._length = slot, offset, length

    def first(self, history: History, first: int, last: int) -> int | None:
        for tick, beams in history.beams(max(0, first - 1), last):
            for index in self._candidates(beams):
                if self._is_meant(history, tick + index):
                    return tick + index + 1
        return None

    def last(self, history: History, first: int, last: int) -> int | None:
        end, lowest = last, max(0, first - 1)
        while end > lowest:
            start = max(lowest, end - _BACKWARDS)
            found = [tick + index for tick, beams in history.beams(start, end) for index in self._candidates(beams)]
            for tick in reversed(found):
                if self._is_meant(history, tick):
                    return tick + 1
            end = start
        return None

    def _candidates(self, beams: Beams) -> list[int]:
        aux = beams["aux"].astype(np.int64)
        sizes = _LOAD_SIZES[beams["opcode"]]
        overlaps = (sizes > 0) & (aux < self._offset + self._length) & (aux + sizes > self._offset)
        return np.flatnonzero(overlaps).tolist()

    def _is_meant(self, history: History, tick: int) -> bool:
        here = history.tick
        try:
            return slot_accessed(history, tick) == self._slot
        finally:
            history.seek(here)


class Labelled(BeamCondition):
    """The instruction before gave a value that carries one of these information-flow labels. labels: set of 16 bits."""

    delay = 1

    def __init__(self, labels: int) -> None:
        self._labels = labels

    def pick(self, history: History, tick: int, beams: Beams) -> npt.NDArray[np.intp]:
        return np.flatnonzero(beams["labels"] & self._labels)


class Before:
    """Another condition holds one tick later."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition

    def first(self, history: History, first: int, last: int) -> int | None:
        found = self._condition.first(history, first + 1, last + 1)
        return None if found is None else found - 1

    def last(self, history: History, first: int, last: int) -> int | None:
        found = self._condition.last(history, first + 1, last + 1)
        return None if found is None else found - 1


class DeviceRequested(Requested):
    """A request to a device comes next. kinds: IN, OUT. addresses: of the device's registers."""

    def __init__(self, kinds: frozenset[EventKind], addresses: range) -> None:
        super().__init__()
        self._kinds = kinds
        self._addresses = addresses

    def _is_meant(self, kind: EventKind, number: int) -> bool:
        return kind in self._kinds and number in self._addresses
