"""The store's own files: fast to take beams in, small once sealed, quick to answer for a cell or an EID."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...contracts.contract import format_timestamp
from ...files.durable import sync
from ...isa.beam import BeamFlag
from .. import arrays
from ..errors import StoreBusy, StoreDamaged, StoreFormatError, StoreUnavailable, typed_errors
from ..intake import Batch
from ..names import Names
from ..record import BESIDE, EntangledSet, Events, JoinCount, Rows, joins_of
from ..run_state import RunState
from ..store import BeamStore, Progress
from .file_access import write_file
from .run_folder import RunFolder
from .sealed import SealedSegment, seal
from .segment import SEGMENT_RECORDS, Segment
from .zones import Found, joined

SEALED_SEGMENTS = 8
"""Segments that one sealed segment replaces at most."""

_FORMAT = {"format": "vac beam store", "version": 1}
_CHUNK = 1 << 20
_Part = SealedSegment | Segment


class SegmentStore(BeamStore):
    """folder: of the store; made when a writable store opens. `repairs` says what a crash had left and was cut off.

    One process writes at a time, others read beside it; a reader sees what was committed when it opened the store.
    """

    def __init__(self, folder: Path, writable: bool = True) -> None:
        super().__init__(writable)
        self.folder = folder
        self.repairs: list[str] = []
        self._folders: dict[int, RunFolder] = {}
        self._lock = -1
        self._is_broken = False
        try:
            with typed_errors(folder):
                self.ensure_tables()
                self._runs = self._load_runs()
        except BaseException:
            self.close()
            raise

    def ensure_tables(self) -> None:
        path = self.folder / "store.json"
        if self.writable and self._lock < 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                if any(entry.name not in ("lock", "store.json.part") for entry in self.folder.iterdir()):
                    raise StoreFormatError(f"{self.folder} is no beam store, and not empty")
                write_file(path, json.dumps(_FORMAT).encode())
                sync(self.folder)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreBusy(f"{self.folder}: another process writes to it") from None
        if not path.exists():
            raise StoreFormatError(f"{self.folder} is no beam store")
        if _object(path) != _FORMAT:
            raise StoreFormatError(f"{path} is {_object(path)}; this version reads {_FORMAT}")

    # ---- runs --------------------------------------------------------------------------------------------------

    def _load_runs(self) -> dict[str, RunState]:
        found: dict[str, RunState] = {}
        for path in sorted(self.folder.iterdir()):
            if path.name.isdigit() and path.is_dir():
                run = self._load_run(path)
                found[run.name] = run
        return found

    def _load_run(self, path: Path) -> RunState:
        fields = _object(path / "run.json")
        try:
            run = RunState.of_fields(int(path.name), fields)
        except ValueError as error:
            raise StoreDamaged(f"{path / 'run.json'}: {error}") from None
        folder = RunFolder(path, self.writable)
        self.repairs += folder.repairs
        self._folders[run.number] = folder
        run.names, run.events = folder.names(), folder.events
        joins = folder.joins()
        if len(joins):
            run.joins = JoinCount(int(joins[0]["ordinal"]), int(joins[-1]["ordinal"]))
        if run.events:
            newest = self._parts(run)[-1]
            if isinstance(newest, SealedSegment) and newest.last_beam == newest.last_tick:
                run.last_tick, run.next_tick = newest.last_tick, newest.last_tick + 1
            else:
                run.last_tick = int(self._slice(run, run.events - 1, run.events).rows["tick"][0])
                last = self._range(run, run.last_tick, run.last_tick + 1, None)
                run.next_tick = run.last_tick + bool((last.rows["opcode"] != BESIDE).any())
        return run

    def _add_run(self, run: RunState) -> None:
        path = self.folder / f"{run.number:06d}"
        temporary = path.with_suffix(".part")
        with typed_errors(path):
            temporary.mkdir(exist_ok=True)
            fields = {"run": run.name, "container": run.container, "started": format_timestamp(run.started)}
            write_file(temporary / "run.json", json.dumps(fields).encode())
            temporary.replace(path)
            sync(self.folder)
            self._folders[run.number] = RunFolder(path, writable=True)

    # ---- writing -----------------------------------------------------------------------------------------------

    def _append(self, run: RunState, batch: Batch) -> None:
        with typed_errors(self._folders[run.number].folder):
            self._folders[run.number].append(batch)

    def commit(self) -> None:
        self._check_writable()
        if self._is_broken:
            raise StoreUnavailable(f"{self.folder}: a commit failed; open the store again")
        try:
            for folder in self._folders.values():
                with typed_errors(folder.folder):
                    folder.commit()
        except BaseException:
            self._is_broken = True
            raise

    def seal(self, run: str, progress: Progress | None = None) -> int:
        """Commits, then turns all segments of a run into sealed ones. Returns the number of events that it sealed.

        progress: is called with the events done, twice over, and their number, twice.
        """
        self.commit()
        folder = self._folders[self._state(run).number]
        waiting = [segment for segment in folder.segments if segment.records]
        whole, done = 2 * sum(segment.records for segment in waiting), 0

        def advance(events: int) -> None:
            nonlocal done
            done += events
            if progress:
                progress(done, whole)

        for first in range(0, len(waiting), SEALED_SEGMENTS):
            group = waiting[first : first + SEALED_SEGMENTS]
            rows = np.concatenate([segment.rows for segment in group])
            with typed_errors(folder.folder):
                path = seal(folder.folder, group[0].number, group[-1].number, group[0].first, rows, advance)
                folder.replace_segments(path)
        return whole // 2

    def close(self) -> None:
        for folder in self._folders.values():
            folder.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # ---- queries -----------------------------------------------------------------------------------------------

    def _parts(self, run: RunState) -> list[_Part]:
        """Everything that holds events of a run, oldest first."""
        folder = self._folders[run.number]
        return [*folder.sealed, *(segment for segment in folder.segments if segment.records)]

    def _events(self, run: RunState, seq: npt.NDArray[np.int64], rows: Rows) -> Events:
        beside = np.flatnonzero(rows["opcode"] == BESIDE)
        if not len(beside):
            return Events(seq, rows)
        rows = rows.copy()
        starts = rows["value"][beside].astype(np.int64) | rows["aux"][beside].astype(np.int64) << 32
        rows["value"][beside] = rows["aux"][beside] = 0
        details = self._folders[run.number].details(starts.tolist())
        return Events(seq, rows, dict(zip(beside.tolist(), details, strict=True)))

    def _slice(self, run: RunState, first: int, end: int) -> Events:
        found: list[Found] = []
        for part in reversed(self._parts(run)):
            low, high = max(first, part.first), min(end, part.end)
            if low < high:
                found.append((np.arange(low, high), part.slice(low, high)))
        return self._events(run, *joined(found))

    def _seq_of_tick(self, run: RunState, tick: int) -> int:
        for part in self._parts(run):
            seq = part.seq_of_tick(tick)
            if seq < part.end:
                return seq
        return run.events

    def _range(self, run: RunState, first: int, end: int, limit: int | None) -> Events:
        low = self._seq_of_tick(run, first)
        high = self._seq_of_tick(run, end) if limit is None else min(self._seq_of_tick(run, end), low + limit)
        return self._slice(run, low, high)

    def _newest(self, run: RunState, limit: int | None, ask: Callable[[_Part, int | None], Found]) -> Events:
        """What the parts of a run answer, the newest `limit` of it. ask: gets a part and how much is missing."""
        found: list[Found] = []
        missing = limit
        for part in reversed(self._parts(run)):
            if missing is not None and missing <= 0:
                break
            own = ask(part, missing)
            if len(own[0]):
                found.append(own)
                missing = None if missing is None else missing - len(own[0])
        return self._events(run, *joined(found))

    def _of_cell(self, run: RunState, cell: int, limit: int | None) -> Events:
        return self._newest(run, limit, lambda part, missing: part.of_cell(cell, missing))

    def _of_value(self, run: RunState, value: int, limit: int | None) -> Events:
        return self._newest(run, limit, lambda part, missing: part.of_value(value, missing))

    def _of_set(self, run: RunState, members: EntangledSet, limit: int | None) -> Events:
        return self._newest(run, limit, lambda part, missing: part.of_set(members, missing))

    def _cells_of_set(self, run: RunState, members: EntangledSet) -> npt.NDArray[np.uint64]:
        cells = [np.zeros(0, np.uint64), *(part.cells_of_set(members) for part in self._parts(run))]
        return np.unique(np.concatenate(cells))

    def _counts(self, run: RunState) -> tuple[dict[int, int], dict[int, int]]:
        opcodes: dict[int, int] = {}
        tokens: dict[int, int] = {}
        for part in self._parts(run):
            for total, own in zip((opcodes, tokens), part.counts(), strict=True):
                arrays.add_counts(total, own)
        return opcodes, tokens

    def _joins(self, run: RunState, first: int, last: int) -> Rows:
        joins = self._folders[run.number].joins()
        start = run.joins.first
        return joins[max(first - start, 0) : max(last - start + 1, 0)]

    # ---- verification and size ---------------------------------------------------------------------------------

    def verify(self, progress: Progress | None = None) -> list[str]:
        """Reads everything and compares it with its checksums. A line for each thing that is not as it was written."""
        damages: list[str] = []
        whole, done = sum(run.events for run in self._runs.values()), 0
        for run in self._runs.values():
            folder = self._folders[run.number]
            damages += folder.damages()
            for part in folder.sealed:
                try:
                    part.verify()
                except StoreDamaged as error:
                    damages.append(str(error))
            try:
                joins = [
                    joins_of(events.rows, _joins_in(events), int(events.seq[0]))
                    for events in self.batches(run.name, _CHUNK)
                ]
                if joins and np.concatenate(joins).tobytes() != folder.joins().tobytes():
                    damages.append(f"{folder.folder / 'joins'}: not the joins of the run's beams")
            except StoreDamaged as error:
                damages.append(str(error))
            done += run.events
            if progress:
                progress(done, whole)
        return damages

    def names(self, run: str) -> Names:
        """Names of a run."""
        return self._state(run).names

    def joins(self, run: str) -> Rows:
        """JOIN records of a run."""
        return self._folders[self._state(run).number].joins()

    def sealed_files(self, run: str) -> list[tuple[int, Path]]:
        """Number of the first event and Parquet file of each sealed segment."""
        return [(part.first, part.parquet) for part in self._folders[self._state(run).number].sealed]

    def open_rows(self, run: str) -> list[tuple[int, Rows]]:
        """Number of the first event and records of each segment that is not sealed."""
        return [(part.first, part.rows) for part in self._folders[self._state(run).number].segments if part.records]


def _joins_in(events: Events) -> npt.NDArray[np.intp]:
    return np.flatnonzero((events.rows["flags"] & BeamFlag.JOIN != 0) & (events.rows["opcode"] != BESIDE))


def _object(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, FileNotFoundError) as error:
        raise StoreDamaged(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise StoreDamaged(f"{path}: not an object")
    return found


assert SEGMENT_RECORDS * SEALED_SEGMENTS < 1 << 32, "positions in a sealed segment have 32 bits"
