"""`vac board`: a board on a serial port, or what stands in for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..image.image import ImageError
from ..isa.link import LinkStatus
from ..isa.state_map import FRAME_RAM_BASE, HOST_ADDRESS_BITS, REGISTER_BASE, FaultKind, HostRegister, StopCode
from ..isa.traps import Trap
from ..link.board import Board
from ..link.monitor_script import UnfitProgram, monitor_script
from ..link.serial_port import DEFAULT_BAUD, PATIENCE_S, SerialPort, open_session
from ..link.session import LinkError, LinkSession
from ..machine.protocol import MachineError
from .failure import fail, write_whole
from .run import NEVER, Patience, load_program, run

board = typer.Typer(
    help="A board on a serial port.\n\n"
    "Exit codes: 0 done, 2 bad input or a failing link; `run` exits as `vac run` does.",
    no_args_is_help=True,
)

PORT_VARIABLE = "VAC_PORT"
Port = Annotated[str, typer.Option("--port", envvar=PORT_VARIABLE, help="The board's serial device.", metavar="DEVICE")]
Baud = Annotated[int, typer.Option(help="Rate of the serial line.")]
Program = Annotated[Path, typer.Argument(help="Image, or assembly source, which is assembled first.")]
_DUMP_WORDS = 4
_MOST_WORDS = 1 << 20
_STOPS = {
    StopCode.NONE: "nothing yet",
    StopCode.LIMIT: "its ticks are used up",
    StopCode.PAGE: "a leaf is missing",
    StopCode.EVENT: "it waits for its host",
    StopCode.HALTED: "it halted",
    StopCode.TRAPPED: "it trapped",
    StopCode.REQUESTED: "it was asked to",
}


@contextmanager
def _session(port: str, baud: int, patience: float | None) -> Iterator[LinkSession]:
    """A session with the board; ends the command where the link fails."""
    try:
        with SerialPort(port, baud, patience or PATIENCE_S) as line:
            yield open_session(line, patience)
    except (LinkError, MachineError) as error:
        fail(f"{port}: {error}")


@board.command()
def info(port: Port, baud: Baud = DEFAULT_BAUD, patience: Patience = None) -> None:
    """Stop the core and say what the board is and where its core stands."""
    with _session(port, baud, patience) as session:
        identity = Board.identify(session)
        words = session.read(REGISTER_BASE, len(HostRegister))
    labels = f"labels of {identity.label_bits} bits" if identity.label_bits else "no labels"
    tick = words[HostRegister.TICK_LOW] | words[HostRegister.TICK_HIGH] << 32
    digest = words[HostRegister.DIGEST_LOW] | words[HostRegister.DIGEST_HIGH] << 32
    typer.echo(
        f"instruction set {identity.isa_version}, {4 * identity.frames} KiB of memory in {identity.frames} frames"
    )
    typer.echo(f"{identity.tlb_entries} translations, {labels}")
    typer.echo(f"tick {tick:,}, pc {words[HostRegister.PC]:#x}, digest {digest:016x}")
    typer.echo(f"stopped: {_why(words)}")


@board.command("run")
def run_program(
    program: Program,
    port: Port,
    baud: Baud = DEFAULT_BAUD,
    patience: Patience = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Console input; by default standard input.", metavar="FILE")
    ] = None,
    storage: Annotated[Path | None, typer.Option(help="The bytes of device 0x30, read-only.", metavar="FILE")] = None,
    ticks: Annotated[int, typer.Option(help="Stop after this many instructions.", min=0, max=NEVER)] = NEVER,
    beams: Annotated[
        Path | None, typer.Option(help="Write every beam, 16 bytes each, to this file.", metavar="OUT")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Run PROGRAM on the board; its devices and its memory misses are served from here, as `vac run` does.

    Exits as `vac run` does.
    """
    run(
        program, input_file, storage, ticks, "board",
        beams=beams, as_json=as_json, port=port, baud=baud, patience=patience,
    )  # fmt: skip


@board.command()
def load(program: Program, port: Port, baud: Baud = DEFAULT_BAUD, patience: Patience = None) -> None:
    """Put all of PROGRAM into the board's memory and its core before the first tick, without running it."""
    image, _ = load_program(program)
    with _session(port, baud, patience) as session:
        machine = Board(session, keeps_beams=False)
        try:
            machine.load(image)
        except ImageError as error:
            fail(f"{program}: {error}")
        machine.leave()
    typer.echo(f"{program}: loaded, {len(machine.leaves())} leaves")


@board.command()
def go(
    port: Port,
    baud: Baud = DEFAULT_BAUD,
    patience: Patience = None,
    ticks: Annotated[int, typer.Option(help="Stop after this many instructions.", min=1, max=(1 << 32) - 1)] = 1 << 31,
) -> None:
    """Let the core run on from where it stands until it stops. Nobody serves its devices: `vac board run` does."""
    registers = [(REGISTER_BASE + HostRegister.BEAM_CONTROL, [0]), (REGISTER_BASE + HostRegister.BUDGET, [ticks])]
    with _session(port, baud, patience) as session:
        session.run(registers)
        while LinkStatus.STOPPED not in session.poll():
            pass
        words = session.read(REGISTER_BASE, len(HostRegister))
    tick = words[HostRegister.TICK_LOW] | words[HostRegister.TICK_HIGH] << 32
    typer.echo(f"tick {tick:,}, pc {words[HostRegister.PC]:#x}; stopped: {_why(words)}")


@board.command()
def read(
    address: Annotated[str, typer.Argument(help="Word address of the host port, such as 0x300; or `frame:N`.")],
    port: Port,
    count: Annotated[int, typer.Argument(help="Words.", min=1, max=_MOST_WORDS)] = 1,
    baud: Baud = DEFAULT_BAUD,
    patience: Patience = None,
) -> None:
    """Print words of the host port: registers, stack RAM, windows, memory. The core must be stopped."""
    first = _address(address, count)
    with _session(port, baud, patience) as session:
        words = session.read(first, count)
    for at in range(0, count, _DUMP_WORDS):
        typer.echo(f"{first + at:06x}  " + " ".join(f"{word:08x}" for word in words[at : at + _DUMP_WORDS]))


@board.command()
def write(
    address: Annotated[str, typer.Argument(help="Word address of the host port, such as 0x300; or `frame:N`.")],
    words: Annotated[list[str], typer.Argument(help="Words of 32 bits, such as 0x1234.")],
    port: Port,
    baud: Baud = DEFAULT_BAUD,
    patience: Patience = None,
) -> None:
    """Write words from an address of the host port on. The core must be stopped."""
    values = [_number(word, 32) for word in words]
    first = _address(address, len(values))
    with _session(port, baud, patience) as session:
        session.write([(first, values)])


@board.command()
def halt(port: Port, baud: Baud = DEFAULT_BAUD, patience: Patience = None) -> None:
    """Stop the core before its next instruction."""
    with _session(port, baud, patience) as session:
        Board.identify(session)
    typer.echo("stopped")


@board.command()
def script(
    program: Program,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.", metavar="OUT")],
    starts: Annotated[bool, typer.Option("--start/--no-start", help="Start it, too.")] = True,
) -> None:
    """Write what is to be typed at the boot monitor to load PROGRAM."""
    image, _ = load_program(program)
    try:
        write_whole(output, monitor_script(image, starts=starts))
    except UnfitProgram as error:
        fail(f"{program} does not fit the monitor: {error}")


def _why(words: list[int]) -> str:
    code, trap, fault, _ = words[HostRegister.STOP].to_bytes(4, "little")
    slot, number = words[HostRegister.FAULT_SLOT], words[HostRegister.FAULT_LEAF]
    reason = _STOPS[StopCode(code)]
    if code == StopCode.TRAPPED:
        return f"{reason}: {Trap(trap).name}"
    if code == StopCode.PAGE:
        return f"{reason}: leaf {number} of slot {slot} ({FaultKind(fault & 3).name})"
    return f"{reason}: number {slot:#x}" if code == StopCode.EVENT else reason


def _number(text: str, bits: int) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        fail(f"{text!r} is no number; write 12 or 0x1F")
    if not 0 <= value < 1 << bits:
        fail(f"{text} does not fit {bits} bits")
    return value


def _address(text: str, count: int) -> int:
    frame = text.removeprefix("frame:")
    first = _number(frame, 16) * 1024 + FRAME_RAM_BASE if frame != text else _number(text, HOST_ADDRESS_BITS)
    if first + count > 1 << HOST_ADDRESS_BITS:
        fail(f"{count} words from {first:#x} reach beyond the host port's {HOST_ADDRESS_BITS} address bits")
    return first
