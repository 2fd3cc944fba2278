"""`vac run`: a program on an engine, with the terminal as its console."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from ..assembler.assemble import Assembly, assemble_with_listing
from ..assembler.diagnostics import AssemblyErrors
from ..devices.console import Console
from ..devices.registry import DeviceContext
from ..devices.storage import Storage
from ..engines.registry import ENGINES, EngineError, create_machine
from ..golden.model import GoldenMachine
from ..host.input_log import InputLog, InputLogError, ReplayError
from ..host.session import Host
from ..image.image import MAGIC, Image
from ..isa.sqi import FULL
from ..link.serial_port import DEFAULT_BAUD
from ..link.session import LinkError
from ..machine.protocol import MachineError, StopReason
from ..machine.state import State
from ..memory.errors import PagingError
from ..virtual_cpu.translation import SUFFIX as VIRTUAL_CPU_SUFFIX
from ..virtual_cpu.translation import translate
from .failure import fail, load_image, write_whole
from .package_file import is_package, open_package, package_host
from .paging_options import Frames, PageSize, Prefetch, Tiers, close_pager, open_pager

HALTED, TRAPPED, TICK_LIMIT, INTERRUPTED = 0, 3, 4, 130
"""Exit codes, beside BAD_INPUT; 130 is the shell's own for an interrupt."""

NEVER = (1 << 64) - 1
Patience = Annotated[
    float | None,
    typer.Option(
        envvar="VAC_PATIENCE",
        help="Seconds that a board that does not answer is waited for; by default 1.5 at first, then 30.",
        min=0.1,
    ),
]
_SLICE_SECONDS = (0.1, 0.4)
_BEAM_SLICE_TICKS = 1 << 18
_QUIET_SECONDS = 2.0
_PROGRESS_SECONDS = 0.25


class _Interrupted(Exception):
    pass


def run(
    program: Annotated[Path, typer.Argument(help="Package, image, assembly source, or VirtualCPU program (.vcpu).")],
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Console input; by default standard input.", metavar="FILE")
    ] = None,
    storage: Annotated[Path | None, typer.Option(help="The bytes of device 0x30, read-only.", metavar="FILE")] = None,
    ticks: Annotated[int, typer.Option(help="Stop after this many instructions.", min=0, max=NEVER)] = NEVER,
    engine: Annotated[str, typer.Option(help=f"One of: {', '.join(ENGINES)}.")] = "golden",
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the random generator of `entropy_probe`; by default the package's, or 0."),
    ] = None,
    beams: Annotated[
        Path | None, typer.Option(help="Write every beam, 16 bytes each, to this file.", metavar="OUT")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write the input log, with which the run can be replayed.", metavar="OUT")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Give the answers of this input log instead of live ones.", metavar="LOG")
    ] = None,
    stop_at: Annotated[
        list[str] | None, typer.Option(help="Stop where this holds; `vac replay --help` says what can.", metavar="COND")
    ] = None,
    snapshot_at: Annotated[
        list[str] | None, typer.Option(help="Keep a checkpoint here each time this holds.", metavar="COND")
    ] = None,
    info_at: Annotated[
        list[str] | None, typer.Option(help="Print where the machine is each time this holds.", metavar="COND")
    ] = None,
    proof_at: Annotated[
        list[int] | None,
        typer.Option(help="Write a proof of registers and stacks at this tick to proof-TICK.json.", metavar="TICK"),
    ] = None,
    proof_leaf: Annotated[
        str | None, typer.Option(help="Leaf of memory to prove with them.", metavar="SLOT:NUMBER")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
    port: Annotated[
        str | None,
        typer.Option(envvar="VAC_PORT", help="Serial device of the engine `board`.", metavar="DEVICE"),
    ] = None,
    baud: Annotated[int, typer.Option(help="Rate of that serial line.")] = DEFAULT_BAUD,
    patience: Patience = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option("--key", help="Public key, or folder of them, one of which must have signed.", metavar="KEYS"),
    ] = None,
    frames: Frames = None,
    page_size: PageSize = None,
    tiers: Tiers = None,
    prefetch: Prefetch = True,
) -> None:
    """Run PROGRAM: console on standard input and output, report on standard error.

    A package reaches what its manifest grants, and stops at its quota of ticks; anything else gets the usual devices.
    Exits 0 when it halted, 3 when it trapped, 4 at the tick limit or where it was stopped, 130 when interrupted, 2 for
    bad input.
    """
    package = open_package(program, trusted=trust or []) if is_package(program) else None
    if trust and not package:
        fail(f"{program} is no package, so nobody has signed it")
    image, assembly = (package.image, None) if package else load_program(program)
    log = _input_log(replay) if replay else None
    is_stopped = False
    with ExitStack() as files:
        source = files.enter_context(_open(input_file) if input_file else _standard_input())
        held = files.enter_context(_open(storage)) if storage else None
        try:
            machine = create_machine(engine, keeps_beams=beams is not None, port=port, baud=baud, patience_s=patience)
        except EngineError as error:
            fail(str(error))
        if pager := open_pager(frames, page_size, tiers, prefetch):
            files.callback(close_pager, pager)
        try:
            if package:
                named = {"storage": (held, False)} if held else {}
                context = DeviceContext(console_source=source, console_sink=_write_out, files=named)
                host = package_host(package, machine, context=context, seed=seed, replay=log, pager=pager)
                ticks = min(ticks, package.manifest.quotas.max_ticks or NEVER)
            else:
                console, bytes_of = Console(source, _write_out), Storage(held) if held else None
                host = Host(
                    machine, image, console=console, storage=bytes_of, seed=seed or 0, replay=log, pager=pager
                )  # fmt: skip
            if proof_at:
                from .proof import prove_live

                if beams or stop_at or snapshot_at or info_at:
                    fail("--proof-at goes with none of --beams, --stop-at, --snapshot-at, --info-at")
                prove_live(host, image, [tick for tick in proof_at if tick <= ticks], proof_leaf)
            if stop_at or snapshot_at or info_at:
                from .stops import visit_live

                if beams:
                    fail("beams are written of a run that nothing stops: leave out --beams, or the conditions")
                conditions = (stop_at or [], snapshot_at or [], info_at or [])
                is_stopped = visit_live(host, image, engine, conditions, assembly, ticks, as_json)
            session = _Session(host, ticks, files.enter_context(_whole_file(beams)) if beams else None)
            if not is_stopped:
                session.run()
        except (ReplayError, MachineError, LinkError, PagingError) as error:
            fail(f"{program}: {error}")
    if record:
        write_whole(record, host.input_log.to_text().encode())
    if is_stopped:
        raise typer.Exit(TICK_LIMIT)
    serving = "golden" if isinstance(machine, GoldenMachine) else engine  # where there is no C compiler
    report = _report(session, serving, program, assembly)
    typer.echo(json.dumps(report) if as_json else _in_words(report), err=True)
    raise typer.Exit(session.exit_code)


def load_program(path: Path) -> tuple[Image, Assembly | None]:
    """The image in a file, a package's too, or the one that a source assembles to."""
    if is_package(path):
        return open_package(path).image, None
    try:
        content = path.read_bytes()
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error.strerror or error}")
    if path.suffix == ".vacimg" or content.startswith(MAGIC[:-1]):
        return load_image(path), None
    try:
        text = content.decode()
        is_virtual_cpu = path.suffix == VIRTUAL_CPU_SUFFIX
        assembly = translate(text, str(path)).assembly if is_virtual_cpu else assemble_with_listing(text, str(path))
    except UnicodeDecodeError:
        fail(f"{str(path)!r} is neither an image nor text in UTF-8")
    except AssemblyErrors as errors:
        fail(str(errors))
    return assembly.image, assembly


def _input_log(path: Path) -> InputLog:
    try:
        from ..recording.input_log_file import read_log

        return read_log(path)
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error}")
    except InputLogError as error:
        fail(str(error))


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error.strerror or error}")


def _standard_input() -> io.BufferedReader:
    return open(0, "rb", closefd=False)


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name only once it is whole."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        fail(f"cannot write {str(path)!r}: {error.strerror or error}")
    finally:
        temporary.unlink(missing_ok=True)


def _write_out(data: bytes) -> None:
    """Straight to standard output: a person at the console sees every byte at once."""
    while data:
        data = data[os.write(1, data) :]


@dataclass
class _Session:
    """Runs in slices, so that a long run shows progress and can be interrupted."""

    host: Host
    limit: int
    beam_file: BinaryIO | None
    reason: StopReason = StopReason.TICK
    is_interrupted: bool = False
    seconds: float = 0.0
    _shown: float = field(default=_QUIET_SECONDS, repr=False)

    def run(self) -> None:
        started = time.monotonic()
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            self._run_slices(started)
        except _Interrupted:
            self.is_interrupted = True
        finally:
            signal.signal(signal.SIGINT, previous)
            self.seconds = time.monotonic() - started
            self._drain()
            if self._shown > _QUIET_SECONDS:
                sys.stderr.write("\r\x1b[K")

    def _run_slices(self, started: float) -> None:
        size, tick = 4096, self.host.machine.state().tick
        while not self.is_interrupted:
            before = time.monotonic()
            until = min(tick + size, self.limit)
            self.reason = self.host.run(until).reason
            self._drain()
            tick = self.host.machine.state().tick
            if self.reason is not StopReason.TICK or tick >= self.limit:
                return
            now = time.monotonic()
            if now - before < _SLICE_SECONDS[0]:
                size = min(2 * size, _BEAM_SLICE_TICKS) if self.beam_file else 2 * size
            elif now - before > _SLICE_SECONDS[1]:
                size = max(size // 2, 1)
            self._show(tick, now - started)

    def _interrupt(self, signal_number: int, frame: object) -> None:
        """Nothing is cut short but waiting for input: the machine is then before the waiting instruction."""
        self.is_interrupted = True
        if self.host.console.is_waiting:
            raise _Interrupted
        self.host.interrupt()

    def _drain(self) -> None:
        if self.beam_file:
            self.beam_file.write(self.host.machine.drain_beams())
        else:
            with suppress(MachineError):  # the golden model keeps beams though nobody asked; others say they have none
                self.host.machine.drain_beams()

    def _show(self, tick: int, seconds: float) -> None:
        if sys.stderr.isatty() and seconds > self._shown:
            self._shown = seconds + _PROGRESS_SECONDS
            sys.stderr.write(f"\r\x1b[K{tick:,} ticks, {_rate(tick / seconds)}")
            sys.stderr.flush()

    @property
    def state(self) -> State:
        return self.host.machine.state()

    @property
    def exit_code(self) -> int:
        if self.is_interrupted and self.reason is StopReason.TICK:
            return INTERRUPTED
        return {StopReason.HALTED: HALTED, StopReason.TRAPPED: TRAPPED}.get(self.reason, TICK_LIMIT)


def _report(session: _Session, engine: str, program: Path, assembly: Assembly | None) -> dict[str, Any]:
    state, code = session.state, session.exit_code
    status = {HALTED: "halted", TRAPPED: "trapped", INTERRUPTED: "interrupted"}.get(code, "tick limit reached")
    report: dict[str, Any] = {
        "program": str(program),
        "engine": engine,
        "status": status,
        "ticks": state.tick,
        "pc": state.pc,
        "stack": state.data_stack,
        "digest": None if state.digest is None else f"{state.digest:016x}",
        "sqi": {
            "coherence": state.sqi.coherence,
            "entropy": state.sqi.entropy,
            "drift": state.sqi.drift,
            "score": state.sqi.score,
        },
        "seconds": round(session.seconds, 3),
    }
    if code == TRAPPED:
        report["trap"] = state.trap.name
        place = assembly.location(state.pc) if assembly else None
        if place:
            report["source"] = f"{place[0]}:{place[1]}"
    if session.host.memory.paged:
        report["paging"] = asdict(session.host.memory.paged.statistics)
    if session.host.denials:
        report["denials"] = session.host.denials
    return report


def _in_words(report: dict[str, Any]) -> str:
    seconds, ticks = report["seconds"], report["ticks"]
    status = report["status"]
    if "trap" in report:
        status += f": {report['trap']} at pc {report['pc']:#x}"
        if "source" in report:
            status += f" ({report['source']})"
    elif status == "interrupted":
        status += f" before pc {report['pc']:#x}; no instruction was cut short"
    speed = f", {_rate(ticks / seconds)}" if seconds >= 0.1 else ""
    sqi = ", ".join(f"{name} {value / FULL:.3f}" for name, value in report["sqi"].items())
    lines = [f"{report['program']}: {status}", f"ticks   {ticks:,} in {seconds:.3f} s on {report['engine']}{speed}"]
    if report["stack"]:
        lines.append("stack   " + " ".join(f"{cell:#x}" for cell in report["stack"][-8:]))
    lines += [f"digest  {report['digest'] or 'not computed'}", f"sqi     {sqi}"]
    if "paging" in report:
        counts = ("misses", "stalls", "hits", "fetched", "evictions", "write_backs")
        lines.append("paging  " + ", ".join(f"{name.replace('_', ' ')} {report['paging'][name]:,}" for name in counts))
    lines += [f"denied  {denial}" for denial in report.get("denials", ())]
    return "\n".join(lines)


def _rate(ticks_per_second: float) -> str:
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if ticks_per_second >= scale:
            return f"{ticks_per_second / scale:.1f} {unit} ticks/s"
    return f"{ticks_per_second:.0f} ticks/s"
