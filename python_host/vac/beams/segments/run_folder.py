"""The files of one run: what is committed of them, and the way in."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from ...files.durable import sync
from ..errors import StoreDamaged, StoreUnavailable, typed_errors
from ..intake import Batch
from ..names import Names
from ..record import BESIDE, EVENT, JOIN, Rows
from .commit_log import ENTRY_BYTES, Commit, append_commits, read_commits
from .details import pack_details, pack_names, unpack_detail, unpack_names
from .file_access import mapped, write_at
from .sealed import SealedSegment, sealed_numbers
from .segment import SEGMENT_RECORDS, Segment, index_name, record_name, write_index

_GROWING = ("details", "names", "joins")


class RunFolder:
    """folder: of a run. A writable one is brought to what was committed; `repairs` says what was cut off.

    Raises StoreDamaged where committed files are missing or too short.
    """

    def __init__(self, folder: Path, writable: bool) -> None:
        self.folder = folder
        self.repairs: list[str] = []
        self._handles: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._has_new_files = False
        self._is_broken = False
        self._joins = np.zeros(0, JOIN)
        with typed_errors(folder):
            commits = read_commits(folder / "commits")
            self._commits = len(commits)
            self._end = commits[-1] if commits else Commit()
            self.sealed = self._find_sealed()
            if writable:
                self._repair()
        self.segments = self._find_segments(commits)
        if not self.segments or self.segments[-1].records == SEGMENT_RECORDS:
            first = self.segments[-1].end if self.segments else self.sealed[-1].end if self.sealed else 0
            self.segments.append(Segment(folder, self._end.segment + bool(self._commits), first, 0))
        self._check_lengths()
        self._crc = 0
        self._pending: list[Commit] = []
        """Segments that filled up since the last commit."""

    # ---- opening -----------------------------------------------------------------------------------------------

    def _find_sealed(self) -> list[SealedSegment]:
        found = [(sealed_numbers(path.name), path) for path in self.folder.iterdir()]
        return [SealedSegment(path) for numbers, path in sorted(found, key=lambda item: item[1].name) if numbers]

    def _is_sealed(self, number: int) -> bool:
        return any(part.first_number <= number <= part.last_number for part in self.sealed)

    def _find_segments(self, commits: list[Commit]) -> list[Segment]:
        lengths: dict[int, int] = {}
        for commit in commits:
            lengths[commit.segment] = commit.records
        segments: list[Segment] = []
        first = 0
        for number, records in sorted(lengths.items()):
            if not self._is_sealed(number):
                segments.append(Segment(self.folder, number, first, records))
            first += records
        total = sum(part.records for part in self.sealed)
        if total + sum(segment.records for segment in segments) != first:
            raise StoreDamaged(f"{self.folder}: sealed segments hold {total} events; the commits say otherwise")
        return segments

    def _check_lengths(self) -> None:
        for name in _GROWING:
            length = getattr(self._end, name)
            path = self.folder / name
            size = path.stat().st_size if path.exists() else 0
            if size < length:
                raise StoreDamaged(f"{path} has {size} bytes, but {length} were committed")

    def _repair(self) -> None:
        """Cuts off what was not committed."""
        self._cut("commits", self._commits * ENTRY_BYTES)
        for name in _GROWING:
            self._cut(name, getattr(self._end, name))
        self._cut(record_name(self._end.segment), self._end.records * EVENT.itemsize)
        for path in sorted(self.folder.iterdir()):
            stem = path.stem
            if path.name.endswith(".part"):
                self._remove(path)
            elif path.suffix in (".rec", ".idx") and stem.isdigit():
                number = int(stem)
                if number > self._end.segment or self._is_sealed(number):
                    self._remove(path)

    def _cut(self, name: str, length: int) -> None:
        path = self.folder / name
        size = path.stat().st_size if path.exists() else 0
        if size > length:
            self.repairs.append(f"{path}: {size - length} bytes that were not committed were cut off")
            os.truncate(path, length)

    def _remove(self, path: Path) -> None:
        self.repairs.append(f"{path}: not committed, or sealed; removed")
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    # ---- reading -----------------------------------------------------------------------------------------------

    def names(self) -> Names:
        if not self._end.names:
            return Names()
        path = self.folder / "names"
        with typed_errors(path):
            return unpack_names(path, path.read_bytes()[: self._end.names])

    def joins(self) -> Rows:
        """All joins taken so far."""
        if not self._end.joins:
            return np.zeros(0, JOIN)
        count = self._end.joins // JOIN.itemsize
        if len(self._joins) != count:
            with typed_errors(self.folder / "joins"):
                self._joins = np.frombuffer(mapped(self.folder / "joins"), JOIN, count)
        return self._joins

    def details(self, starts: list[int]) -> list[bytes]:
        """Details that begin at these places."""
        path = self.folder / "details"
        with typed_errors(path):
            content = mapped(path)[: self._end.details]
        return [unpack_detail(path, content, start) for start in starts]

    @property
    def events(self) -> int:
        return self.segments[-1].end

    # ---- writing -----------------------------------------------------------------------------------------------

    def append(self, batch: Batch) -> None:
        """Takes events; after an OSError the run is as it was."""
        if self._is_broken:
            raise StoreUnavailable(f"{self.folder}: a commit failed; open the store again")
        end, rows = self._end, batch.rows
        content = {"details": b"", "names": pack_names(batch.names), "joins": batch.joins.tobytes()}
        if batch.details:
            content["details"], starts = pack_details(batch.details, end.details)
            rows = rows.copy()
            beside = np.flatnonzero(rows["opcode"] == BESIDE)
            rows["value"][beside] = starts & np.uint64(0xFFFFFFFF)
            rows["aux"][beside] = starts >> np.uint64(32)
        for name, part in content.items():
            if part:
                write_at(self._handle(name), part, getattr(end, name))
        lengths = {name: getattr(end, name) + len(part) for name, part in content.items()}
        active, crc, filled = self.segments[-1], self._crc, []
        segments: list[Segment] = []
        done = 0
        while done < len(rows) or not segments:
            part = rows[done : done + SEGMENT_RECORDS - active.records]
            handle = self._handle(record_name(active.number))
            write_at(handle, part.data, active.records * EVENT.itemsize)
            crc = zlib.crc32(part.data, crc)
            done += len(part)
            active = Segment(self.folder, active.number, active.first, active.records + len(part))
            segments.append(active)
            if active.records == SEGMENT_RECORDS:
                os.fdatasync(handle)
                write_index(self.folder / index_name(active.number), active.rows)
                filled.append(Commit(active.number, active.records, **lengths, crc=crc))
                active, crc = Segment(self.folder, active.number + 1, active.end, 0), 0
        if not active.records:
            segments.append(active)
        self.segments[-1:] = segments
        self._pending += filled
        self._crc = crc
        self._dirty |= {name for name, part in content.items() if part} | {record_name(active.number)}
        self._end = Commit(active.number, active.records, **lengths)

    def _handle(self, name: str) -> int:
        handle = self._handles.get(name)
        if handle is None:
            path = self.folder / name
            self._has_new_files |= not path.exists()
            handle = self._handles[name] = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        return handle

    def commit(self) -> None:
        """Makes what was taken last. After an error the run can only be opened again."""
        if self._is_broken:
            raise StoreUnavailable(f"{self.folder}: a commit failed; open the store again")
        if not self._dirty:
            return
        try:
            commits = self._handle("commits")
            for name in sorted(self._dirty):
                if name in self._handles:
                    os.fdatasync(self._handles[name])
            if self._has_new_files:
                sync(self.folder)
            entries = self._pending
            if self._end.records or not entries:
                entries = [*entries, Commit(*_fields(self._end)[:-1], self._crc)]
            append_commits(commits, self._commits, entries)
        except BaseException:
            self._is_broken = True
            raise
        self._commits += len(entries)
        self._pending, self._crc, self._has_new_files = [], 0, False
        self._dirty = set()
        keep = record_name(self._end.segment)
        for name in [name for name in self._handles if name.endswith(".rec") and name != keep]:
            os.close(self._handles.pop(name))

    def replace_segments(self, folder: Path) -> None:
        """Takes a sealed segment for the segments that it replaces, and removes those."""
        sealed = SealedSegment(folder)
        gone = [segment for segment in self.segments if sealed.first_number <= segment.number <= sealed.last_number]
        self.sealed.append(sealed)
        self.segments = self.segments[len(gone) :]
        if not self.segments:
            self.segments = [Segment(self.folder, sealed.last_number + 1, sealed.end, 0)]
        for segment in gone:
            handle = self._handles.pop(record_name(segment.number), None)
            if handle is not None:
                os.close(handle)
            for name in (record_name(segment.number), index_name(segment.number)):
                with suppress(FileNotFoundError):
                    (self.folder / name).unlink()

    def close(self) -> None:
        while self._handles:
            os.close(self._handles.popitem()[1])

    # ---- verification ------------------------------------------------------------------------------------------

    def damages(self) -> Iterator[str]:
        """Compares the segments that are not sealed with their checksums; a line for each that is not as written."""
        known = {segment.number: segment for segment in self.segments}
        seen: dict[int, int] = {}
        for commit in read_commits(self.folder / "commits"):
            segment, start = known.get(commit.segment), seen.get(commit.segment, 0)
            seen[commit.segment] = commit.records
            if segment and zlib.crc32(segment.rows[start : commit.records].data) != commit.crc:
                yield f"{segment.path}: records {start} to {commit.records - 1} are not as they were written"


def _fields(commit: Commit) -> tuple[int, int, int, int, int, int]:
    return commit.segment, commit.records, commit.details, commit.names, commit.joins, commit.crc
