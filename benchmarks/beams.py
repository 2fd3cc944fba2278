"""Measure the beam store next to DuckDB and SQLite and write `benchmarks/results/beams.json`.

Ten million beams of one program on the fast engine, with labels, joins and 65536 cells of memory that it reads and
changes at random: `python -m benchmarks.beams`. Figures of all stores come from the same beams in the same run.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measurement import Measurement
from benchmarks.progress import step
from benchmarks.results import Result, with_ratios
from vac.assembler.assemble import assemble
from vac.beams.cell import Space
from vac.beams.record import BEAM, EVENT, JoinCount, Rows, events_of_beams
from vac.beams.segments.segment_store import SegmentStore
from vac.fast.machine import FastMachine, Trace
from vac.host.session import Host

_BEAMS, _QUICK_BEAMS = 10_000_000, 1_500_000
_BATCH = 1 << 20
_ROUNDS = 3
_SCRATCH = Path(__file__).resolve().parents[1] / "build"
"""On the disk that is meant; /tmp may be RAM."""
_DUCKDB, _SQLITE = "DuckDB", "SQLite, index after"
_RUN = "bench"
_OF_CELL = "SELECT * FROM beams WHERE cell = ? ORDER BY tick"
_OF_EID = "SELECT * FROM beams WHERE eid = ? ORDER BY tick DESC LIMIT 100"

_PROGRAM = """
.labels
.frame 12
.local pointer, value, state, mask, round, sum, window, other, chosen
        lit 1; lit32 0x40000; sys SYS_ALLOC; drop
        let state, 2463534242
        let mask, 0x3fffc
        let window, 0x10000000
        let chosen, 0xff
        let round, 100000000
next:   shli other, state, 13; xor3 state, state, other
        shrui other, state, 17; xor3 state, state, other
        shli other, state, 5; xor3 state, state, other
        and3 pointer, state, mask
        add3 pointer, pointer, window
        ld32 value, pointer; add3 sum, sum, value; add3 sum, sum, round; st32 pointer, sum
        and3 other, round, chosen
        bnei other, on, 0
        push sum; push state; join; set sum
on:     djnz round, next
        halt
"""


def recorded(count: int) -> bytes:
    """The program's first beams."""
    machine = FastMachine(Trace.BEAMS)
    Host(machine, assemble(_PROGRAM)).run(count)
    return machine.drain_beams()


def _timed(work: Callable[[], object], rounds: int) -> float:
    """Median of the milliseconds that a query takes."""
    work()
    taken: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken)


def _batches(beams: bytes) -> list[tuple[int, bytes]]:
    size = _BATCH * BEAM.itemsize
    return [(start // BEAM.itemsize, beams[start : start + size]) for start in range(0, len(beams), size)]


def _bytes_in(path: Path) -> int:
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())


def _segments(folder: Path, beams: bytes, cells: Sequence[str], command: str) -> tuple[list[Result], str]:
    """VAC's own figures, and the EID that the queries are for."""
    count = len(beams) // BEAM.itemsize
    rates: list[float] = []
    path = folder / "segments"
    for attempt in range(_ROUNDS):
        shutil.rmtree(path, ignore_errors=True)
        with step(f"segments: ingest {count:,} beams, {attempt + 1} of {_ROUNDS}"), SegmentStore(path) as store:
            began = time.perf_counter()
            for first, part in _batches(beams):
                store.ingest(_RUN, first, part)
                store.commit()
            rates.append(count / (time.perf_counter() - began) / 1e6)
    results = [Result("beams.ingest", median(rates), "M beams/s", None, command)]
    with SegmentStore(path) as store:
        eid = store.eids(_RUN, 300)[0]
        for kind in ("open", "sealed"):
            if kind == "sealed":
                with step("segments: seal"):
                    began = time.perf_counter()
                    store.seal(_RUN)
                    rate = count / (time.perf_counter() - began) / 1e6
                results.append(Result("beams.seal", rate, "M beams/s", None, command))
            results += [
                Result(f"beams.bytes.{kind}", _bytes_in(path) / count, "bytes", None, command),
                Result(f"beams.lineage.{kind}", _lineage(store, cells), "ms", None, command),
                Result(f"beams.ghost.{kind}", _timed(lambda: store.ghost(eid, 100), 300), "ms", None, command),
            ]
    return results, eid


def _lineage(store: SegmentStore, cells: Sequence[str]) -> float:
    draw = random.Random(1)
    return _timed(lambda: store.lineage(_RUN, draw.choice(cells)), 300)


def _table(beams: bytes) -> Rows:
    rows, _, _ = events_of_beams(beams, 0, JoinCount(), 0)
    return rows


def _duckdb(folder: Path, rows: Rows, cells: Sequence[int], eid: int, command: str) -> list[Result]:
    path = folder / "beams.duckdb"
    names = [name for name in EVENT.names or () if name != "reserved"]
    draw = random.Random(1)
    with step("DuckDB"), duckdb.connect(str(path)) as connection:
        began = time.perf_counter()
        for first in range(0, len(rows), _BATCH):
            part = rows[first : first + _BATCH]
            batch = pa.table({name: np.ascontiguousarray(part[name]) for name in names})
            connection.register("batch", batch)
            connection.execute(f"{'INSERT INTO beams' if first else 'CREATE TABLE beams AS'} SELECT * FROM batch")
        connection.execute("CHECKPOINT")
        rate = len(rows) / (time.perf_counter() - began) / 1e6
        lineage = _timed(
            lambda: connection.execute(
                "SELECT * FROM beams WHERE cell = ? ORDER BY tick", [draw.choice(cells)]
            ).fetchall(),
            30,
        )
        ghost = _timed(
            lambda: connection.execute(
                "SELECT * FROM beams WHERE eid = ? ORDER BY tick DESC LIMIT 100", [eid]
            ).fetchall(),
            30,
        )
    return _peer(_DUCKDB, rate, path.stat().st_size / len(rows), lineage, ghost, command)


def _sqlite(folder: Path, rows: Rows, cells: Sequence[int], eid: int, command: str) -> list[Result]:
    path = folder / "beams.sqlite"
    names = [name for name in EVENT.names or () if name != "reserved"]
    draw = random.Random(1)
    connection = sqlite3.connect(path)
    with step("SQLite"):
        began = time.perf_counter()
        connection.execute(f"CREATE TABLE beams ({', '.join(f'{name} INTEGER' for name in names)})")
        marks = ", ".join("?" * len(names))
        for first in range(0, len(rows), _BATCH):
            part = rows[first : first + _BATCH]
            columns = [part[name].tolist() for name in names]
            connection.executemany(f"INSERT INTO beams VALUES ({marks})", zip(*columns, strict=True))
            connection.commit()
        connection.execute("CREATE INDEX by_cell ON beams (cell, tick)")
        connection.execute("CREATE INDEX by_eid ON beams (eid, tick)")
        connection.commit()
        rate = len(rows) / (time.perf_counter() - began) / 1e6
        lineage = _timed(
            lambda: connection.execute(
                "SELECT * FROM beams WHERE cell = ? ORDER BY tick", [draw.choice(cells)]
            ).fetchall(),
            300,
        )
        ghost = _timed(
            lambda: connection.execute(
                "SELECT * FROM beams WHERE eid = ? ORDER BY tick DESC LIMIT 100", [eid]
            ).fetchall(),
            300,
        )
    connection.close()
    return _peer(_SQLITE, rate, path.stat().st_size / len(rows), lineage, ghost, command)


def _peer(peer: str, rate: float, size: float, lineage: float, ghost: float, command: str) -> list[Result]:
    return [
        Result("beams.ingest", rate, "M beams/s", peer, command),
        Result("beams.bytes.sealed", size, "bytes", peer, command),
        Result("beams.lineage.open", lineage, "ms", peer, command),
        Result("beams.ghost.open", ghost, "ms", peer, command),
    ]


def measure_beams(quick: bool, command: str) -> list[Result]:
    """Records of all stores. quick: fewer beams."""
    beams = recorded(_QUICK_BEAMS if quick else _BEAMS)
    rows = _table(beams)
    memory = np.unique(rows["cell"][rows["cell"] >> np.uint64(32) == Space.UNKNOWN_SLOT])
    chosen = random.Random(2).sample(memory.tolist(), 500)
    texts = [f"mem:?:{cell & 0xFFFFFFFF:#x}" for cell in chosen]
    _SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SCRATCH) as name:
        folder = Path(name)
        own, eid = _segments(folder, beams, texts, command)
        ordinal = int(eid.rpartition("::")[2][:8], 16)
        peers = _duckdb(folder, rows, chosen, ordinal, command)
        # SQLite takes minutes for all of them; its rate is that of a part, its queries are helped by that.
        part = rows[: min(len(rows), 2_000_000)]
        known = np.unique(part["eid"])
        peers += _sqlite(folder, part, chosen, int(known[len(known) // 2]), command)
    return with_ratios([*own, *peers])


_COLUMNS = (
    ("M/s", "beams.ingest", 2),
    ("bytes", "beams.bytes.open", 1),
    ("sealed", "beams.bytes.sealed", 2),
    ("cell ms", "beams.lineage.open", 3),
    ("sealed", "beams.lineage.sealed", 3),
    ("EID ms", "beams.ghost.open", 3),
    ("sealed", "beams.ghost.sealed", 3),
)


def print_beams(results: Sequence[Result]) -> None:
    """A table, a store a row."""
    table = Table(title="Beam stores", title_justify="left", box=box.SIMPLE)
    table.add_column("", no_wrap=True)
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for peer in dict.fromkeys(record.peer for record in results):
        values = {record.name: record.value for record in results if record.peer == peer}
        table.add_row(peer or "VAC", *(f"{values[n]:.{d}f}" if n in values else "–" for _, n, d in _COLUMNS))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


BEAMS = Measurement("beams", __doc__, "1.5 million beams", measure_beams, print_beams)

if __name__ == "__main__":
    sys.exit(BEAMS.main())
