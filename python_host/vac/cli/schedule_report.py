"""What `vac schedule` says at the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines.registry import EngineError
from ..isa.sqi import FULL
from .run_report import INTERRUPTED, TICK_LIMIT, TRAPPED

if TYPE_CHECKING:
    from ..scheduler.scheduler import Scheduler
    from ..scheduler.virtual_machine import VirtualMachine
    from .schedule_recordings import ScheduledRecordings
    from .schedule_run import ScheduleRun

FAILED = 5
"""Exit code where an engine, its link, its process or a tier of memory failed."""
_MOST_ROWS = 40


def schedule_report(
    scheduler: Scheduler,
    run: ScheduleRun,
    engine: str,
    processes: int,
    recordings: ScheduledRecordings | None = None,
    runs: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What came of it, as plain values. `exit` is the exit code. runs: of each machine in the beam store."""
    totals = scheduler.report()
    machines = [_row(vm) for vm in scheduler.machines]
    for row, name in zip(machines, runs or (), strict=False):
        row["run"] = name
    if recordings:
        for row, end in zip(machines, recordings.ends, strict=True):
            row["recording"] = str(recordings.folder / row["name"])
            row |= {"root": end.root, "entries": end.entries} if end else {"root": None, "entries": None}
    report: dict[str, Any] = {
        "engine": engine,
        "processes": processes,
        "ticks": totals.clock,
        "seconds": round(run.seconds, 3),
        "jain": round(totals.jain, 6),
        "largest_gap": totals.largest_gap,
        "is_interrupted": run.is_interrupted,
        "workers_lost": run.restarts,
        "exit": _exit_code(scheduler.machines, run.is_interrupted),
        "machines": machines,
    }
    if scheduler.pager:
        pager = scheduler.pager
        levels = pager.store.statistics()
        report["paging"] = {
            "frames": pager.frames,
            "page_bytes": pager.page_bytes,
            "tiers": {name: {"read": s.pages_read, "written": s.pages_written} for name, s in levels.items()},
        }
    return report


def _row(vm: VirtualMachine) -> dict[str, Any]:
    from ..link.session import LinkError
    from ..machine.protocol import MachineError
    from ..scheduler.weight import ONE

    account = vm.account
    row: dict[str, Any] = {
        "name": vm.name,
        "stop": vm.stop.value if vm.stop else None,
        "ticks": account.ticks,
        "slices": account.slices,
        "answers": account.answers,
        "weight": round(vm.weight / ONE, 4),
        "largest_gap": account.largest_gap,
        "dismissals": account.dismissals,
        "weighted_share": round(account.weighted_share, 6),
    }
    if vm.error:
        row["error"] = str(vm.error)
    try:
        state = vm.machine.state()
        row["sqi"] = round(state.sqi.score / FULL, 4)
        row["digest"] = None if state.digest is None else f"{state.digest:016x}"
        row["stack"] = state.data_stack
        if state.trap:
            row["trap"] = f"{state.trap.name} at pc {state.pc:#x}"
    except (MachineError, LinkError, EngineError):  # `error` says it
        row |= {"sqi": None, "digest": None, "stack": []}
    if vm.paged:
        counts = vm.paged.statistics
        accuracy = counts.prefetch_accuracy
        row |= {
            "stalls": counts.stalls,
            "misses": counts.misses,
            "hits": counts.hits,
            "soft_faults": counts.soft_faults,
            "prefetch_accuracy": None if accuracy is None else round(accuracy, 4),
        }
    return row


def _exit_code(machines: Sequence[VirtualMachine], is_interrupted: bool) -> int:
    from ..scheduler.quota import StopCause

    stops = {vm.stop for vm in machines}
    if stops & {StopCause.PAGING, StopCause.WORKER, StopCause.LINK, StopCause.FAILED}:
        return FAILED
    if is_interrupted and None in stops:
        return INTERRUPTED
    if StopCause.TRAPPED in stops:
        return TRAPPED
    return 0 if stops == {StopCause.HALTED} else TICK_LIMIT


def print_report(report: dict[str, Any]) -> None:
    """A table of machines, and what holds for all of them."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    machines, is_paged = report["machines"], "paging" in report
    headings = ["machine", "ticks", "slices", "weight", "SQI"]
    headings += ["stalls", "hits", "ahead used"] if is_paged else []
    table = Table(box=box.SIMPLE)
    for heading in (*headings, "stop"):
        table.add_column(
            heading, justify="left" if heading in ("machine", "stop") else "right", no_wrap=heading != "stop"
        )
    for row in machines[:_MOST_ROWS]:
        cells = [escape(row["name"]), f"{row['ticks']:,}", f"{row['slices']:,}", f"{row['weight']:.2f}"]
        cells.append("–" if row["sqi"] is None else f"{row['sqi']:.3f}")
        if is_paged:
            accuracy = row["prefetch_accuracy"]
            cells += [f"{row['stalls']:,}", f"{row['hits']:,}", "–" if accuracy is None else f"{accuracy:.0%}"]
        table.add_row(*cells, escape(_why(row)))
    if len(machines) > _MOST_ROWS:
        table.add_row(f"and {len(machines) - _MOST_ROWS:,} more")
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(table)
    seconds = report["seconds"]
    speed = f", {report['ticks'] / seconds / 1e6:.1f} M ticks/s" if seconds >= 0.1 else ""
    ways = f"{report['processes']} worker processes" if report["processes"] else "this process"
    count = "1 machine" if len(machines) == 1 else f"{len(machines)} machines"
    console.print(f"{count} on {report['engine']} in {ways}: {report['ticks']:,} ticks in {seconds:.3f} s{speed}")
    console.print(f"weighted Jain index {report['jain']:.4f}, longest wait {report['largest_gap']:,} ticks of others")
    if is_paged:
        paging = report["paging"]
        levels = ", ".join(f"{name} {n['read']:,} read {n['written']:,} written" for name, n in paging["tiers"].items())
        console.print(f"{paging['frames']:,} frames of {paging['page_bytes'] >> 10} KiB; pages: {levels}")
    if recorded := [row for row in machines if "recording" in row]:
        open_ends = [row["name"] for row in recorded if row["root"] is None]
        without = f"; without an end: {', '.join(open_ends)}" if open_ends else ""
        console.print(f"recorded in {escape(str(Path(recorded[0]['recording']).parent))}, one each{without}")
    if report["is_interrupted"]:
        console.print("interrupted; no instruction was cut short")


def _why(row: dict[str, Any]) -> str:
    if "error" in row and row["stop"] is not None:
        return f"{row['stop']}: {row['error']}"
    if "trap" in row:
        return f"{row['stop']}: {row['trap']}"
    return row["stop"] or "can go on"
