"""`vac schedule`: many machines at a time, fairly, in little memory, on several processes."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..engines.registry import ENGINES, EngineError
from ..link.serial_port import DEFAULT_BAUD
from .failure import fail, write_whole
from .package_file import is_package, open_package, package_host
from .package_options import quota_of
from .paging_options import Frames, PageSize, Prefetch, Tiers, close_pager, open_pager
from .run import NEVER, Patience, load_program
from .schedule_report import print_report, schedule_report
from .schedule_run import ScheduleRun

if TYPE_CHECKING:
    from ..scheduler.executors import Executor
    from ..scheduler.quota import Quota
    from ..scheduler.scheduler import Scheduler

_QUOTAS = ("max_ticks", "max_resident_pages", "max_io_per_slice", "deadline")


def schedule(
    programs: Annotated[
        list[Path], typer.Argument(help="Packages, images, or assembly sources.", metavar="PROGRAM...")
    ],
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
            help="Limit of each machine: max_ticks, max_resident_pages, max_io_per_slice, deadline; repeatable.",
            metavar="NAME=N",
        ),
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
    record: Annotated[
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
    _check_places(record, output)
    limits = quota_of(quota or [], _QUOTAS, {})
    given = _read(input_file) if input_file else b""
    loaded = [(path, open_package(path) if is_package(path) else load_program(path)[0]) for path in programs]
    with ExitStack() as stack:
        pager = open_pager(frames, page_size, tiers, prefetch)
        if pager:
            stack.callback(close_pager, pager)
        executor = _executor(stack, engine, processes, shared_core, port, baud, patience)
        scheduler = stack.enter_context(Scheduler(executor, pager=pager, slice_ticks=slice_ticks))
        consoles = _add_all(scheduler, loaded, copies, limits, seed, given)
        run = ScheduleRun(scheduler, stack, record, every, tier_patience)
        with run.interruptible():
            run.go(until)
        report = schedule_report(scheduler, run, engine, processes)
    if output:
        _write_consoles(output, consoles)
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


def _check_places(record: Path | None, output: Path | None) -> None:
    """What cannot be written at the end is refused at the beginning."""
    if record and not (record.parent.is_dir() and os.access(record.parent, os.W_OK)):
        fail(f"cannot write {str(record)!r}: there is no folder for it, or none that may be written to")
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
) -> Executor:
    from ..engines.registry import create_machine
    from ..scheduler.executors import OneEach, SharedCore
    from ..scheduler.worker_pool import WorkerPool

    try:
        if processes:
            return stack.enter_context(WorkerPool(engine, processes))
        if shared_core or engine == "board":
            core = create_machine(engine, keeps_beams=False, port=port, baud=baud, patience_s=patience)
            return SharedCore(core)
    except (EngineError, ValueError) as error:
        fail(str(error))
    return OneEach(engine)


def _add_all(
    scheduler: Scheduler, loaded: Sequence[tuple[Path, Any]], copies: int, limits: Quota, seed: int, given: bytes
) -> dict[str, io.BytesIO]:
    from ..devices.console import Console
    from ..devices.message_bus import MessageBus
    from ..devices.registry import DeviceContext
    from ..image.image import Image
    from ..machine.protocol import MachineError
    from ..memory.errors import PagingError
    from ..package.package_session import quota as package_quota

    consoles: dict[str, io.BytesIO] = {}
    net, qwave = MessageBus(), MessageBus()
    for path, program in loaded:
        for copy in range(copies):
            name = _name(path, copy if copies > 1 else None, consoles)
            sink = consoles[name] = io.BytesIO()
            try:
                if isinstance(program, Image):
                    console, number = Console(given, sink.write), len(consoles) - 1
                    scheduler.add(program, name=name, quota=limits, console=console, seed=seed + number)
                    continue
                context = DeviceContext(
                    len(consoles) - 1, console_source=given, console_sink=sink.write, net=net, qwave=qwave
                )
                scheduler.add(
                    lambda machine, program=program, context=context: package_host(
                        program, machine, context=context, pager=scheduler.pager
                    ),
                    name=name,
                    quota=_tighter(package_quota(program.manifest), limits),
                )
            except (EngineError, MachineError, PagingError) as error:
                fail(f"{path}: {error}")
    return consoles


def _name(path: Path, copy: int | None, taken: dict[str, io.BytesIO]) -> str:
    stem = path.stem.removesuffix(".vac") or path.name
    name = stem if copy is None else f"{stem}-{copy}"
    further = 2
    while name in taken:
        name, further = f"{stem}.{further}" if copy is None else f"{stem}.{further}-{copy}", further + 1
    return name


def _tighter(first: Quota, second: Quota) -> Quota:
    """Of each limit the smaller."""
    from dataclasses import fields

    from ..scheduler.quota import Quota

    pairs_of = ((f.name, getattr(first, f.name), getattr(second, f.name)) for f in fields(Quota))
    return Quota(
        **{name: min(given) if (given := [v for v in (a, b) if v is not None]) else None for name, a, b in pairs_of}
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"cannot write {str(folder)!r}: {error.strerror or error}")


def _write_consoles(folder: Path, consoles: dict[str, io.BytesIO]) -> None:
    _make_folder(folder)
    for name, text in consoles.items():
        write_whole(folder / f"{name}.out", text.getvalue())
