"""Other futures of a run, from any tick: with cells or bytes changed, or other input. What was run stays as it was.

A dream is a run of its own that begins at that tick: the devices are brought there by playing the run's log back to
them, then a live host goes on from the changed state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..checkpoint.point import Point
from ..devices.device import DeviceStateError
from ..engines.registry import create_machine
from ..history.history import History
from ..host.input_log import InputLog
from ..isa.limits import CELL_MASK
from ..machine.state import Status
from ..package.errors import PackageError
from ..recording.errors import RecordingError
from ..recording.recorder import place_host
from ..recording.start import CONSOLE, patched_memory, with_fresh_input
from .errors import DebuggerError
from .opening import Build, Program
from .output import Output
from .places import Bytes, StackCell

_SLICE_TICKS = 1 << 24
"""Played back to the devices before it is asked whether to stop."""


@dataclass(frozen=True)
class Change:
    """place: a cell, bytes of memory, or None for the pc. data: little-endian, as long as the place; of a cell and the
    pc four bytes."""

    place: StackCell | Bytes | None
    data: bytes

    @property
    def text(self) -> str:
        value = f"{int.from_bytes(self.data, 'little'):#x}"
        if isinstance(self.place, Bytes):
            value = value if len(self.data) == 4 else f"hex:{self.data.hex()}"
            return f"{self.place.slot}:{self.place.offset:#x}={value}"
        return f"{self.place or 'pc'}={value}"


@dataclass
class Run:
    """number: 0 is what the session was opened with. parent, tick: where it comes from. what: what is other in it.
    cursor: tick at which one stood in it when one left."""

    number: int
    program: Program
    parent: int | None = None
    tick: int = 0
    what: str = ""
    cursor: int = 0


def dream_of(program: Program, changes: Sequence[Change], console_input: bytes | None) -> Program:
    """A run that begins where the program's history stands. console_input: in place of what is left of its input.

    Raises DebuggerError where there is no future, or the run has no host to go on with; Interrupted; what playing the
    run back raises.
    """
    history = program.history
    point = history.point()
    if program.build is None:
        raise DebuggerError("this run has no devices to go on with: a case of lockstep has only its answers")
    if point.state.status is not Status.RUNNING:
        raise DebuggerError(f"the machine has stopped here ({point.state.status.name.lower()}); go to a tick before")
    try:
        return _begun(program, program.build, point, changes, console_input)
    except (DeviceStateError, PackageError, RecordingError) as error:
        raise DebuggerError(f"there is no going on from here: {error}") from error


def _begun(
    program: Program, build: Build, point: Point, changes: Sequence[Change], console_input: bytes | None
) -> Program:
    history = program.history
    saved = _devices_at(program, build, point.tick)
    if console_input is not None:
        if CONSOLE not in saved["devices"]:
            raise DebuggerError("this program has no console to give other input to")
        saved = with_fresh_input(saved)
    memory = patched_memory(
        point.memory, [(c.place.slot, c.place.offset, c.data) for c in changes if isinstance(c.place, Bytes)]
    )
    cells, pc = list(point.state.cells), point.state.pc
    for change in changes:
        if isinstance(change.place, StackCell):
            cells[change.place.index] = int.from_bytes(change.data, "little") & CELL_MASK
        elif change.place is None:
            pc = int.from_bytes(change.data, "little")
    # A log of its own: nothing has been answered in it yet.
    origin = replace(
        point, state=replace(point.state, cells=cells, pc=pc), memory=memory, position=0, host={**saved, "answered": 0}
    )
    output = Output()
    host = build(create_machine(history.engine, keeps_beams=False), None, console_input, output.take)
    place_host(host, origin)
    output.log = host.input_log
    following = History.following(host, history.image, history.engine, origin=origin)
    return replace(program, history=following, output=output, comparison=None, beginnings=(origin,))


def _devices_at(program: Program, build: Build, tick: int) -> dict[str, Any]:
    """What the devices hold before the instruction at a tick: the log is played back to them."""
    history = program.history
    host = build(create_machine(history.engine, keeps_beams=False), InputLog(list(history.log)), None, lambda _: None)
    starts: list[Point] = [point for point in program.beginnings if point.tick <= tick]
    if starts:
        place_host(host, max(starts, key=lambda point: point.tick))
    here = host.machine.state().tick
    while here < tick:
        history.check()
        host.run(min(tick, here + _SLICE_TICKS))
        here = host.machine.state().tick
    return host.save()
