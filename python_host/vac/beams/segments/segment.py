"""A segment that is not sealed: up to 2**20 records of 40 bytes, and its index.

The index `000000.idx` is written when the segment is full: `VACBIX` 0 1, number of records u32, CRC-32 of what follows
u32; then for each record `cell << 20 | position` as u64, ascending; then for each 1024 records a u32 with the union of
their labels, and bit 16 where an event belongs to an entangled set by other means. It can be made again at any time.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import arrays
from ..errors import StoreDamaged, typed_errors
from ..record import BESIDE, EVENT, EntangledSet, Rows
from .file_access import mapped, write_file

SEGMENT_BITS = 20
SEGMENT_RECORDS = 1 << SEGMENT_BITS
ZONE_RECORDS = 1024
OTHERWISE = 1 << 16

_MAGIC = b"VACBIX\x00\x01"
_HEADER = struct.Struct("<8sII")
_WHOLE_SCAN = 1 << 16
"""Records up to which a segment without an index is looked through."""


def record_name(number: int) -> str:
    return f"{number:06d}.rec"


def index_name(number: int) -> str:
    return f"{number:06d}.idx"


def cell_keys(rows: Rows) -> npt.NDArray[np.uint64]:
    """Cell and position of each record in one number, ascending."""
    keys = rows["cell"] << np.uint64(SEGMENT_BITS)
    keys |= np.arange(len(rows), dtype=np.uint64)
    keys.sort()
    return keys


def zones(rows: Rows) -> npt.NDArray[np.uint32]:
    """For each ZONE_RECORDS events which entangled sets to look for there."""
    marks = rows["labels"].astype(np.uint32)
    marks[(rows["eid"] != 0) & ((rows["opcode"] == BESIDE) | (rows["labels"] == 0))] |= OTHERWISE
    return np.bitwise_or.reduceat(marks, np.arange(0, len(rows), ZONE_RECORDS)) if len(rows) else marks


def write_index(path: Path, rows: Rows) -> None:
    """Raises OSError."""
    keys, marks = cell_keys(rows), zones(rows)
    crc = zlib.crc32(marks.data, zlib.crc32(keys.data))
    write_file(path, _HEADER.pack(_MAGIC, len(rows), crc), keys.data, marks.data)


@dataclass
class Segment:
    """The first `records` records of a segment's file. first: number in the run of the first of them."""

    folder: Path
    number: int
    first: int
    records: int

    @property
    def path(self) -> Path:
        return self.folder / record_name(self.number)

    @property
    def end(self) -> int:
        return self.first + self.records

    @cached_property
    def rows(self) -> Rows:
        """Raises StoreDamaged when the file is shorter than what was committed."""
        if not self.records:
            return np.zeros(0, EVENT)
        with typed_errors(self.path):
            size = self.path.stat().st_size
            if size < self.records * EVENT.itemsize:
                raise StoreDamaged(f"{self.path} has {size} bytes, but {self.records} records were committed")
            return np.frombuffer(mapped(self.path), EVENT, self.records)

    @cached_property
    def _index(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]] | None:
        return self._read_index()

    @cached_property
    def _keys(self) -> npt.NDArray[np.uint64]:
        return self._index[0] if self._index else cell_keys(self.rows)

    @cached_property
    def _zones(self) -> npt.NDArray[np.uint32]:
        return self._index[1] if self._index else zones(self.rows)

    def _read_index(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]] | None:
        """None where there is no index of exactly these records."""
        count = -(-self.records // ZONE_RECORDS)
        path = self.folder / index_name(self.number)
        try:
            content = mapped(path)
        except OSError:
            return None
        if len(content) != _HEADER.size + 8 * self.records + 4 * count:
            return None
        magic, records, crc = _HEADER.unpack_from(content)
        if magic != _MAGIC or records != self.records or crc != zlib.crc32(content[_HEADER.size :]):
            return None
        end = _HEADER.size + 8 * self.records
        return np.frombuffer(content[_HEADER.size : end], np.uint64), np.frombuffer(content[end:], np.uint32)

    # ---- queries: positions in this segment --------------------------------------------------------------------

    def of_cell(self, cell: int) -> npt.NDArray[np.intp]:
        """Positions of a cell's events, ascending."""
        if self.records <= _WHOLE_SCAN:
            return arrays.of_cell(self.rows, cell)
        keys = self._keys
        low, high = np.searchsorted(keys, np.array((cell << SEGMENT_BITS, (cell + 1) << SEGMENT_BITS), np.uint64))
        return (keys[low:high] & np.uint64(SEGMENT_RECORDS - 1)).astype(np.intp)

    def of_set(self, members: EntangledSet, limit: int | None) -> npt.NDArray[np.intp]:
        """Positions of the newest `limit` events of a set, ascending."""
        return newest_in_zones(self._zones, self.rows, self.first, members, limit)


def newest_in_zones(
    marks: npt.NDArray[np.uint32], rows: Rows, first: int, members: EntangledSet, limit: int | None
) -> npt.NDArray[np.intp]:
    """Positions of the newest `limit` events of a set, ascending; looks only where the zones say there may be some.

    rows: the events; first: number of the first in the run.
    """
    candidates = zones_of(marks, first, members)
    found: list[npt.NDArray[np.intp]] = []
    missing = len(rows) if limit is None else limit
    end, width = len(candidates), 1
    while end > 0 and missing > 0:
        start = max(end - width, 0)
        for zone in reversed(candidates[start:end].tolist()):
            low = zone * ZONE_RECORDS
            hits = np.flatnonzero(members.hits(rows[low : low + ZONE_RECORDS], first + low)) + low
            hits = hits[max(len(hits) - missing, 0) :]
            if len(hits):
                found.append(hits)
                missing -= len(hits)
            if not missing:
                break
        end, width = start, 2 * width
    return np.concatenate(found[::-1]) if found else np.zeros(0, np.intp)


def zones_of(marks: npt.NDArray[np.uint32], first: int, members: EntangledSet) -> npt.NDArray[np.intp]:
    """Zones in which there may be events of a set."""
    looked_for = marks & np.uint32(members.mask | OTHERWISE)
    if members.mask and members.end <= first:
        looked_for = marks & np.uint32(OTHERWISE)
    elif members.mask:
        outside = np.arange(len(marks)) * ZONE_RECORDS + first
        looked_for = np.where(
            (outside + ZONE_RECORDS > members.first) & (outside < members.end), looked_for, marks & np.uint32(OTHERWISE)
        )
    return np.flatnonzero(looked_for)
