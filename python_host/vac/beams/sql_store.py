"""A store in a database: SQLite for one machine, PostgreSQL as the one store of a team."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Select, and_, create_engine, event, func, insert, select, update
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from ..contracts.contract import format_timestamp
from . import arrays
from .errors import BadQuery, OutOfOrder, StoreDamaged, StoreFormatError, StoreFull, StoreReadOnly, StoreUnavailable
from .intake import Batch
from .record import BESIDE, EVENT, EntangledSet, Events, JoinCount, Rows
from .run_state import RunState
from .sql_tables import (
    COPY_COLUMNS,
    COPY_END,
    COPY_HEADER,
    EVENT_COLUMNS,
    EVENTS,
    FORMAT,
    FORMAT_VERSION,
    JOIN_COLUMNS,
    JOINS,
    METADATA,
    NAMES,
    RUNS,
    copy_rows,
    event_tuples,
    from_text,
    join_dicts,
    joins_of_rows,
    rows_of,
    to_text,
)
from .store import BeamStore

_FULL = ("disk is full", "no space left", "could not extend file")
_READ_ONLY = ("readonly database", "read-only", "permission denied")


class SqlStore(BeamStore):
    """url: as SQLAlchemy has them; `postgresql:` means the driver psycopg.

    After an error everything since the last commit is gone; `run(name).next_tick` says from where to go on. Several
    processes may write to a PostgreSQL store, each to runs of its own.
    """

    def __init__(self, url: str, writable: bool = True) -> None:
        super().__init__(writable)
        try:
            parsed = make_url(url.replace("postgres:", "postgresql:", 1) if url.startswith("postgres:") else url)
        except ArgumentError as error:
            raise BadQuery(f"{url!r} is no database URL: {error}") from None
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = parsed.render_as_string(hide_password=True)
        self._is_postgres = parsed.get_backend_name() == "postgresql"
        folder = Path(parsed.database or "").parent
        if not self._is_postgres and writable and folder.is_dir() and not os.access(folder, os.W_OK):
            raise StoreReadOnly(f"{self.url}: its folder cannot be written")
        if not self._is_postgres and not writable and parsed.database:
            # Where nothing can be written, a reader cannot take part in the locking of write-ahead logs.
            is_fixed = not os.access(folder, os.W_OK)
            query = {"mode": "ro", "uri": "true", **({"immutable": "1"} if is_fixed else {})}
            parsed = parsed.set(database=f"file:{quote(parsed.database)}", query=query)
        self._engine = create_engine(parsed)
        if not self._is_postgres:
            event.listen(self._engine, "connect", _set_up_sqlite if writable else _set_up_sqlite_reader)
        self._connection: Connection | None = None
        try:
            with self._errors():
                self._connection = self._engine.connect()
                if not writable:
                    self._connection = self._connection.execution_options(isolation_level="AUTOCOMMIT")
                self.ensure_tables()
                self._runs = self._load_runs()
        except BaseException:
            self.close()
            raise

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise StoreUnavailable(f"{self.url}: the store is closed")
        return self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            self._forget()
            raise OutOfOrder(f"{self.url}: another process wrote to this run: {_reason(error)}") from error
        except SQLAlchemyError as error:
            self._forget()
            reason = _reason(error)
            if any(word in reason.lower() for word in _FULL):
                raise StoreFull(f"{self.url}: {reason}; make room and try again") from error
            if any(word in reason.lower() for word in _READ_ONLY):
                raise StoreReadOnly(f"{self.url}: {reason}") from error
            raise StoreUnavailable(f"{self.url}: {reason}") from error

    def _forget(self) -> None:
        """Goes back to what was committed."""
        if self._connection is None or not self._runs:
            return
        try:
            self._connection.rollback()
            self._runs = self._load_runs()
        except SQLAlchemyError:
            self._connection.invalidate()

    def ensure_tables(self) -> None:
        with self._errors():
            if self.writable:
                METADATA.create_all(self._open)
                if self._open.execute(select(FORMAT.c.version)).first() is None:
                    self._open.execute(insert(FORMAT).values(version=FORMAT_VERSION))
                self._open.commit()
            version = self._open.execute(select(FORMAT.c.version)).scalar()
        if version != FORMAT_VERSION:
            raise StoreFormatError(f"{self.url} is of version {version}; this version reads {FORMAT_VERSION}")

    # ---- runs --------------------------------------------------------------------------------------------------

    def _load_runs(self) -> dict[str, RunState]:
        found: dict[int, RunState] = {}
        for row in self._open.execute(select(RUNS).order_by(RUNS.c.number)):
            run = RunState(row.number, row.name, from_text(row.container), datetime.fromisoformat(row.started))
            run.events, run.next_tick, run.last_tick = row.events, row.next_tick, row.last_tick
            run.joins = JoinCount(row.first_join, row.last_join)
            found[run.number] = run
        for row in self._open.execute(select(NAMES).order_by(NAMES.c.run, NAMES.c.kind, NAMES.c.number)):
            if found[row.run].names.add(row.kind, from_text(row.text)) != row.number:
                raise StoreDamaged(f"{self.url}: names of run {row.run} are not numbered in order")
        return {run.name: run for run in found.values()}

    def _state(self, name: str) -> RunState:
        if not self.writable or name not in self._runs:
            with self._errors():
                self._runs = self._load_runs()
        return super()._state(name)

    def _add_run(self, run: RunState) -> None:
        values = {
            "name": run.name, "container": to_text(run.container), "started": format_timestamp(run.started),
            "events": 0, "next_tick": 0, "last_tick": 0, "first_join": 0, "last_join": 0,
        }  # fmt: skip
        with self._errors():
            key = self._open.execute(insert(RUNS).values(values)).inserted_primary_key
            assert key is not None
            run.number = key[0]
            self._open.commit()

    # ---- writing -----------------------------------------------------------------------------------------------

    def _append(self, run: RunState, batch: Batch) -> None:
        rows = batch.rows
        if not len(rows) and not batch.names:
            return
        with self._errors():
            beside = np.flatnonzero(rows["opcode"] == BESIDE)
            if self._is_postgres and not len(beside):
                self._copy(run, rows)
            elif len(rows):
                details: list[str | None] = [None] * len(rows)
                for at, detail in zip(beside.tolist(), batch.details, strict=True):
                    details[at] = detail.decode()
                seq = range(run.events, run.events + len(rows))
                self._insert(event_tuples(run.number, seq, rows, details))
            if len(batch.joins):
                self._open.execute(insert(JOINS), join_dicts(run.number, batch.joins))
            if batch.names:
                names = [(run.number, kind, number, to_text(text)) for kind, number, text in batch.names]
                self._open.execute(insert(NAMES), [dict(zip(NAMES.c.keys(), name, strict=True)) for name in names])
            self._count(run, batch)

    def _copy(self, run: RunState, rows: Rows) -> None:
        if not len(rows):
            return
        if not self._open.in_transaction():
            self._open.begin()  # which the driver's own calls do not
        driver: Any = self._open.connection.driver_connection
        with driver.cursor() as cursor:
            try:
                with cursor.copy(f"COPY beam_events ({', '.join(COPY_COLUMNS)}) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.write(COPY_HEADER)
                    copy.write(copy_rows(run.number, run.events, rows))
                    copy.write(COPY_END)
            except Exception as error:
                raise _translated(error) from error

    def _insert(self, tuples: list[tuple[Any, ...]]) -> None:
        mark = "%s" if self._is_postgres else "?"
        marks = ", ".join([mark] * len(EVENTS.c))
        self._open.exec_driver_sql(f"INSERT INTO beam_events ({', '.join(EVENTS.c.keys())}) VALUES ({marks})", tuples)

    def _count(self, run: RunState, batch: Batch) -> None:
        """The run's row, which also notices another writer."""
        is_beams = bool(len(batch.rows) and batch.rows["opcode"][-1] != BESIDE)
        last = int(batch.rows["tick"][-1]) if len(batch.rows) else run.last_tick
        changed = self._open.execute(
            update(RUNS)
            .where(and_(RUNS.c.number == run.number, RUNS.c.events == run.events))
            .values(
                events=run.events + len(batch.rows),
                last_tick=last,
                next_tick=max(run.next_tick, last + is_beams) if len(batch.rows) else run.next_tick,
                first_join=batch.after.first,
                last_join=batch.after.last,
            )
        )
        if changed.rowcount != 1:
            self._forget()
            raise OutOfOrder(f"{self.url}: another process wrote to run {run.name!r}")

    def commit(self) -> None:
        self._check_writable()
        with self._errors():
            self._open.commit()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    # ---- queries -----------------------------------------------------------------------------------------------

    def _fetch(self, query: Select[Any]) -> Events:
        with self._errors():
            seq, rows, details = rows_of(self._open.execute(query).all())
        return Events(np.array(seq, np.int64), rows, details)

    def _newest(self, limit: int | None, *conditions: ColumnElement[bool]) -> Events:
        query = select(*EVENT_COLUMNS).where(*conditions).order_by(EVENTS.c.seq.desc()).limit(limit)
        found = self._fetch(query)
        count = len(found)
        details = {count - 1 - at: detail for at, detail in found.details.items()}
        return Events(found.seq[::-1], found.rows[::-1], details)

    def _range(self, run: RunState, first: int, end: int, limit: int | None) -> Events:
        with self._errors():
            low, high = self._seq_of_tick(run, first), self._seq_of_tick(run, end)
        return self._slice(run, low, high if limit is None else min(high, low + limit))

    def _seq_of_tick(self, run: RunState, tick: int) -> int:
        """Number of the first event of this tick or a later one. An index over ticks would slow down every insert:
        where a run has no gaps, the first guess is right."""
        low, high = 0, run.events
        guesses: list[int] = []
        if high and tick > run.last_tick:
            return high
        if high:
            guess = tick - self._tick_at(run, 0)
            guesses = [guess - 1, guess]
        while low < high:
            guess = guesses.pop() if guesses else (low + high) // 2
            middle = min(max(guess, low), high - 1)
            if self._tick_at(run, middle) < tick:
                low = middle + 1
            else:
                high = middle
        return low

    def _tick_at(self, run: RunState, seq: int) -> int:
        query = select(EVENTS.c.tick).where(EVENTS.c.run == run.number, EVENTS.c.seq == seq)
        return self._open.execute(query).scalar_one()

    def _slice(self, run: RunState, first: int, end: int) -> Events:
        numbers = and_(EVENTS.c.run == run.number, EVENTS.c.seq >= first, EVENTS.c.seq < end)
        return self._fetch(select(*EVENT_COLUMNS).where(numbers).order_by(EVENTS.c.seq))

    def _of_cell(self, run: RunState, cell: int, limit: int | None) -> Events:
        return self._newest(limit, EVENTS.c.run == run.number, EVENTS.c.cell == cell)

    def _of_value(self, run: RunState, value: int, limit: int | None) -> Events:
        return self._newest(limit, EVENTS.c.run == run.number, EVENTS.c.value == value, EVENTS.c.opcode != BESIDE)

    def _of_set(self, run: RunState, members: EntangledSet, limit: int | None) -> Events:
        conditions = self._members(run, members)
        found = [self._newest(limit, condition) for condition in conditions]
        if len(found) == 1:
            return found[0]
        seq, first = np.unique(np.concatenate([events.seq for events in found]), return_index=True)
        rows = np.concatenate([events.rows for events in found])[first]
        by_seq = {int(events.seq[at]): text for events in found for at, text in events.details.items()}
        keep = arrays.newest(np.arange(len(seq)), limit)
        details = {at: by_seq[number] for at, number in enumerate(seq[keep].tolist()) if number in by_seq}
        return Events(seq[keep], rows[keep], details)

    def _members(self, run: RunState, members: EntangledSet) -> list[ColumnElement[bool]]:
        """Conditions of which one or the other holds for an event of the set; each has an index."""
        own = EVENTS.c.run == run.number
        found = [and_(own, EVENTS.c.eid == members.number, EVENTS.c.eid != 0)]
        if members.mask:
            numbers = and_(EVENTS.c.seq >= members.first, EVENTS.c.seq < members.end)
            found.append(and_(own, numbers, EVENTS.c.labels.bitwise_and(members.mask) != 0))
        return found

    def _cells_of_set(self, run: RunState, members: EntangledSet) -> npt.NDArray[np.uint64]:
        with self._errors():
            cells = {
                cell
                for condition in self._members(run, members)
                for cell in self._open.execute(select(EVENTS.c.cell).where(condition).distinct()).scalars()
            }
        return np.array(sorted(cells), np.uint64)

    def _counts(self, run: RunState) -> tuple[dict[int, int], dict[int, int]]:
        own = EVENTS.c.run == run.number
        beside = and_(own, EVENTS.c.opcode == BESIDE)
        opcodes = select(EVENTS.c.opcode, func.count()).where(own, EVENTS.c.opcode != BESIDE).group_by(EVENTS.c.opcode)
        tokens = select(EVENTS.c.pc, func.count()).where(beside).group_by(EVENTS.c.pc)
        with self._errors():
            return _pairs(self._open.execute(opcodes)), _pairs(self._open.execute(tokens))

    def _joins(self, run: RunState, first: int, last: int) -> Rows:
        query = select(*JOIN_COLUMNS).where(
            JOINS.c.run == run.number, JOINS.c.ordinal >= first, JOINS.c.ordinal <= last
        )  # fmt: skip
        with self._errors():
            return joins_of_rows(self._open.execute(query.order_by(JOINS.c.ordinal)).all())


def _pairs(found: Any) -> dict[int, int]:
    return {int(key): int(count) for key, count in found}


def _reason(error: Exception) -> str:
    origin = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return " ".join(str(origin).split()) or type(origin).__name__


def _translated(error: Exception) -> Exception:
    """An error of psycopg as SQLAlchemy has it."""
    import psycopg

    if isinstance(error, psycopg.IntegrityError):
        return IntegrityError("COPY", None, error)
    if isinstance(error, psycopg.Error):
        return DBAPIError("COPY", None, error)
    return error


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _set_up_sqlite_reader(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()


assert EVENT.itemsize == 40, "the tables hold every field of the record"
