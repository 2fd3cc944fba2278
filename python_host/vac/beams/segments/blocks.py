"""Events of a sealed segment in the order of their cells, in blocks of 2048 that are read one by one.

Little-endian. `VACBCE` 0 1 and the number of events u64; then the blocks; then for each block its first cell u64 and
its offset in the file u64, and the end of the last block u64 twice; then the number of blocks u64 and the CRC-32 of all
from the first cells on u32. A block is one zstd frame with a checksum: for each column the bytes of all events of
weight 1, then of weight 2, and so on; `row` (position in the sealed segment, u32), `tick` and `cell` as differences to
the event before, modulo their width.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zstandard

from ..errors import StoreDamaged, typed_errors
from ..record import EVENT, Rows
from .file_access import mapped

BLOCK = 2048
_MAGIC = b"VACBCE\x00\x01"
_HEADER = struct.Struct("<8sQ")
_TRAILER = struct.Struct("<QI")
_LEVEL = 5
_DELTAS = {"row", "tick", "cell"}
_ROW = np.dtype("<u4")
COLUMNS = (("row", _ROW), *((name, EVENT[name]) for name in EVENT.names or () if name != "reserved"))
_EVENT_BYTES = sum(dtype.itemsize for _, dtype in COLUMNS)


def encode(rows: Rows, progress: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """Parts of the file for events in the order of the run."""
    order = np.argsort(rows["cell"], kind="stable").astype(_ROW)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
    yield _HEADER.pack(_MAGIC, len(rows))
    offset, starts = _HEADER.size, []
    for first in range(0, len(rows), BLOCK):
        part = order[first : first + BLOCK]
        chosen = rows[part]
        starts.append((int(chosen["cell"][0]), offset))
        raw = b"".join(_shuffled(name, part if name == "row" else chosen[name]) for name, _ in COLUMNS)
        block = compressor.compress(raw)
        offset += len(block)
        yield block
        if progress:
            progress(len(part))
    starts.append((offset, offset))
    index = np.array(starts, np.uint64).tobytes()
    yield index
    yield _TRAILER.pack(len(starts) - 1, zlib.crc32(index))


def _shuffled(name: str, column: npt.NDArray[np.unsignedinteger]) -> bytes:
    column = np.ascontiguousarray(column)
    if name in _DELTAS:
        column = np.diff(column, prepend=column.dtype.type(0))
    return np.ascontiguousarray(column.view(np.uint8).reshape(len(column), -1).T).tobytes()


class CellOrder:
    """path: the file. Raises StoreDamaged where it is not as it was written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._decompressor = zstandard.ZstdDecompressor()

    @cached_property
    def _content(self) -> tuple[memoryview, npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """The whole file; first cell and offset of each block, and the end."""
        with typed_errors(self.path):
            if os.path.getsize(self.path) < _HEADER.size + 16 + _TRAILER.size:
                raise StoreDamaged(f"{self.path} is too short")
            content = mapped(self.path)
        count, crc = _TRAILER.unpack_from(content, len(content) - _TRAILER.size)
        start = len(content) - _TRAILER.size - 16 * (count + 1)
        magic, _ = _HEADER.unpack_from(content)
        index = content[max(start, 0) : len(content) - _TRAILER.size]
        if magic != _MAGIC or start < _HEADER.size or zlib.crc32(index) != crc:
            raise StoreDamaged(f"{self.path}: its index is damaged")
        pairs = np.frombuffer(index, np.uint64).reshape(-1, 2)
        return content, np.ascontiguousarray(pairs[:-1, 0]), np.ascontiguousarray(pairs[:, 1])

    def of_cell(self, cell: int, limit: int | None = None) -> tuple[npt.NDArray[np.intp], Rows]:
        """Positions in the sealed segment and events of a cell, ascending; the newest `limit`."""
        content, cells, offsets = self._content
        first = max(int(np.searchsorted(cells, np.uint64(cell), "left")) - 1, 0)
        last = int(np.searchsorted(cells, np.uint64(cell), "right"))
        parts: list[tuple[npt.NDArray[np.uint32], Rows]] = []
        missing = limit
        for block in reversed(range(first, last)):
            if missing == 0:
                break
            position, rows = self._block(content[int(offsets[block]) : int(offsets[block + 1])])
            low, high = np.searchsorted(rows["cell"], np.array((cell, cell + 1), np.uint64))
            if missing is not None:
                low = max(low, high - missing)
                missing -= int(high - low)
            if low < high:
                parts.append((position[low:high], rows[low:high]))
        if not parts:
            return np.zeros(0, np.intp), np.zeros(0, EVENT)
        parts.reverse()
        found = np.concatenate([position for position, _ in parts]).astype(np.intp)
        return found, np.concatenate([rows for _, rows in parts])

    def _block(self, frame: memoryview) -> tuple[npt.NDArray[np.uint32], Rows]:
        try:
            raw = self._decompressor.decompress(frame)
        except zstandard.ZstdError as error:
            raise StoreDamaged(f"{self.path}: a block is damaged: {error}") from None
        count = len(raw) // _EVENT_BYTES
        rows = np.zeros(count, EVENT)
        position = np.zeros(count, _ROW)
        start = 0
        for name, dtype in COLUMNS:
            size = count * dtype.itemsize
            planes = np.frombuffer(raw, np.uint8, size, start).reshape(dtype.itemsize, count)
            column = np.ascontiguousarray(planes.T).view(dtype).reshape(count)
            if name in _DELTAS:
                column = np.cumsum(column, dtype=dtype)
            if name == "row":
                position = column
            else:
                rows[name] = column
            start += size
        return position, rows

    def verify(self) -> int:
        """Reads every block; returns the number of events. Raises StoreDamaged."""
        content, cells, offsets = self._content
        count = 0
        for block in range(len(cells)):
            position, _ = self._block(content[int(offsets[block]) : int(offsets[block + 1])])
            count += len(position)
        return count
