"""A store in one file of JSON lines, read whole when it opens: for development, and to look at with other tools.

The first line names the format. A line `{"run": …, "container": …, "started": …}` registers a run; every other line is
a BeamEvent. A last line that is not whole was never committed: it is left out, and cut off when the store is written.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from ..contracts.contract import format_timestamp
from . import arrays
from .errors import StoreBusy, StoreDamaged, StoreFormatError, StoreUnavailable, typed_errors
from .intake import Batch, beside_batch, machine_batch, machine_row, stretches
from .record import BESIDE, JOIN, EntangledSet, Events, Rows
from .run_state import RunState
from .store import BeamStore, no_rows

FORMAT = {"format": "vac beams", "version": 1}
_CHUNK = 1 << 16


class _Kept:
    """Events of a run in memory."""

    def __init__(self) -> None:
        self._rows: list[Rows] = [no_rows()]
        self._joins: list[Rows] = [np.zeros(0, JOIN)]
        self.details: dict[int, bytes] = {}
        self.events = 0

    def add(self, batch: Batch) -> None:
        beside = self.events + np.flatnonzero(batch.rows["opcode"] == BESIDE)
        self.details.update(zip(beside.tolist(), batch.details, strict=True))
        self._rows.append(batch.rows)
        self._joins.append(batch.joins)
        self.events += len(batch.rows)

    @property
    def rows(self) -> Rows:
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        return self._rows[0]

    @property
    def joins(self) -> Rows:
        if len(self._joins) > 1:
            self._joins = [np.concatenate(self._joins)]
        return self._joins[0]


class JsonlStore(BeamStore):
    """path: the file; made when a writable store opens. `cut` is how many bytes of a torn last line were left out."""

    def __init__(self, path: Path, writable: bool = True) -> None:
        super().__init__(writable)
        self.path = path
        self.cut = 0
        self._kept: dict[int, _Kept] = {}
        self._file = -1
        self._length = 0
        self._is_broken = False
        with typed_errors(path):
            if writable:
                self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                self._lock()
            self.ensure_tables()
        self._runs = self._load_runs()
        if writable and self.cut:
            with typed_errors(path):
                os.ftruncate(self._file, self._length)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            self._file = -1
            raise StoreBusy(f"{self.path}: another process writes to it") from None

    def ensure_tables(self) -> None:
        if self._file < 0 or os.fstat(self._file).st_size:
            return
        os.pwrite(self._file, orjson.dumps(FORMAT) + b"\n", 0)
        os.fsync(self._file)

    # ---- reading the file --------------------------------------------------------------------------------------

    def _load_runs(self) -> dict[str, RunState]:
        with typed_errors(self.path):
            content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        self.cut, self._length = len(content) - end, end
        lines = content[:end].splitlines()
        if not lines or self._parsed(lines[0]) != FORMAT:
            raise StoreFormatError(f"{self.path} is no file of beams of version 1")
        runs: dict[str, RunState] = {}
        pending: list[bytes] = []
        for line in lines[1:]:
            if line.startswith(b'{"run"'):
                self._load_events(runs, pending)
                pending = []
                run = self._run_of(self._parsed(line), len(runs) + 1)
                runs[run.name] = run
                self._kept[run.number] = _Kept()
            else:
                pending.append(line)
                if len(pending) == _CHUNK:
                    self._load_events(runs, pending)
                    pending = []
        self._load_events(runs, pending)
        return runs

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise StoreDamaged(f"{self.path}: {error}: {line[:80]!r}") from None
        if not isinstance(fields, dict):
            raise StoreDamaged(f"{self.path}: not an object: {line[:80]!r}")
        return fields

    def _run_of(self, fields: dict[str, Any], number: int) -> RunState:
        try:
            return RunState.of_fields(number, fields)
        except ValueError as error:
            raise StoreDamaged(f"{self.path}: {error}") from None

    def _load_events(self, runs: dict[str, RunState], lines: Sequence[bytes]) -> None:
        by_run: dict[str, list[bytes]] = {}
        for line in lines:
            name = self._parsed(line).get("sheet_run_id")
            if not isinstance(name, str) or name not in runs:
                raise StoreDamaged(f"{self.path}: an event of no known run: {line[:80]!r}")
            by_run.setdefault(name, []).append(line)
        for name, own in by_run.items():
            run = runs[name]
            self._runs = runs
            events = [run.parse_line(line) for line in own]
            ticks = [run.last_tick, *(event.tick for event in events)]
            if any(later < earlier for earlier, later in pairwise(ticks)):
                raise StoreDamaged(f"{self.path}: events of run {name!r} are not in the order of their ticks")
            for stretch in stretches(run, events):
                batch = None
                if machine_row(stretch[0]):
                    batch = machine_batch(run, stretch, lambda number, run=run: self._eid_of(run, number))
                is_beams = batch is not None
                batch = batch or beside_batch(run, stretch, lambda eid, run=run: self._join_named(run, eid))
                self._kept[run.number].add(batch)
                self._advance(run, batch, is_beams)

    # ---- writing -----------------------------------------------------------------------------------------------

    def _write(self, content: bytes) -> None:
        """Behind what is there; a part that could be written is written over by the next."""
        if self._is_broken:
            raise StoreUnavailable(f"{self.path}: a commit failed; open the store again")
        with typed_errors(self.path):
            done = 0
            while done < len(content):
                done += os.pwrite(self._file, content[done:], self._length + done)
        self._length += len(content)

    def _add_run(self, run: RunState) -> None:
        line = {"run": run.name, "container": run.container, "started": format_timestamp(run.started)}
        self._write(orjson.dumps(line) + b"\n")
        self._kept[run.number] = _Kept()

    def _append(self, run: RunState, batch: Batch) -> None:
        kept = self._kept[run.number]
        fresh = {int(join["ordinal"]): self._eid_text(run, join) for join in batch.joins}
        rows = batch.rows
        numbers = {int(number) for number in np.unique(rows["eid"])} - fresh.keys() - {0}
        eids = {**fresh, **{number: self._eid_of(run, number) for number in numbers}}
        seq = np.arange(kept.events, kept.events + len(rows))
        details = dict(zip(np.flatnonzero(rows["opcode"] == BESIDE).tolist(), batch.details, strict=True))
        self._write(b"".join(line + b"\n" for line in run.to_lines(Events(seq, rows, details), eids)))
        kept.add(batch)

    def commit(self) -> None:
        self._check_writable()
        if self._is_broken:
            raise StoreUnavailable(f"{self.path}: a commit failed; open the store again")
        try:
            with typed_errors(self.path):
                os.ftruncate(self._file, self._length)
                os.fsync(self._file)
        except BaseException:
            self._is_broken = True
            raise

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # ---- queries -----------------------------------------------------------------------------------------------

    def _events(self, run: RunState, found: npt.NDArray[np.intp]) -> Events:
        kept = self._kept[run.number]
        details = {
            at: kept.details[seq] for at, seq in enumerate(found.tolist()) if seq in kept.details
        } if kept.details else {}  # fmt: skip
        return Events(found.astype(np.int64), kept.rows[found], details)

    def _range(self, run: RunState, first: int, end: int, limit: int | None) -> Events:
        low, high = arrays.tick_span(self._kept[run.number].rows, first, end)
        return self._slice(run, low, high if limit is None else min(high, low + limit))

    def _slice(self, run: RunState, first: int, end: int) -> Events:
        return self._events(run, np.arange(first, end))

    def _of_cell(self, run: RunState, cell: int, limit: int | None) -> Events:
        return self._events(run, arrays.newest(arrays.of_cell(self._kept[run.number].rows, cell), limit))

    def _of_value(self, run: RunState, value: int, limit: int | None) -> Events:
        return self._events(run, arrays.newest(arrays.of_value(self._kept[run.number].rows, value), limit))

    def _of_set(self, run: RunState, members: EntangledSet, limit: int | None) -> Events:
        found = np.flatnonzero(members.hits(self._kept[run.number].rows, 0))
        return self._events(run, arrays.newest(found, limit))

    def _cells_of_set(self, run: RunState, members: EntangledSet) -> npt.NDArray[np.uint64]:
        return arrays.cells_of_set(self._kept[run.number].rows, 0, members)

    def _counts(self, run: RunState) -> tuple[dict[int, int], dict[int, int]]:
        return arrays.counts(self._kept[run.number].rows)

    def _joins(self, run: RunState, first: int, last: int) -> Rows:
        joins = self._kept[run.number].joins
        return joins[(joins["ordinal"] >= first) & (joins["ordinal"] <= last)]
