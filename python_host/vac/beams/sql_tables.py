"""Tables of the SQL back end, and how events become rows of theirs.

Texts that a program or a sheet chose are kept as JSON strings, since PostgreSQL cannot hold every character.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from .record import BESIDE, EVENT, JOIN, Rows

FORMAT_VERSION = 1

METADATA = MetaData()

FORMAT = Table("beam_store", METADATA, Column("version", Integer, primary_key=True))

RUNS = Table(
    "beam_runs",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("container", Text, nullable=False),
    Column("started", String(32), nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("next_tick", BigInteger, nullable=False),
    Column("last_tick", BigInteger, nullable=False),
    Column("first_join", BigInteger, nullable=False),
    Column("last_join", BigInteger, nullable=False),
    UniqueConstraint("name"),
)

EVENTS = Table(
    "beam_events",
    METADATA,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tick", BigInteger, nullable=False),
    Column("cell", BigInteger, nullable=False),
    Column("value", BigInteger, nullable=False),
    Column("pc", BigInteger, nullable=False),
    Column("aux", BigInteger, nullable=False),
    Column("eid", BigInteger, nullable=False),
    Column("labels", Integer, nullable=False),
    Column("opcode", SmallInteger, nullable=False),
    Column("flags", SmallInteger, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("detail", Text),
    sqlite_with_rowid=False,
)
Index("beam_events_by_cell", EVENTS.c.run, EVENTS.c.cell, EVENTS.c.seq)
Index(
    "beam_events_by_eid", EVENTS.c.run, EVENTS.c.eid, EVENTS.c.seq,
    sqlite_where=EVENTS.c.eid != 0, postgresql_where=EVENTS.c.eid != 0,
)  # fmt: skip

JOINS = Table(
    "beam_joins",
    METADATA,
    Column("run", Integer, ForeignKey("beam_runs.number"), primary_key=True, autoincrement=False),
    Column("ordinal", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("tick", BigInteger, nullable=False),
    Column("pc", BigInteger, nullable=False),
    Column("labels", Integer, nullable=False),
    Column("opcode", SmallInteger, nullable=False),
    Column("flags", SmallInteger, nullable=False),
)

NAMES = Table(
    "beam_names",
    METADATA,
    Column("run", Integer, ForeignKey("beam_runs.number"), primary_key=True, autoincrement=False),
    Column("kind", String(8), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)

FIELDS = [name for name in EVENT.names or () if name != "reserved"]
_JOIN_FIELDS = [name for name in JOIN.names or () if name != "reserved"]

_COPY_TYPES = {"run": "i4", "labels": "i4", "opcode": "i2", "flags": "i2", "stage": "i4"}
COPY_COLUMNS = ("run", "seq", *FIELDS)
COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_END = b"\xff\xff"


def to_text(value: str) -> str:
    return orjson.dumps(value).decode()


def from_text(value: str) -> str:
    return orjson.loads(value)


def event_tuples(run: int, seq: Sequence[int], rows: Rows, details: Sequence[str | None]) -> list[tuple[Any, ...]]:
    """Rows of EVENTS. seq: number of each event; details: JSON of each or None."""
    columns = [rows[name].tolist() for name in FIELDS]
    return list(zip([run] * len(rows), seq, *columns, details, strict=True))


def copy_rows(run: int, first_seq: int, rows: Rows) -> bytes:
    """PostgreSQL's binary COPY rows, made without Python for each: every field behind its length, big-endian."""
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for name in COPY_COLUMNS:
        fields += [(f"{name} length", ">i4"), (name, ">" + _COPY_TYPES.get(name, "i8"))]
    packed = np.empty(len(rows), np.dtype(fields))
    packed["count"] = len(COPY_COLUMNS)
    packed["run"], packed["seq"] = run, np.arange(first_seq, first_seq + len(rows))
    for name in FIELDS:
        packed[name] = rows[name]
    for name in COPY_COLUMNS:
        packed[f"{name} length"] = packed.dtype[name].itemsize
    return packed.tobytes()


def join_dicts(run: int, joins: Rows) -> list[dict[str, int]]:
    return [
        {"run": run, **dict(zip(_JOIN_FIELDS, row, strict=True))}
        for row in zip(*(joins[name].tolist() for name in _JOIN_FIELDS), strict=True)
    ]


def rows_of(found: Iterable[Sequence[Any]]) -> tuple[list[int], Rows, dict[int, bytes]]:
    """Numbers, events and details of rows (seq, FIELDS…, detail)."""
    columns = list(zip(*found, strict=True)) or [()] * (len(FIELDS) + 2)
    rows = _records(EVENT, FIELDS, columns[1:-1])
    beside = np.flatnonzero(rows["opcode"] == BESIDE).tolist()
    return list(columns[0]), rows, {at: columns[-1][at].encode() for at in beside}


def joins_of_rows(found: Iterable[Sequence[int]]) -> Rows:
    """JOIN records of rows in the order of its fields."""
    return _records(JOIN, _JOIN_FIELDS, list(zip(*found, strict=True)) or [()] * len(_JOIN_FIELDS))


def _records(kind: np.dtype[np.void], fields: Sequence[str], columns: Sequence[Sequence[int]]) -> Rows:
    records = np.zeros(len(columns[0]), kind)
    for name, column in zip(fields, columns, strict=True):
        records[name] = column
    return records


JOIN_COLUMNS = [JOINS.c[name] for name in _JOIN_FIELDS]
EVENT_COLUMNS = [EVENTS.c.seq, *(EVENTS.c[name] for name in FIELDS), EVENTS.c.detail]
