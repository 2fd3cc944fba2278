"""Leaves back to segments: what a page table says, as images say it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from ..image.image import Segment
from ..isa.limits import LEAF_BITS, LEAF_BYTES
from .errors import ImageFileError

Pages = dict[tuple[int, int], bytes]
"""Leaf hash by (slot, leaf number); a leaf that is not there is zeros without labels."""
Leaves = dict[bytes, tuple[int, bytes]]
"""Label set and contents by leaf hash."""


def segments_of(extents: Sequence[tuple[int, int, int]], pages: Pages, leaves: Leaves) -> Iterator[Segment]:
    """Segments that hold exactly these leaves. Where leaves are missing inside an extent, a new one begins behind.

    Raises ImageFileError where a leaf holds something outside all extents.
    """
    runs = _runs(pages, leaves)
    for slot in sorted({*runs, *(slot for slot, _, _ in extents)}):
        inside = [(offset, offset + length) for extent_slot, offset, length in extents if extent_slot == slot]
        of_slot = runs.get(slot, [])
        for run in of_slot:
            _check_covered(slot, run, inside)
        for offset, end in inside:
            for first, data, labels, behind in _pieces(of_slot, offset, end):
                yield Segment(slot, first, behind - first, data.rstrip(b"\0"), labels)


def _pieces(runs: Sequence[_Run], offset: int, end: int) -> Iterator[tuple[int, bytes, int, int]]:
    """An extent cut where its runs begin: offset, contents, labels, offset of the next piece."""
    pieces: list[tuple[int, bytes, int]] = []
    at = offset
    start_of = attrgetter("start")
    nearest = max(0, bisect_right(runs, offset, key=start_of) - 1)
    for index in range(nearest, bisect_left(runs, end, key=start_of)):
        run = runs[index]
        first = max(run.start, offset)
        if first >= run.start + len(run.data):
            continue
        if first > at and (not pieces or pieces[-1][2]):
            pieces.append((at, b"", 0))
        pieces.append((first, run.data[first - run.start : end - run.start], run.labels))
        at = run.start + len(run.data)
    if at < end and (not pieces or pieces[-1][2]):
        pieces.append((at, b"", 0))
    for (first, data, labels), behind in zip(pieces, [*(first for first, _, _ in pieces[1:]), end], strict=True):
        yield first, data, labels, behind


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring leaves with the same labels, in one piece. start: offset in the slot."""

    start: int
    data: bytes
    labels: int


def _runs(pages: Pages, leaves: Leaves) -> dict[int, list[_Run]]:
    """By slot, in ascending order."""
    found: dict[int, list[_Run]] = {}
    for slot, group in groupby(sorted(pages), key=lambda key: key[0]):
        # Neighbours have the same difference between leaf number and place in the list.
        rows = [(number - at, number, *leaves[pages[slot, number]]) for at, (_, number) in enumerate(group)]
        for (_, labels), run in groupby(rows, key=lambda row: (row[0], row[2])):
            members = list(run)
            data = b"".join(data for _, _, _, data in members)
            found.setdefault(slot, []).append(_Run(members[0][1] << LEAF_BITS, data, labels))
    return found


def _check_covered(slot: int, run: _Run, inside: Sequence[tuple[int, int]]) -> None:
    at, run_end = run.start, run.start + len(run.data)
    first = max(0, bisect_right(inside, (at, 0)) - 1)
    for offset, end in [*inside[first : bisect_left(inside, (run_end, 0))], (run_end, run_end)]:
        has_whole_leaf = -(-at // LEAF_BYTES) * LEAF_BYTES + LEAF_BYTES <= offset
        if at < offset and (any(run.data[at - run.start : offset - run.start]) or (run.labels and has_whole_leaf)):
            raise ImageFileError(f"slot {slot} holds something in {at:#x} to {offset:#x}, outside every extent")
        at = max(at, end)
