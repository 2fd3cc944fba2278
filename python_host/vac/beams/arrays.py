"""Queries over events in memory, without any index."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .record import BESIDE, EntangledSet, Rows


def newest(found: npt.NDArray[np.intp], limit: int | None) -> npt.NDArray[np.intp]:
    """The last `limit` of ascending indices."""
    return found if limit is None else found[max(len(found) - limit, 0) :]


def of_value(rows: Rows, value: int) -> npt.NDArray[np.intp]:
    """Indices of the beams that carried this value."""
    return np.flatnonzero((rows["value"] == value) & (rows["opcode"] != BESIDE))


def of_cell(rows: Rows, cell: int) -> npt.NDArray[np.intp]:
    """Indices of a cell's events."""
    return np.flatnonzero(rows["cell"] == cell)


def tick_span(rows: Rows, first: int, end: int) -> tuple[int, int]:
    """First index and end of the events of ticks from `first` up to, not including, `end`."""
    ticks = rows["tick"]
    return int(np.searchsorted(ticks, np.uint64(first))), int(np.searchsorted(ticks, np.uint64(end)))


def cells_of_set(rows: Rows, first_seq: int, members: EntangledSet) -> npt.NDArray[np.uint64]:
    """Cells of the events of a set, each once, ascending. first_seq: number of the first row in the run."""
    return np.unique(rows["cell"][members.hits(rows, first_seq)])


def counts(rows: Rows) -> tuple[dict[int, int], dict[int, int]]:
    """Events by opcode, BESIDE left out; events beside the beams by number of their token."""
    by_opcode = np.bincount(rows["opcode"], minlength=256)
    opcodes = {int(opcode): int(by_opcode[opcode]) for opcode in np.flatnonzero(by_opcode) if opcode != BESIDE}
    tokens, numbers = np.unique(rows["pc"][rows["opcode"] == BESIDE], return_counts=True)
    return opcodes, dict(zip(tokens.tolist(), numbers.tolist(), strict=True))


def add_counts(total: dict[int, int], more: dict[int, int]) -> None:
    """Adds counts into `total`."""
    for key, count in more.items():
        total[key] = total.get(key, 0) + count
