"""`vac schedule`: many machines at a time, fairly, in little memory, on several processes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..engines.registry import ENGINES, EngineError, serving_engine
from ..link.serial_port import DEFAULT_BAUD
from .failure import fail, write_whole
from .package_options import QuotaClass, quota_of
from .paging_options import Frames, PageSize, Prefetch, Tiers, close_pager, open_pager
from .record import Segment, recording_errors
from .run import NEVER, Patience
from .run_beams import Store, beam_store
from .schedule_machines import Planned, add_machines, consoles, keep_beams, planned, run_names
from .schedule_recordings import ScheduledRecordings
from .schedule_report import print_report, schedule_report
from .schedule_resume import resumed
from .schedule_run import ScheduleRun

if TYPE_CHECKING:
    from ..scheduler.executors import Executor

_QUOTAS = ("max_ticks", "max_resident_pages", "max_io_per_slice", "deadline")


def schedule(
    programs: Annotated[
        list[Path] | None,
        typer.Argument(help="Packages, images, or assembly sources; none with --resume.", metavar="PROGRAM..."),
    ] = None,
    copies: Annotated[int, typer.Option(help="Machines of each program.", min=1)] = 1,
    engine: Annotated[str, typer.Option(help=f"One of: {', '.join(ENGINES)}.")] = "fast",
    processes: Annotated[
        int, typer.Option(help="Worker processes to run slices in; 0 for none: all of it here.", min=0)
    ] = 0,
    shared_core: Annotated[
        bool, typer.Option("--shared-core", help="One engine for all machines, saved and restored at each slice.")
    ] = False,
    slice_ticks: Annotated[int, typer.Option("--slice", help="Ticks of a slice.", min=1)] = 10_000,
    until: Annotated[
        int, typer.Option(help="Stop when all machines together have run so many ticks.", min=0, max=NEVER)
    ] = NEVER,
    quota: Annotated[
        list[str] | None,
        typer.Option(
            help="Limit of each machine: max_ticks, max_resident_pages, max_io_per_slice, deadline and, with --store "
            "or --record, max_beams; repeatable.",
            metavar="NAME=N",
        ),
    ] = None,
    quota_class: QuotaClass = None,
    store: Store = None,
    run_name: Annotated[
        str | None,
        typer.Option("--run", "-r", help="Names the runs there RUN.MACHINE; by default each is named as its machine."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Record each machine as FOLDER/MACHINE, which can be replayed alone.", metavar="FOLDER"),
    ] = None,
    segment: Segment = 22,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with the machines recorded in this folder, where they stopped.", metavar="FOLDER"),
    ] = None,
    frames: Frames = None,
    page_size: PageSize = None,
    tiers: Tiers = None,
    prefetch: Prefetch = True,
    seed: Annotated[int, typer.Option(help="Seed of the first machine; each further one gets the next number.")] = 0,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Console input of every machine; by default none.", metavar="FILE")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for NAME.out, each machine's console output.", metavar="FOLDER")
    ] = None,
    statistics: Annotated[
        Path | None, typer.Option(help="Write statistics over time, which `vac plot` draws.", metavar="OUT")
    ] = None,
    every: Annotated[int, typer.Option(help="Slices between two samples of them.", min=1)] = 100,
    port: Annotated[
        str | None,
        typer.Option(envvar="VAC_PORT", help="Serial device of the engine `board`.", metavar="DEVICE"),
    ] = None,
    baud: Annotated[int, typer.Option(help="Rate of that serial line.")] = DEFAULT_BAUD,
    patience: Patience = None,
    tier_patience: Annotated[
        float,
        typer.Option(help="Seconds for which a tier of memory that failed is tried again; by default none.", min=0.0),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Run every PROGRAM at the same time; no machine can tell that there are others.

    Exits 0 when all halted, 3 when one trapped, 4 when one reached a limit, 5 when an engine, its link or process, or a
    tier of memory failed, 130 when interrupted, 2 for bad input. The report says it of each machine.
    """
    from ..scheduler.scheduler import Scheduler

    if engine not in ENGINES:
        fail(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    if shared_core and processes:
        fail("--shared-core is one engine in this process; leave out --processes")
    if engine == "board" and processes:
        fail("a board is one core, which all machines share in this process; leave out --processes")
    if (resume is None) is (not programs):
        fail("name programs, or --resume FOLDER")
    if resume and (record or quota or quota_class or seed or copies > 1):
        fail("machines go on as they were recorded: --resume goes with no --record, --quota, --seed or --copies")
    if (record or resume) and processes:
        fail("machines in worker processes are not recorded; leave out --processes, or --record")
    if run_name and not store:
        fail("--run names runs of a store: say --store as well")
    _check_places(statistics, output)
    limits = quota_of(quota or [], (*_QUOTAS, "max_beams") if store or record else _QUOTAS, {})
    given = _read(input_file) if input_file else b""
    recordings = None
    if resume:
        with recording_errors():
            machines = resumed(resume, given)
        recordings = ScheduledRecordings(resume, engine)
    else:
        machines = planned(programs or [], copies, seed, given, quota_class)
        if record:
            recordings = ScheduledRecordings(record, engine, 1 << segment)
            recordings.check_free(machines)
    runs = run_names(machines, run_name)
    with ExitStack() as stack:
        if recordings:
            stack.enter_context(recording_errors())
            stack.callback(recordings.close)
        kept = stack.enter_context(beam_store(store)) if store else None
        if kept and not resume:
            kept.check_free(runs)
        pager = open_pager(frames, page_size, tiers, prefetch)
        if pager:
            stack.callback(close_pager, pager)
        executor = _executor(stack, engine, processes, shared_core, port, baud, patience, kept is not None)
        scheduler = stack.enter_context(Scheduler(executor, pager=pager, slice_ticks=slice_ticks))
        add_machines(scheduler, machines, limits)
        if recordings:
            (recordings.go_on if resume else recordings.start)(scheduler, machines)
        end_of_beams = keep_beams(scheduler, kept, runs, engine) if kept else None
        run = ScheduleRun(scheduler, stack, statistics, every, tier_patience)
        with run.interruptible():
            run.go(until)
            if end_of_beams:
                end_of_beams()
            if recordings and not run.is_cut_short:
                recordings.finish(run.is_interrupted)
        report = schedule_report(scheduler, run, serving_engine(engine), processes, recordings, runs if kept else None)
    if output:
        _write_consoles(output, machines)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        print_report(report)
    raise typer.Exit(report["exit"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error.strerror or error}")


def _check_places(statistics: Path | None, output: Path | None) -> None:
    """What cannot be written at the end is refused at the beginning."""
    if statistics and not (statistics.parent.is_dir() and os.access(statistics.parent, os.W_OK)):
        fail(f"cannot write {str(statistics)!r}: there is no folder for it, or none that may be written to")
    if output:
        _make_folder(output)


def _executor(
    stack: ExitStack,
    engine: str,
    processes: int,
    shared_core: bool,
    port: str | None,
    baud: int,
    patience: float | None,
    keeps_beams: bool,
) -> Executor:
    from ..engines.registry import create_machine
    from ..scheduler.executors import OneEach, SharedCore
    from ..scheduler.worker_pool import WorkerPool

    try:
        if processes:
            return stack.enter_context(WorkerPool(engine, processes, keeps_beams=keeps_beams))
        if shared_core or engine == "board":
            core = create_machine(engine, keeps_beams=keeps_beams, port=port, baud=baud, patience_s=patience)
            return SharedCore(core, keeps_beams=keeps_beams)
    except (EngineError, ValueError) as error:
        fail(str(error))
    return OneEach(engine, keeps_beams=keeps_beams)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"cannot write {str(folder)!r}: {error.strerror or error}")


def _write_consoles(folder: Path, machines: Sequence[Planned]) -> None:
    _make_folder(folder)
    for name, text in consoles(machines):
        write_whole(folder / f"{name}.out", text)
