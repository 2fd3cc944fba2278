"""For each read of a place, which write to it came last before."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


def last_writers(
    read_places: Numbers, before: Numbers, write_places: Numbers, write_rows: Numbers, rows: int
) -> Numbers:
    """Row of the last write to the same place that comes before row `before` of the read; -1 where there is none.

    Places are not negative, `before` is at most `rows`, and a place times `rows` fits 62 bits.
    """
    found = np.full(len(read_places), -1, np.int64)
    if not len(write_places) or not len(read_places):
        return found
    end = rows + 1
    written = np.sort(write_places * end + write_rows)
    wanted = read_places * end + before
    # Looked up in order, neighbours are found where the last one was.
    order = np.argsort(wanted)
    position = np.searchsorted(written, wanted[order]) - 1
    write = written[position]
    is_found = (position >= 0) & (write // end == read_places[order])
    found[order[is_found]] = write[is_found] % end
    return found


def distinct(values: Numbers) -> Numbers:
    """Ascending, each once. Sorting is several times faster here than the hashing of `np.unique`."""
    ordered = np.sort(values)
    is_first = np.ones(len(ordered), bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_first]
