"""A debugging session: one run, a place in it, breakpoints, and questions about how things came to be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..history.conditions import AnyOf, AtPc, Condition
from ..history.errors import Interrupted
from ..history.last_write import Write
from ..image.decode import decode
from ..isa.encoding import MAX_LENGTH
from ..isa.instruction import Unit
from ..isa.limits import CODE_SLOT, DATA_STACK_CELLS
from ..machine.protocol import StopReason
from ..machine.state import State
from .breakpoints import Breakpoint, parse_breakpoint
from .dreams import Change, Run, dream_of
from .errors import DebuggerError
from .landmarks import Landmarks
from .opening import Program, open_program
from .places import Bytes, Places, StackCell
from .views import CodeLine, Frame, frames

if TYPE_CHECKING:
    from ..lineage.lineage import Lineage, Node
    from ..lineage.slicer import Options

_CALLS = (Unit.CALL, Unit.TABLE_CALL)
_SPAN = 1 << 18
"""Ticks that are gone through before the first look at whether to stop."""
MOST_WRITES = 200_000
"""Of a lineage where nothing else is said: more than one reads, and found in a second or two."""
_PART_SECONDS = (0.1, 0.4)


@dataclass(frozen=True)
class Stopped:
    """Why a movement ended at this tick. reason: "there" where it was to end; "breakpoint", with those; "begin" or
    "end" of the run; "interrupted"."""

    tick: int
    reason: str
    breakpoints: tuple[int, ...] = ()


class Session:
    """program: what is debugged. It stands at a tick, before the instruction at `state.pc`; movements go anywhere.

    breakpoints: by number. Movements raise what those of `History` raise; texts that mean nothing, DebuggerError.
    Only `interrupt` may be called while another thread is in a method.
    """

    def __init__(self, program: Program) -> None:
        self.runs = {0: Run(0, program)}
        """What the session was opened with, and the dreams, by number."""
        self._stand_in(self.runs[0])
        self.breakpoints: dict[int, Breakpoint] = {}
        self._next_number = 1
        self._interrupted = threading.Event()
        self.poll: Callable[[], bool] | None = None
        """Asked now and then in a long movement; True ends it, as `interrupt` does."""

    @staticmethod
    def open(path: Path | str, **options: Any) -> Session:
        """A session of a package, image, source or recording; options as for `open_program`."""
        return Session(open_program(Path(path), **options))

    def _stand_in(self, run: Run) -> None:
        self.run = run
        self.program = run.program
        self.history = run.program.history
        self.source = run.program.source
        self.places = Places(self.history, self.source)
        self.landmarks = Landmarks(self.history)
        self._came_from: list[int] = []

    # ---- where it stands -----------------------------------------------------------------------------------------

    @property
    def tick(self) -> int:
        """The cursor. After a trap one more than the machine's own tick: the trap took none."""
        return self.history.tick

    @property
    def state(self) -> State:
        return self.history.state

    @property
    def status(self) -> str:
        """ "running", "halted", "trapped: BOUNDS", or "waiting" where a recording ends at a request."""
        state = self.state
        if state.trap:
            return f"trapped: {state.trap.name}"
        if self.history.reason is StopReason.EVENT:
            return "waiting for an answer that was never given"
        return state.status.name.lower()

    def output(self) -> bytes:
        """The last 16 KiB that the program had written to its console here."""
        return self.program.output.before(self.history)

    # ---- movements -----------------------------------------------------------------------------------------------

    def step(self, ticks: int = 1) -> Stopped:
        """So many instructions on."""
        return self._jump(self.tick + ticks)

    def step_back(self, ticks: int = 1) -> Stopped:
        """So many instructions back, or to the beginning."""
        wanted, first = self.tick - ticks, self.history.first_tick
        return self._jump(wanted) if wanted >= first else self._stopped_at_begin()

    def seek(self, tick: int) -> Stopped:
        """To a tick; beyond the end, to the end."""
        self._remember()
        if tick < self.history.first_tick:
            raise DebuggerError(f"the run begins at tick {self.history.first_tick}; tick {tick} is before that")
        return self._jump(tick)

    def start(self) -> Stopped:
        """To the first tick."""
        return self.seek(self.history.first_tick)

    def end(self) -> Stopped:
        """To the end of the run, past all breakpoints."""
        self._remember()
        return self._search(None, forwards=True)

    def resume(self) -> Stopped:
        """On to the next breakpoint, or the end."""
        return self._to_breakpoint(forwards=True)

    def reverse(self) -> Stopped:
        """Back to the last breakpoint before, or the beginning."""
        return self._to_breakpoint(forwards=False)

    def run_to(self, condition: Condition) -> Stopped:
        """On to the next tick at which it holds, past all breakpoints; where it never does, to the end."""
        self._remember()
        return self._search(condition, forwards=True)

    def run_back_to(self, condition: Condition) -> Stopped:
        """Back to the last tick before at which it holds, past all breakpoints; else to the beginning."""
        self._remember()
        return self._search(condition, forwards=False)

    def step_over(self) -> Stopped:
        """One instruction on; of a call, on to where it has returned."""
        here = self.state
        instruction = self.history.instruction()
        if instruction is None or instruction.row.unit not in _CALLS:
            return self.step()
        return self._until_depth(instruction.next_pc, here.rp, forwards=True)

    def step_out(self) -> Stopped:
        """On to where the function that it stands in has returned; from the outermost, to the end."""
        here = self.state
        if here.fp == 0:
            return self.end()
        caller, _, _ = frames(here.cells, here.pc, here.fp, here.rp)[1]
        return self._until_depth(caller, here.fp - 1, forwards=True)

    def step_back_out(self) -> Stopped:
        """Back to the call of the function that it stands in; from the outermost, to the beginning."""
        here = self.state
        if here.fp == 0:
            return self.start()
        (after, _, _), depth = frames(here.cells, here.pc, here.fp, here.rp)[1], here.fp - 1
        calls = [pc for pc in range(max(0, after - MAX_LENGTH), after) if self._is_call(pc, after)]
        return self._until_depth(calls, depth, forwards=False)

    def go_back(self) -> Stopped:
        """To where it stood before the last long movement."""
        if not self._came_from:
            raise DebuggerError("there is no place to go back to")
        return self._jump(self._came_from.pop())

    def interrupt(self) -> None:
        """Ends what another thread is in: a movement at some tick between, a question with Interrupted."""
        self._interrupted.set()

    def _is_interrupted(self) -> bool:
        return self._interrupted.is_set() or (self.poll is not None and self.poll())

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """What is done in it can be ended by `interrupt`, with Interrupted."""
        self._interrupted.clear()
        self.history.is_interrupted = self._is_interrupted
        try:
            yield
        finally:
            self.history.is_interrupted = None

    def _remember(self) -> None:
        if not self._came_from or self._came_from[-1] != self.tick:
            self._came_from.append(self.tick)

    def _jump(self, tick: int) -> Stopped:
        is_long = abs(tick - self.tick) > _SPAN
        try:
            with self._interruptible() if is_long else nullcontext():
                self.history.seek(tick)
        except Interrupted:
            return self._stopped("interrupted")
        return self._stopped("there" if self.tick == tick else "end")

    def _stopped_at_begin(self) -> Stopped:
        self.history.seek(self.history.first_tick)
        return self._stopped("begin")

    def _is_call(self, pc: int, after: int) -> bool:
        found = decode(self.history.read(CODE_SLOT, pc, MAX_LENGTH), 0, pc)
        return found is not None and found.row.unit in _CALLS and found.next_pc == after

    def _until_depth(self, pc: int | list[int], rp: int, forwards: bool) -> Stopped:
        """To this place at this depth of the return stack, or less deep: then it left by another way."""
        self._remember()
        condition = AtPc(*pc) if isinstance(pc, list) else AtPc(pc)
        while True:
            stopped = self._search(condition, forwards)
            if stopped.reason != "there" or self.state.rp <= rp:
                return stopped

    def _to_breakpoint(self, forwards: bool) -> Stopped:
        self._remember()
        chosen = {n: b.forward if forwards else b.backward for n, b in self.breakpoints.items()}
        stopped = self._search(AnyOf(*chosen.values()) if chosen else None, forwards)
        if stopped.reason != "there":
            return stopped
        tick = self.tick
        hit = tuple(n for n, condition in chosen.items() if condition.first(self.history, tick, tick) is not None)
        self.history.seek(tick)
        return self._stopped("breakpoint", hit)

    def _search(self, condition: Condition | None, forwards: bool) -> Stopped:
        """Goes in parts, each from where the one before came to, so that a condition is not asked far ahead of it."""
        try:
            with self._interruptible():
                return self._search_in_parts(condition, forwards)
        except Interrupted:
            return self._stopped("interrupted")

    def _search_in_parts(self, condition: Condition | None, forwards: bool) -> Stopped:
        history, span = self.history, _SPAN
        while True:
            history.check()
            begun, before = time.monotonic(), self.tick
            limit = before + span if forwards else max(history.first_tick, before - span)
            if condition is None:
                history.seek(limit)
            elif history.run_to(condition, limit) if forwards else history.run_back_to(condition, limit):
                return self._stopped("there")
            if forwards and self.tick == history.last_tick:
                return self._stopped("end")
            if not forwards and self.tick == history.first_tick:
                return self._stopped("begin")
            seconds = time.monotonic() - begun
            if seconds < _PART_SECONDS[0]:
                span *= 2
            elif seconds > _PART_SECONDS[1]:
                span = max(span // 2, 1)

    def _stopped(self, reason: str, breakpoints: tuple[int, ...] = ()) -> Stopped:
        return Stopped(self.tick, reason, breakpoints)

    # ---- other futures -------------------------------------------------------------------------------------------

    def dream(self, changes: Sequence[Change] = (), console_input: bytes | None = None) -> Run:
        """Goes over to another future of the run, from this tick: with these changes, and this input in place of what
        is left. The run that it was in stays. Raises DebuggerError where there is none, Interrupted, OSError."""
        with self._interruptible():
            program = dream_of(self.program, changes, console_input)
        what = [change.text for change in changes] + ([] if console_input is None else ["other input"])
        run = Run(max(self.runs) + 1, program, self.run.number, self.tick, ", ".join(what) or "nothing changed")
        self.runs[run.number] = run
        self.run.cursor = self.tick
        self._stand_in(run)
        return run

    def go_over(self, number: int) -> Stopped:
        """To another of the runs, where one stood in it."""
        if number not in self.runs:
            raise DebuggerError(f"there is no run {number}; `dreams` lists them")
        self.run.cursor = self.tick
        self._stand_in(self.runs[number])
        return self._stopped("there")

    def forget(self, number: int) -> list[int]:
        """Drops a dream and all that were dreamt from it; their numbers. One that one stands in is left for the run
        that it was dreamt from."""
        if number not in self.runs or not number:
            raise DebuggerError(f"{number} is no dream; `dreams` lists them")
        parent, dropped = self.runs[number].parent, {number}
        for run in self.runs.values():  # dreams come after what they were dreamt from
            if run.parent in dropped:
                dropped.add(run.number)
        if self.run.number in dropped:
            self.go_over(parent or 0)
        for each in dropped:
            del self.runs[each]
        return sorted(dropped)

    # ---- breakpoints ---------------------------------------------------------------------------------------------

    def parse(self, words: list[str]) -> Breakpoint:
        """A condition as people write it (`vac.debugger.breakpoints`)."""
        return parse_breakpoint(words, self.places)

    def add_breakpoint(self, breakpoint: Breakpoint | str) -> int:
        """Its number. A text is read as `parse` does."""
        if isinstance(breakpoint, str):
            breakpoint = self.parse(breakpoint.split())
        number, self._next_number = self._next_number, self._next_number + 1
        self.breakpoints[number] = breakpoint
        return number

    def remove_breakpoint(self, number: int) -> None:
        if number not in self.breakpoints:
            raise DebuggerError(f"there is no breakpoint {number}")
        del self.breakpoints[number]

    def toggle_at(self, pc: int) -> int | None:
        """Removes the breakpoints at this very address, or sets one and returns its number."""
        here = [number for number, each in self.breakpoints.items() if each.pcs == (pc,)]
        for number in here:
            del self.breakpoints[number]
        return None if here else self.add_breakpoint(Breakpoint.at([pc], self.source.name(pc)))

    # ---- questions -----------------------------------------------------------------------------------------------

    def why(self, place: Bytes | StackCell, options: Options | None = None) -> Lineage:
        """Why it is what it is at the cursor, down to inputs (`vac.lineage`), or to where MOST_WRITES writes have been
        found; options: say otherwise. Raises LineageError, Interrupted."""
        from ..lineage.slicer import Options, why

        if isinstance(place, Bytes):
            target = f"mem:{place.slot}:{place.offset}:{place.length}"
        elif place.index < DATA_STACK_CELLS:
            target = f"stack:{self.state.sp - 1 - place.index}"
        else:
            target = f"return:{place.index - DATA_STACK_CELLS}"
        with self._interruptible():
            lineage = why(self.history, target, options=options or Options(limit=MOST_WRITES))
        lineage.source_of = self.source.lines()
        return lineage

    def last_write_of_cell(self, cell: StackCell) -> Node | None:
        """What wrote a cell of the stacks last before the cursor; None where nothing did."""
        from ..lineage.slicer import Options

        lineage = self.why(cell, Options(limit=1))
        writes = [lineage.node(source) for source, _ in lineage.sources(lineage.root)]
        return writes[0] if writes and writes[0].tick >= 0 else None

    def last_write(self, place: Bytes) -> Write | None:
        """The last write to any of these bytes before the cursor, which stays. Raises Interrupted."""
        with self._interruptible():
            return self.history.last_write(place.slot, place.offset, place.length)

    def who_wrote(self, place: Bytes | StackCell) -> Write | Node | None:
        """Goes to the last write of a place: the writing instruction comes next. None, and it stays, where there is
        none."""
        found = self.last_write_of_cell(place) if isinstance(place, StackCell) else self.last_write(place)
        if found:
            self.seek(found.tick)
        return found

    def read(self, place: Bytes) -> bytes:
        """Bytes of memory at the cursor."""
        return self.history.read(place.slot, place.offset, place.length)

    def frames(self) -> list[Frame]:
        """Functions that have not returned, the innermost first."""
        state = self.state
        return [
            Frame(pc, first, values, tuple(self.source.local_names(pc)))
            for pc, first, values in frames(state.cells, state.pc, state.fp, state.rp)
        ]

    def code(self, pc: int | None = None, before: int = 8, after: int = 16) -> list[CodeLine]:
        """Instructions around an address, by default where the machine is, decoded from memory as it is now."""
        state = self.state
        pc = state.pc if pc is None else pc
        marked = {each for breakpoint in self.breakpoints.values() for each in breakpoint.pcs}
        lines: list[CodeLine] = []
        addresses, last_span = self.source.around(pc, before, after), None
        for index, address in enumerate(addresses):
            following = addresses[index + 1] if index + 1 < len(addresses) else address + MAX_LENGTH
            length = max(0, min(MAX_LENGTH, state.code_length - address))
            content = self.history.read(CODE_SLOT, address, length)
            instruction = decode(content, 0, address)
            if instruction and not (address < pc < instruction.next_pc):
                content, text = content[: instruction.row.length], instruction.text(self.source.name)
            else:
                content = content[: min(following - address, MAX_LENGTH)]
                text = f".byte {', '.join(f'{byte:#04x}' for byte in content)}" if content else "(no code)"
            span = self.source.span(address)
            label = self.source.code_names.get(address, "")
            is_first = span is not None and span is not last_span
            last_span = span
            lines.append(
                CodeLine(address, content, text, label, span, is_first, address == state.pc, address in marked)
            )
        return lines
