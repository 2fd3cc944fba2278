"""Last writers against a dictionary; distinct numbers against a set."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vac.lineage.last_writers import distinct, last_writers

PLACES = st.sampled_from([0, 1, 2, 63, 64, 272, 1 << 40, (1 << 40) + 1, (1 << 41) - 1])


@given(st.lists(st.tuples(st.booleans(), PLACES), max_size=60))
def test_last_writers(events: list[tuple[bool, int]]) -> None:
    """Each event is a row, which reads or writes a place; a read comes before its row."""
    last: dict[int, int] = {}
    reads: list[tuple[int, int]] = []
    writes: list[tuple[int, int]] = []
    expected: list[int] = []
    for row, (is_write, place) in enumerate(events):
        if is_write:
            writes.append((place, row))
            last[place] = row
        else:
            reads.append((place, row))
            expected.append(last.get(place, -1))
    for place in {place for _, place in events}:
        reads.append((place, len(events)))
        expected.append(last.get(place, -1))
    read = np.array(reads, np.int64).reshape(-1, 2)
    written = np.array(writes, np.int64).reshape(-1, 2)
    found = last_writers(read[:, 0], read[:, 1], written[:, 0], written[:, 1], len(events))
    assert found.tolist() == expected


@given(st.lists(st.integers(-(1 << 62), 1 << 62)))
def test_distinct(values: list[int]) -> None:
    assert distinct(np.array(values, np.int64)).tolist() == sorted(set(values))
