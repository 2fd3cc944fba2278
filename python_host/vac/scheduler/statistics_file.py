"""Statistics of a scheduler over time, as a file of JSON lines.

The first line is an object: `type` "vac_statistics", `version` 1, `columns` (names of `COLUMNS`) and `machines` (their
names). Every other line is `{"clock": ticks of all machines, "seconds": since the first, "machines": [[…], …]}`, with a
row for each machine, in the order of the names. A file that ends in the middle of a line was cut off there.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from .scheduler import Scheduler
from .virtual_machine import VirtualMachine
from .weight import ONE

COLUMNS = ("ticks", "slices", "sqi", "stalls", "misses", "hits", "fetched", "fetched_used", "frames")
"""Counts so far; `sqi` is the machine's score now, Q0.16, as the scheduler saw it last; `frames` is how many it has."""
_VERSION = 1


class StatisticsError(Exception):
    """The file holds no statistics; the message says which file and why."""


@dataclass(frozen=True)
class Sample:
    """rows: for each machine the numbers of `COLUMNS`."""

    clock: int
    seconds: float
    rows: list[list[int]]


@dataclass(frozen=True)
class Statistics:
    """samples: in the order they were taken. machines: names."""

    machines: list[str]
    samples: list[Sample]

    def series(self, machine: int, column: str) -> list[int]:
        """One of `COLUMNS` of one machine, by sample."""
        index = COLUMNS.index(column)
        return [sample.rows[machine][index] for sample in self.samples]


class StatisticsWriter:
    """Writes samples of a scheduler whose machines have all been added. file: open for writing; stays open."""

    def __init__(self, scheduler: Scheduler, file: TextIO) -> None:
        self._scheduler = scheduler
        self._file = file
        self._began = time.monotonic()
        head = {"type": "vac_statistics", "version": _VERSION, "columns": COLUMNS}
        self._write(head | {"machines": [vm.name for vm in scheduler.machines]})
        self.take()

    def take(self, report: object = None) -> None:
        """One sample, as of now. May be given to `Scheduler.run` as `on_progress`."""
        seconds = round(time.monotonic() - self._began, 6)
        rows = [self._row(vm) for vm in self._scheduler.machines]
        self._write({"clock": self._scheduler.clock, "seconds": seconds, "machines": rows})

    def _row(self, vm: VirtualMachine) -> list[int]:
        row = [vm.account.ticks, vm.account.slices, (vm.weight - ONE) // 3]
        if vm.paged is None or self._scheduler.pager is None:
            return [*row, 0, 0, 0, 0, 0, 0]
        counts = vm.paged.statistics
        frames = self._scheduler.pager.resident_pages(vm.paged)
        return [*row, counts.stalls, counts.misses, counts.hits, counts.fetched, counts.fetched_used, frames]

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")


def read_statistics(path: Path) -> Statistics:
    """Raises StatisticsError, and OSError where the file cannot be read."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.read().split("\n")
    try:
        head = json.loads(lines[0])
        if head["type"] != "vac_statistics":
            raise ValueError("its type is another one")
        if head["version"] != _VERSION or tuple(head["columns"]) != COLUMNS:
            raise ValueError(f"this version reads version {_VERSION} only")
        machines = [str(name) for name in head["machines"]]
        samples = [_sample(line, len(machines)) for line in lines[1:-1]]
    except (ValueError, KeyError, TypeError) as error:
        raise StatisticsError(f"{path} holds no statistics that `vac schedule --statistics` wrote: {error}") from error
    return Statistics(machines, samples)


def _sample(line: str, machines: int) -> Sample:
    found = json.loads(line)
    rows: list[list[int]] = found["machines"]
    if len(rows) != machines or any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"a line does not have {machines} machines with {len(COLUMNS)} numbers each")
    if not all(isinstance(value, int) for row in rows for value in row):
        raise ValueError("a line has something that is no whole number")
    return Sample(int(found["clock"]), float(found["seconds"]), rows)
