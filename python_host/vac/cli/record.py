"""`vac record`: a run as a recording."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..engines.registry import ENGINES, EngineError, create_machine, serving_engine
from ..machine.protocol import Machine
from .console_output import ConsoleOutput
from .denials import denials_in_words
from .failure import fail
from .package_options import QuotaWords, run_quota
from .paging_options import Frames, PageSize, Prefetch, Tiers, close_pager, open_pager

if TYPE_CHECKING:
    from ..memory.pager import Pager
    from ..recording.program import Program
    from ..recording.recorder import Recorder

HALTED, TRAPPED, TICK_LIMIT, MISMATCH, INTERRUPTED = 0, 3, 4, 5, 130
NEVER = (1 << 64) - 1
_SLICE_TICKS = 1 << 22
Segment = Annotated[
    int, typer.Option(help="Digest and state root are kept every 2^N ticks.", min=8, max=40, metavar="N")
]


class _Interrupted(Exception):
    pass


def record(
    program: Annotated[
        Path | None, typer.Argument(help="Package, image or assembly source; none with --resume.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder to record into.", metavar="RUN")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on where this recording was cut off or stopped.", metavar="RUN")
    ] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Console input; by default standard input.", metavar="FILE")
    ] = None,
    storage: Annotated[Path | None, typer.Option(help="The bytes of device 0x30, read-only.", metavar="FILE")] = None,
    ticks: Annotated[int, typer.Option(help="Stop at this tick.", min=0, max=NEVER)] = NEVER,
    engine: Annotated[str, typer.Option(help=f"One of: {', '.join(ENGINES)}.")] = "fast",
    seed: Annotated[int | None, typer.Option(help="Seed of the random generator of `entropy_probe`.")] = None,
    segment: Segment = 22,
    quota: QuotaWords = None,
    frames: Frames = None,
    page_size: PageSize = None,
    tiers: Tiers = None,
    prefetch: Prefetch = True,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Run PROGRAM and record the run: console on standard input and output, report on standard error.

    A recording that was cut off, by a crash, a limit or an interrupt, goes on with --resume and the same input, held
    to the quotas that it was made with.
    Exits 0 when the program halted, 3 when it trapped, 4 at the tick limit, at a quota or where it waits for what does
    not come, 130 when interrupted, 2 for bad input.
    """
    from ..recording.program import Program
    from ..recording.recording import Recording
    from ..recording.start import resume_recording, start_recording

    if (resume is None) is (program is None) or (resume is None) is (output is None):
        fail("name a program and -o RUN, or --resume RUN")
    if resume and quota:
        fail("a recording is held to the quotas it was made with; vac fork has --quota, for another future")
    console = ConsoleOutput()
    with recording_errors(), open_input(input_file) as source, paged(frames, page_size, tiers, prefetch) as pager:
        if resume:
            recording = Recording(resume)
            given = Program.from_recording(recording)
            given.source, given.sink, given.pager = source, console, pager
            given.storage = storage or given.storage
            recorder = resume_recording(recording, given, lambda: machine_of(engine))
        else:
            assert program and output
            given = _given(program, seed, storage, quota or [])
            given.source, given.sink, given.pager = source, console, pager
            recorder = start_recording(output, given, lambda: machine_of(engine), serving_engine(engine), 1 << segment)
        report = run_recorder(recorder, ticks)
    typer.echo(json.dumps(report) if as_json else in_words(report), err=True)
    console.check()
    raise typer.Exit(exit_code(report["reason"]))


def _given(path: Path, seed: int | None, storage: Path | None, quota: list[str]) -> Program:
    from ..recording.program import Program
    from .package_file import is_package, open_package
    from .run import load_program

    package = open_package(path) if is_package(path) else None
    image = package.image if package else load_program(path)[0]
    return Program(image, package, storage=storage, seed=seed, quota=run_quota(quota, package))


def machine_of(engine: str, keeps_beams: bool = False) -> Machine:
    """A fresh machine; ends the command where the engine cannot run."""
    try:
        return create_machine(engine, keeps_beams=keeps_beams)
    except EngineError as error:
        fail(str(error))


@contextmanager
def recording_errors() -> Iterator[None]:
    """Ends the command with what is wrong with a recording, a checkpoint, a device or the file system."""
    from ..checkpoint.errors import CheckpointError
    from ..devices.device import DeviceStateError
    from ..history.errors import HistoryError
    from ..host.input_log import InputLogError, ReplayError
    from ..machine.protocol import MachineError
    from ..memory.errors import PagingError
    from ..package.errors import PackageError
    from ..recording.errors import RecordingError, ReplayMismatch

    try:
        yield
    except ReplayMismatch as error:
        fail(str(error), MISMATCH)
    except ReplayError as error:
        fail(str(error), MISMATCH)
    except (CheckpointError, DeviceStateError, HistoryError, InputLogError, MachineError, RecordingError) as error:
        fail(str(error))
    except (EngineError, PackageError, PagingError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or 'the file system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)


@contextmanager
def open_input(path: Path | None) -> Iterator[Any]:
    """The console's input: a file, or standard input."""
    try:
        with path.open("rb") if path else open(0, "rb", closefd=False) as file:
            yield file
    except FileNotFoundError as error:
        if path is None or error.filename != str(path):
            raise
        fail(f"cannot read {str(path)!r}: {error.strerror}")


@contextmanager
def paged(frames: int | None, page_size: str | None, tiers: str | None, prefetch: bool) -> Iterator[Pager | None]:
    """The pager that the options ask for, closed at the end."""
    pager = open_pager(frames, page_size, tiers, prefetch)
    try:
        yield pager
    finally:
        if pager:
            close_pager(pager)


def write_out(data: bytes) -> None:
    """To standard output at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def run_recorder(recorder: Recorder, limit: int) -> dict[str, Any]:
    """Runs in slices, which show progress and can be interrupted, and ends the recording; the report."""
    from ..machine.protocol import Stop, StopReason
    from ..scheduler.quota import StopCause
    from .progress import progress

    began, first = time.monotonic(), recorder.tick
    is_interrupted = False

    def interrupt(signal_number: int, frame: object) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        if recorder.host.console.is_waiting:
            raise _Interrupted
        recorder.host.interrupt()

    previous = signal.signal(signal.SIGINT, interrupt)
    stop = Stop(StopReason.TICK)
    try:
        with progress("ticks", None if limit == NEVER else limit) as show:
            while not is_interrupted and recorder.tick < limit:
                before = recorder.tick
                stop = recorder.run(min(limit, (before // _SLICE_TICKS + 1) * _SLICE_TICKS))
                show(recorder.tick)
                if stop.reason is not StopReason.TICK or recorder.cause:
                    break
    except _Interrupted:
        pass
    finally:
        signal.signal(signal.SIGINT, previous)
    end = recorder.finish(stop, is_interrupted)
    seconds = time.monotonic() - began
    report = {
        "recording": str(recorder.recording.folder),
        "reason": end.reason,
        "ticks": end.tick,
        "ticks_now": end.tick - first,
        "digest": end.digest,
        "root": end.root,
        "entries": end.entries,
        "segments": len(recorder.segments.segments),
        "checkpoints": len(recorder.recording.checkpoints.names()),
        "denials": recorder.host.denials,
        "denials_by_kind": recorder.host.denial_log.by_kind(),
        "seconds": round(seconds, 3),
    }
    if recorder.cause is StopCause.PEERS:
        report["waits_for"] = str(recorder.host.waits_for)
    return report


def exit_code(reason: str) -> int:
    return {"halted": HALTED, "trapped": TRAPPED, "interrupted": INTERRUPTED}.get(reason, TICK_LIMIT)


def in_words(report: dict[str, Any]) -> str:
    lines = [
        f"{report['recording']}: {report['reason']} at tick {report['ticks']:,}, in {report['seconds']:.3f} s",
        f"kept    {report['entries']:,} inputs, {report['segments']:,} segments, {report['checkpoints']:,} checkpoints",
        f"digest  {report['digest'] or 'not computed'}",
        f"root    {report['root']}",
    ]
    if "waits_for" in report:
        lines.append(f"waits   {report['waits_for']}")
    lines += denials_in_words(report)
    if report["reason"] in ("limit", "interrupted") or "waits_for" in report:
        lines.append(f"goes on with: vac record --resume {report['recording']}")
    elif report["reason"] not in ("halted", "trapped"):
        quota = report["reason"].split()[0]
        lines.append(f"goes on with: vac fork {report['recording']} --at {report['ticks']} --quota {quota}=N -o NEW")
    return "\n".join(lines)
