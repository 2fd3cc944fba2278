"""A sealed segment: a folder that replaces the segments of some numbers.

`events.parquet` holds the events in their order, columns as in `vac.beams.record.EVENT`, compressed with zstd;
`events.cells` the same in the order of their cells (`vac.beams.segments.blocks`); `zones` the u32 of each zone
(`vac.beams.segments.zones`). `sealed.json` names the format and states counts, and size and BLAKE3 of each file.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from ...files.durable import sync
from .. import arrays
from ..errors import StoreDamaged, StoreFormatError, typed_errors
from ..record import BESIDE, EVENT, EntangledSet, Rows
from .blocks import CellOrder, encode
from .file_access import mapped, write_file
from .zones import SPAN_ZONES, ZONE_RECORDS, Found, Zones, joined, marks_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

GROUP_RECORDS = SPAN_ZONES * ZONE_RECORDS
"""Events of a row group of the Parquet file: what a query decodes at least."""
FIELDS = [name for name in EVENT.names or () if name != "reserved"]
PARQUET, CELLS, ZONES, MANIFEST = "events.parquet", "events.cells", "zones", "sealed.json"
_FORMAT = {"format": "vac sealed beams", "version": 1}
_NAME = re.compile(r"sealed-([0-9]{6})-([0-9]{6})")
_KEPT_GROUPS = 8

Progress = Callable[[int], None]
"""Called with the number of events done since the last call."""


def sealed_name(first: int, last: int) -> str:
    return f"sealed-{first:06d}-{last:06d}"


def sealed_numbers(name: str) -> tuple[int, int] | None:
    """First and last segment number that a folder of this name replaces; None for another name."""
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


# ---- writing ---------------------------------------------------------------------------------------------------------


def seal(folder: Path, first: int, last: int, first_seq: int, rows: Rows, progress: Progress | None = None) -> Path:
    """Writes a run's segments `first` to `last` as one sealed segment; all of it is there when its name is.

    rows: their events; first_seq: number of the first. Raises OSError, and leaves nothing of it.
    """
    target = folder / sealed_name(first, last)
    temporary = folder / f"{target.name}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        _write_parquet(temporary / PARQUET, rows, progress)
        _write_cells(temporary / CELLS, rows, progress)
        write_file(temporary / ZONES, marks_of(rows).data)
        files = {name: _described(temporary / name) for name in (PARQUET, CELLS, ZONES)}
        opcodes, tokens = arrays.counts(rows)
        beams = np.flatnonzero(rows["opcode"] != BESIDE)
        manifest = {
            **_FORMAT, "segments": [first, last], "first": first_seq, "events": len(rows),
            "ticks": [int(rows["tick"][0]), int(rows["tick"][-1])],
            "last_beam": int(rows["tick"][beams[-1]]) if len(beams) else None, "opcodes": opcodes, "tokens": tokens,
            "files": files,
        }  # fmt: skip
        write_file(temporary / MANIFEST, json.dumps(manifest, indent=1).encode())
        sync(temporary)
        temporary.replace(target)
        sync(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return target


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "blake3": blake3(max_threads=1).update_mmap(path).hexdigest()}


def arrow_table(rows: Rows) -> pa.Table:
    """Events as an Arrow table, one column for each field."""
    import pyarrow as pa

    return pa.table({name: np.ascontiguousarray(rows[name]) for name in FIELDS})


def _write_parquet(path: Path, rows: Rows, progress: Progress | None) -> None:
    from pyarrow import parquet

    packed = {name: "PLAIN" for name in FIELDS} | {"tick": "DELTA_BINARY_PACKED"}
    schema = arrow_table(rows[:0]).schema
    with (
        open(path, "wb") as file,
        parquet.ParquetWriter(
            file, schema, compression="zstd", compression_level=5, use_dictionary=False, column_encoding=packed,
            write_statistics=True, write_page_checksum=True, store_schema=False,
        ) as writer,
    ):  # fmt: skip
        for first in range(0, len(rows), GROUP_RECORDS):
            part = rows[first : first + GROUP_RECORDS]
            writer.write_table(arrow_table(part), row_group_size=GROUP_RECORDS)
            if progress:
                progress(len(part))
    sync(path)


def _write_cells(path: Path, rows: Rows, progress: Progress | None) -> None:
    with open(path, "wb") as file:
        for part in encode(rows, progress):
            file.write(part)
    sync(path)


# ---- reading ---------------------------------------------------------------------------------------------------------


class SealedSegment:
    """folder: of the sealed segment. Raises StoreFormatError, and StoreDamaged where a file is not as written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / MANIFEST
        with typed_errors(path):
            content = path.read_bytes()
        try:
            self._manifest = json.loads(content)
            self.first_number, self.last_number = self._manifest["segments"]
            self.first: int = self._manifest["first"]
            self.records: int = self._manifest["events"]
            self.first_tick, self.last_tick = self._manifest["ticks"]
            self.last_beam: int | None = self._manifest["last_beam"]
            """Tick of the newest event that is a machine's beam."""
            known = {key: self._manifest[key] for key in _FORMAT}
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamaged(f"{path}: {error!r}") from None
        if known != _FORMAT:
            raise StoreFormatError(f"{path} is {known}; this version reads {_FORMAT}")
        self._groups: OrderedDict[int, Rows] = OrderedDict()
        self._cells = CellOrder(folder / CELLS)

    @property
    def end(self) -> int:
        return self.first + self.records

    @property
    def parquet(self) -> Path:
        return self.folder / PARQUET

    @cached_property
    def _parquet_file(self) -> parquet.ParquetFile:
        import pyarrow as pa
        from pyarrow import parquet

        with typed_errors(self.parquet):
            try:
                file = parquet.ParquetFile(self.parquet, page_checksum_verification=True, memory_map=True)
            except pa.ArrowException as error:
                raise StoreDamaged(f"{self.parquet}: {error}") from None
        if file.metadata.num_rows != self.records:
            raise StoreDamaged(f"{self.parquet} has {file.metadata.num_rows} events instead of {self.records}")
        return file

    @cached_property
    def _zones(self) -> Zones:
        path = self.folder / ZONES
        with typed_errors(path):
            content = mapped(path)
        if len(content) != 4 * -(-self.records // ZONE_RECORDS):
            raise StoreDamaged(f"{path} has {len(content)} bytes")
        return Zones(np.frombuffer(content, np.uint32), self.first, self.records)

    def _group(self, number: int) -> Rows:
        """Events of one row group."""
        known = self._groups.get(number)
        if known is not None:
            self._groups.move_to_end(number)
            return known
        rows = self._decode(number, FIELDS)
        self._groups[number] = rows
        if len(self._groups) > _KEPT_GROUPS:
            self._groups.popitem(last=False)
        return rows

    def _decode(self, number: int, fields: list[str]) -> Rows:
        import pyarrow as pa

        try:
            table = self._parquet_file.read_row_group(number, columns=fields, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise StoreDamaged(f"{self.parquet}: {error}") from None
        rows = np.zeros(table.num_rows, EVENT)
        for name in fields:
            rows[name] = table.column(name).to_numpy()
        return rows

    @property
    def _group_count(self) -> int:
        return -(-self.records // GROUP_RECORDS)

    def slice(self, first: int, end: int) -> Rows:
        """Events numbered `first` up to, not including, `end` in the run; both lie in this segment."""
        low, high = first - self.first, end - self.first
        parts: list[Rows] = []
        while low < high:
            number, start = divmod(low, GROUP_RECORDS)
            parts.append(self._group(number)[start : start + high - low])
            low += len(parts[-1])
        return np.concatenate(parts) if parts else np.zeros(0, EVENT)

    def seq_of_tick(self, tick: int) -> int:
        """Number of the first event of this tick or a later one; `end` where there is none."""
        if tick <= self.first_tick:
            return self.first
        if tick > self.last_tick:
            return self.end
        column, groups = FIELDS.index("tick"), self._parquet_file.metadata
        low, high = 0, self._group_count - 1
        while low < high:
            middle = (low + high) // 2
            if groups.row_group(middle).column(column).statistics.max < tick:
                low = middle + 1
            else:
                high = middle
        inside = int(np.searchsorted(self._group(low)["tick"], np.uint64(tick)))
        return self.first + low * GROUP_RECORDS + inside

    def of_cell(self, cell: int, limit: int | None) -> Found:
        """The newest `limit` events of a cell."""
        positions, rows = self._cells.of_cell(cell, limit)
        return positions.astype(np.int64) + self.first, rows

    def of_value(self, value: int, limit: int | None) -> Found:
        """As `of_cell`, for a value; decodes that column of everything, newest first."""
        found: list[Found] = []
        missing = self.records if limit is None else limit
        for number in reversed(range(self._group_count)):
            if missing <= 0:
                break
            hits = arrays.newest(arrays.of_value(self._decode(number, ["value", "opcode"]), value), missing)
            missing -= len(hits)
            if len(hits):
                found.append((hits + (self.first + number * GROUP_RECORDS), self._group(number)[hits]))
        return joined(found)

    def of_set(self, members: EntangledSet, limit: int | None) -> Found:
        """As `of_cell`, for an entangled set."""
        return self._zones.newest(members, limit, self._within_group)

    def _within_group(self, start: int, end: int) -> Rows:
        number, inside = divmod(start, GROUP_RECORDS)
        return self._group(number)[inside : inside + end - start]

    def cells_of_set(self, members: EntangledSet) -> npt.NDArray[np.uint64]:
        """Cells of the events of a set, each once, ascending."""
        groups = np.unique(self._zones.candidates(members) // (GROUP_RECORDS // ZONE_RECORDS))
        cells = [np.zeros(0, np.uint64)]
        for number in groups.tolist():
            rows = self._decode(number, ["cell", "labels", "eid"])
            cells.append(arrays.cells_of_set(rows, self.first + number * GROUP_RECORDS, members))
        return np.unique(np.concatenate(cells))

    def counts(self) -> tuple[dict[int, int], dict[int, int]]:
        """As `arrays.counts`."""
        opcodes, tokens = self._manifest["opcodes"], self._manifest["tokens"]
        return {int(key): n for key, n in opcodes.items()}, {int(key): n for key, n in tokens.items()}

    def verify(self) -> int:
        """Compares every file with its hash, and both orders of the events; returns their number.

        Raises StoreDamaged."""
        for name, expected in self._manifest["files"].items():
            path = self.folder / name
            with typed_errors(path):
                found = _described(path)
            if found != expected:
                raise StoreDamaged(f"{path} is not as it was sealed: {found} instead of {expected}")
        if self._cells.verify() != self.records or self._parquet_file.metadata.num_rows != self.records:
            raise StoreDamaged(f"{self.folder}: its files hold different numbers of events")
        return self.records

    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.iterdir())
