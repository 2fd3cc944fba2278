"""Which stretches of a segment can hold events of an entangled set: for each 1024 events a u32 with the union of their
labels, and bit 16 where an event belongs to a set by other means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..record import BESIDE, EVENT, EntangledSet, Rows

ZONE_RECORDS = 1024
OTHERWISE = 1 << 16
SPAN_ZONES = 32
"""That are looked through at once, at most: those from a multiple of this number up to the next."""

Found = tuple[npt.NDArray[np.int64], Rows]
"""Numbers in the run of what a query found, ascending, and the events."""

RowsOf = Callable[[int, int], Rows]
"""Events of a segment from a position up to, not including, another."""


def marks_of(rows: Rows) -> npt.NDArray[np.uint32]:
    """The u32 of each zone."""
    marks = rows["labels"].astype(np.uint32)
    marks[(rows["eid"] != 0) & ((rows["opcode"] == BESIDE) | (rows["labels"] == 0))] |= OTHERWISE
    return np.bitwise_or.reduceat(marks, np.arange(0, len(rows), ZONE_RECORDS)) if len(rows) else marks


class Zones:
    """marks: of a segment. first: number in the run of its first event; records: how many it has."""

    def __init__(self, marks: npt.NDArray[np.uint32], first: int, records: int) -> None:
        self._marks = marks
        self._first = first
        self._records = records

    @cached_property
    def _otherwise(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self._marks & np.uint32(OTHERWISE))

    def candidates(self, members: EntangledSet) -> npt.NDArray[np.intp]:
        """Zones in which there may be events of a set, ascending."""
        if not members.mask:
            return self._otherwise
        low = max(members.first - self._first, 0) // ZONE_RECORDS
        high = max(-(-(members.end - self._first) // ZONE_RECORDS), low)
        labelled = np.flatnonzero(self._marks[low:high] & np.uint32(members.mask)) + low
        return np.union1d(labelled, self._otherwise) if len(self._otherwise) else labelled

    def newest(self, members: EntangledSet, limit: int | None, rows_of: RowsOf) -> Found:
        """The newest `limit` events of a set. Looks back from the newest candidate, at more and more zones at once."""
        candidates = self.candidates(members)
        found: list[Found] = []
        missing = self._records if limit is None else limit
        end, width = len(candidates), 1
        while end > 0 and missing > 0:
            last = int(candidates[end - 1])
            zone = max(last - width + 1, last - last % SPAN_ZONES)
            end = int(np.searchsorted(candidates[:end], zone))
            start = int(candidates[end]) * ZONE_RECORDS
            rows = rows_of(start, min((last + 1) * ZONE_RECORDS, self._records))
            hits = np.flatnonzero(members.hits(rows, self._first + start))
            hits = hits[max(len(hits) - missing, 0) :]
            missing -= len(hits)
            if len(hits):
                found.append((hits + (self._first + start), rows[hits]))
            width = min(2 * width, SPAN_ZONES)
        return joined(found)


def joined(newest_first: Sequence[Found]) -> Found:
    """What several parts of a run gave, in its order."""
    if len(newest_first) == 1:
        return newest_first[0]
    parts = newest_first[::-1]
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, EVENT)
    return np.concatenate([numbers for numbers, _ in parts]), np.concatenate([rows for _, rows in parts])
