"""Ad-hoc SQL by DuckDB over a store of segments: sealed ones from their Parquet files, the others from memory.

| table | columns |
|---|---|
| `beams` | run, seq, tick, cell, token, value, pc, aux, eid, labels, opcode, flags, stage |
| `runs` | run, container, started, events, next_tick |
| `joins` | run, ordinal, seq, tick, eid |

`cell` and `stage` are texts, `eid` in `beams` is the ordinal in `joins`. A statement sees nothing but these tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contracts.contract import format_timestamp
from ..isa.limits import CELL_MASK
from .cell import ADDRESS_BITS, Space
from .errors import BadQuery, StoreDamaged
from .record import BESIDE, NAMED_STAGE, OPCODE_NAMES, STAGES, join_hash
from .segments.sealed import FIELDS, arrow_table
from .segments.segment_store import SegmentStore

if TYPE_CHECKING:
    import duckdb

_WORDS = {
    Space.SITE: ("'site:0x' || ", "x"),
    Space.REGISTER: ("'reg:' || ", "d"),
    Space.DEVICE: ("'dev:0x' || ", "x"),
    Space.CALL: ("'sys:' || ", "d"),
    Space.MARK: ("'mark:' || ", "d"),
    Space.STACK: ("'stack:' || ", "d"),
}


class Answer:
    """What a statement gave: names of its columns, and its rows."""

    def __init__(self, columns: list[str], rows: list[tuple[Any, ...]], is_cut: bool) -> None:
        self.columns = columns
        self.rows = rows
        self.is_cut = is_cut
        """Whether there were more rows than were asked for."""


def query(store: SegmentStore, statement: str, limit: int | None = None) -> Answer:
    """Runs one statement. limit: rows at most. Raises BadQuery with DuckDB's own words, StoreDamaged."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        _prepare(connection, store)
        try:
            _check_reads(connection, statement)
            result = connection.execute(statement)
            rows = result.fetchall() if limit is None else result.fetchmany(limit + 1)
            columns = [str(column[0]) for column in result.description]
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            if "parquet" in str(error).lower():
                raise StoreDamaged(f"{store.folder}: {error}") from None
            raise BadQuery(str(error)) from None
        except duckdb.Error as error:
            raise BadQuery(str(error)) from None
    is_cut = limit is not None and len(rows) > limit
    return Answer(columns, rows[:limit] if is_cut else rows, is_cut)


def _check_reads(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """One statement that only reads: DuckDB may reach the store's folder, and could write there."""
    import duckdb

    reading = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    types = [found.type for found in connection.extract_statements(statement)]
    if len(types) != 1 or types[0] not in reading:
        raise BadQuery("one SELECT is needed: the tables can only be read")


def _prepare(connection: duckdb.DuckDBPyConnection, store: SegmentStore) -> None:
    import pyarrow as pa

    folder = store.folder.resolve()
    runs, joins, names = [], [], []
    parts: list[str] = []
    for info in store.runs():
        number = len(runs)
        runs.append((number, info.name, info.container, format_timestamp(info.started), info.events, info.next_tick))
        names += [(number, kind, index, text) for kind, index, text in store.names(info.name).all()]
        for join in store.joins(info.name):
            ordinal, seq, tick = (int(join[name]) for name in ("ordinal", "seq", "tick"))
            joins.append((number, ordinal, seq, tick, f"eid::{info.name}::{join_hash(join)}"))
        for first, path in store.sealed_files(info.name):
            source = f"read_parquet({_literal(path.resolve())}, file_row_number=true)"
            seq = f"{first} + file_row_number AS seq"
            parts.append(f"SELECT {number} AS run_number, {seq}, {', '.join(FIELDS)} FROM {source}")
        for first, rows in store.open_rows(info.name):
            table = arrow_table(rows).append_column("seq", pa.array(np.arange(first, first + len(rows))))
            name = f"open_{number}_{first}"
            connection.register(name, table)
            parts.append(f"SELECT {number} AS run_number, seq, {', '.join(FIELDS)} FROM {name}")
    if not parts:
        nothing = ", ".join(f"0::UBIGINT AS {name}" for name in FIELDS)
        parts.append(f"SELECT 0 AS run_number, 0 AS seq, {nothing} WHERE false")
    _register(connection, "run_rows", "number run container started events next_tick", runs)
    _register(connection, "join_rows", "number ordinal seq tick eid", joins)
    _register(connection, "name_rows", "number kind id text", names)
    _register(connection, "opcode_rows", "opcode token", list(enumerate(OPCODE_NAMES)))
    connection.execute(f"CREATE VIEW raw_beams AS {' UNION ALL '.join(parts)}")
    connection.execute(_BEAMS)
    connection.execute("CREATE VIEW runs AS SELECT run, container, started, events, next_tick FROM run_rows")
    connection.execute(
        "CREATE VIEW joins AS SELECT r.run, ordinal, seq, tick, eid FROM join_rows j JOIN run_rows r USING (number)"
    )
    connection.execute(f"SET allowed_directories = [{_literal(folder)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


_TEXTS = {"started", "run", "container", "eid", "kind", "text", "token"}


def _register(connection: duckdb.DuckDBPyConnection, name: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    import pyarrow as pa

    keys = columns.split()
    arrays = {
        key: pa.array([row[at] for row in rows], pa.string() if key in _TEXTS else pa.int64())
        for at, key in enumerate(keys)
    }
    connection.register(name, pa.table(arrays))


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _cell_sql() -> str:
    space, address = f"(b.cell >> {ADDRESS_BITS})", f"(b.cell & {CELL_MASK})"
    hexadecimal = f"format('{{:x}}', {address})"
    cases = "".join(
        f" WHEN {int(number)} THEN {prefix}{hexadecimal if kind == 'x' else address}"
        for number, (prefix, kind) in _WORDS.items()
    )
    return (
        f"CASE {space} WHEN {int(Space.UNKNOWN_SLOT)} THEN 'mem:?:0x' || {hexadecimal}{cases}"
        f" WHEN {int(Space.NAMED)} THEN c.text ELSE 'mem:' || {space} || ':0x' || {hexadecimal} END"
    )


def _stage_sql() -> str:
    known = "".join(f" WHEN {number} THEN '{stage}'" for number, stage in enumerate(STAGES))
    return f"CASE b.stage{known} ELSE s.text END"


_BEAMS = f"""CREATE VIEW beams AS SELECT r.run, b.seq, b.tick, {_cell_sql()} AS cell,
    coalesce(t.text, o.token) AS token,
    CASE WHEN b.opcode <> {BESIDE} THEN b.value END AS value,
    CASE WHEN b.opcode <> {BESIDE} THEN b.pc END AS pc,
    CASE WHEN b.opcode <> {BESIDE} THEN b.aux END AS aux,
    b.eid, b.labels, b.opcode, b.flags, {_stage_sql()} AS stage
FROM raw_beams b
JOIN run_rows r ON r.number = b.run_number
JOIN opcode_rows o ON o.opcode = b.opcode
LEFT JOIN name_rows c ON c.number = b.run_number AND c.kind = 'cell'
    AND b.cell >> {ADDRESS_BITS} = {int(Space.NAMED)} AND c.id = b.cell & {CELL_MASK}
LEFT JOIN name_rows t ON t.number = b.run_number AND t.kind = 'token' AND b.opcode = {BESIDE} AND t.id = b.pc
LEFT JOIN name_rows s ON s.number = b.run_number AND s.kind = 'stage' AND s.id = b.stage - {NAMED_STAGE}"""
