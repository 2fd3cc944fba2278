"""A segment that is not sealed: up to 2**20 records of 40 bytes, and its index.

The index `000000.idx` is written when the segment is full: `VACBIX` 0 1, number of records u32, CRC-32 of what follows
u32; then for each record `cell << 20 | position` as u64, ascending; then the u32 of each zone (`zones`). It can be made
again at any time.
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
from ..record import EVENT, EntangledSet, Rows
from . import zones
from .file_access import mapped, write_file
from .zones import Found, Zones, marks_of

SEGMENT_BITS = 20
SEGMENT_RECORDS = 1 << SEGMENT_BITS

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


def write_index(path: Path, rows: Rows) -> None:
    """Raises OSError."""
    keys, marks = cell_keys(rows), marks_of(rows)
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
    def _zones(self) -> Zones:
        return Zones(self._index[1] if self._index else marks_of(self.rows), self.first, self.records)

    def _read_index(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]] | None:
        """None where there is no index of exactly these records."""
        count = -(-self.records // zones.ZONE_RECORDS)
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

    # ---- queries -----------------------------------------------------------------------------------------------

    def slice(self, first: int, end: int) -> Rows:
        """Events numbered `first` up to, not including, `end` in the run; both lie in this segment."""
        return self.rows[first - self.first : end - self.first]

    def seq_of_tick(self, tick: int) -> int:
        """Number of the first event of this tick or a later one; `end` where there is none."""
        return self.first + int(np.searchsorted(self.rows["tick"], np.uint64(tick)))

    def of_cell(self, cell: int, limit: int | None) -> Found:
        """The newest `limit` events of a cell."""
        if self.records <= _WHOLE_SCAN:
            return self._found(arrays.of_cell(self.rows, cell), limit)
        keys = self._keys
        low, high = np.searchsorted(keys, np.array((cell << SEGMENT_BITS, (cell + 1) << SEGMENT_BITS), np.uint64))
        return self._found((keys[low:high] & np.uint64(SEGMENT_RECORDS - 1)).astype(np.intp), limit)

    def of_value(self, value: int, limit: int | None) -> Found:
        """As `of_cell`, for a value; looks at every record."""
        return self._found(arrays.of_value(self.rows, value), limit)

    def of_set(self, members: EntangledSet, limit: int | None) -> Found:
        """As `of_cell`, for an entangled set."""
        return self._zones.newest(members, limit, lambda start, end: self.rows[start:end])

    def _found(self, positions: npt.NDArray[np.intp], limit: int | None) -> Found:
        positions = arrays.newest(positions, limit)
        return positions + self.first, self.rows[positions]

    def cells_of_set(self, members: EntangledSet) -> npt.NDArray[np.uint64]:
        """Cells of the events of a set, each once, ascending."""
        return np.unique(self.of_set(members, None)[1]["cell"])

    def counts(self) -> tuple[dict[int, int], dict[int, int]]:
        """As `arrays.counts`."""
        return arrays.counts(self.rows)
