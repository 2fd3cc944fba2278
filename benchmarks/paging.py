"""Measure paging next to LRU, S3-FIFO, ARC and Belady's optimum and write `benchmarks/results/paging.json`.

Stalls per access at 10 and 100 times more pages than frames. The referees are libCacheSim's, on the same accesses; they
fetch nothing ahead, so that their misses are their stalls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measurement import Measurement
from benchmarks.paging_disk import DiskBenchFailed, page_in_rates
from benchmarks.paging_loads import PATTERNS, Load, crowd, mixed_tenants, single, tenants
from benchmarks.paging_programs import run_programs
from benchmarks.paging_referee import REFEREES, miss_ratios
from benchmarks.paging_replay import Replay, replay, replay_faults, replay_gangs
from benchmarks.progress import step
from benchmarks.results import Result, with_ratios
from vac.memory.pager import least_frames
from vac.memory.policy import PolicyOptions

_RATIOS = (10, 100)
_SLICE_TICKS = 20_000
_CROWD_FRAMES = 256 * 128 // 100
_GANG = 2
_EPOCH = 2000
_CROWD_SLICE = 100
_LEAST_FRAMES = least_frames(4096)

_VARIANTS: tuple[tuple[str, Callable[[Load, int, PolicyOptions | None], Replay], PolicyOptions | None], ...] = (
    ("", replay, None),
    ("_by_faults", replay_faults, None),
    ("_no_prefetch", replay, PolicyOptions(prefetch=None)),
)
FIO = "fio"


def _loads(quick: bool) -> Iterable[Load]:
    count = 20_000 if quick else 200_000
    for pattern in PATTERNS:
        yield single(pattern, 4000, count)
    yield mixed_tenants(2 * count)
    yield run_programs(None, _SLICE_TICKS).load


def _eviction(quick: bool, command: str) -> list[Result]:
    found: list[Result] = []
    for load in _loads(quick):
        for ratio in _RATIOS:
            frames = max(_LEAST_FRAMES, load.footprint // ratio)
            prefix = f"paging.{load.name}.x{ratio}"
            with step(f"{prefix}: {load.footprint} pages, {frames} frames"):
                ratios = miss_ratios(load, frames)
                replays = [(suffix, method(load, frames, options)) for suffix, method, options in _VARIANTS]
            for name, misses in ratios.items():
                found.append(Result(f"{prefix}.stalls", misses, "per access", name, command))
            for suffix, done in replays:
                found.append(Result(f"{prefix}.stalls{suffix}", done.stall_ratio, "per access", None, command))
                if not suffix:
                    found += [
                        Result(f"{prefix}.reads", done.reads / done.accesses, "per access", None, command),
                        Result(f"{prefix}.batches", done.batches / done.accesses, "per access", None, command),
                        Result(
                            f"{prefix}.bookkeeping", 1e6 * done.seconds / done.accesses, "µs per access", None, command
                        ),
                    ]
                    if done.fetched:
                        accuracy = done.used / done.fetched
                        found.append(Result(f"{prefix}.prefetch_accuracy", accuracy, "of pages", None, command))
            if load.name == "programs":
                live = run_programs(frames, _SLICE_TICKS)
                misses = live.statistics.misses / len(load)
                faults = live.statistics.misses + live.statistics.soft_faults
                found += [
                    Result(f"{prefix}.stalls_live", misses, "per access", None, command),
                    Result(f"{prefix}.fault_time", 1e6 * live.seconds / faults, "µs per fault", None, command),
                ]
    return found


def _admission(quick: bool, command: str) -> list[Result]:
    each = crowd(40 if quick else 200, slice_accesses=_CROWD_SLICE)
    in_turn = tenants("crowd", each, (_CROWD_SLICE, _CROWD_SLICE), 1)
    with step(f"paging.crowd.x100: {len(each)} machines, {_CROWD_FRAMES} frames"):
        ratios = miss_ratios(in_turn, _CROWD_FRAMES)
        gangs = replay_gangs(each, _CROWD_FRAMES, _GANG, _EPOCH, _CROWD_SLICE)
        without = replay_gangs(each, _CROWD_FRAMES, _GANG, _EPOCH, _CROWD_SLICE, restores=False)
        part = Load("crowd", in_turn.machines[: len(in_turn) // 4], in_turn.pages[: len(in_turn) // 4])
        alike = replay(part, _CROWD_FRAMES)
    found = [Result("paging.crowd.x100.stalls", misses, "per access", name, command) for name, misses in ratios.items()]
    found.append(Result("paging.crowd.x100.stalls", gangs.stall_ratio, "per access", None, command))
    found.append(Result("paging.crowd.x100.reads", gangs.reads / gangs.accesses, "per access", None, command))
    found.append(Result("paging.crowd.x100.batches", gangs.batches / gangs.accesses, "per access", None, command))
    found.append(Result("paging.crowd.x100.stalls_no_restore", without.stall_ratio, "per access", None, command))
    found.append(Result("paging.crowd.x100.stalls_in_turn", alike.stall_ratio, "per access", None, command))
    return found


def _disk(quick: bool, command: str) -> list[Result]:
    with step("page-in from a file"):
        rates = page_in_rates(1 if quick else 2)
    best = max(rates[name] for name in ("batch8", "batch32"))
    found = [
        Result(f"paging.page_in.{name}", rate, "pages of 64 KiB/s", None, command)
        for name, rate in rates.items()
        if name.startswith("batch")
    ]
    found.append(Result("paging.page_in.best", best, "pages of 64 KiB/s", None, command))
    if FIO in rates:
        found.append(Result("paging.page_in.best", rates[FIO], "pages of 64 KiB/s", FIO, command))
    return found


def measure_paging(quick: bool, command: str) -> list[Result]:
    """All records of paging; those of the referees carry VAC's figure over theirs. Raises DiskBenchFailed."""
    return with_ratios([*_eviction(quick, command), *_admission(quick, command), *_disk(quick, command)])


def print_paging(results: Sequence[Result]) -> None:
    """The tables of stalls, and one line for the disk."""
    by_subject: dict[str | None, dict[str, float]] = {}
    for record in results:
        by_subject.setdefault(record.peer, {})[record.name] = record.value
    own = by_subject[None]
    table = Table(title="Stalls per access", title_justify="left", box=box.SIMPLE)
    columns = ("LRU", "ARC", "S3-FIFO", "Belady")
    assert set(columns) == set(REFEREES)
    for heading in ("load", *columns, "VAC", "by faults", "live", "no prefetch", "batches", "reads"):
        table.add_column(heading, justify="left" if heading == "load" else "right", no_wrap=True)
    suffixes = (".stalls", ".stalls_by_faults", ".stalls_live", ".stalls_no_prefetch", ".batches", ".reads")
    for name in (name.removesuffix(".stalls") for name in own if name.endswith(".stalls")):
        values = [by_subject[peer].get(f"{name}.stalls") for peer in columns]
        values += [own.get(name + suffix) for suffix in suffixes]
        cells = ("–" if value is None else f"{value:.4f}" if value < 0.01 else f"{value:.3f}" for value in values)
        table.add_row(name.removeprefix("paging."), *cells)
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(table)
    best = own["paging.page_in.best"]
    fio = by_subject.get(FIO, {}).get("paging.page_in.best")
    share = f", {best / fio:.0%} of fio's {fio:,.0f}" if fio else "; no fio here to compare with"
    console.print(f"page-in: {best:,.0f} pages of 64 KiB a second, each checked{share}", highlight=False)


PAGING = Measurement("paging", __doc__, "shorter loads", measure_paging, print_paging, (DiskBenchFailed,))

if __name__ == "__main__":
    sys.exit(PAGING.main())
