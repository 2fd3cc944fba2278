"""Conditions at which a history stops: what holds before the instruction at a tick."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ..isa.beam import BeamFlag
from ..machine.protocol import EventKind
from ..machine.state import State, Status
from .tracing import Beams

if TYPE_CHECKING:
    from .expression import Expression
    from .history import History

_BACKWARDS = 1 << 20


class Condition(Protocol):
    """Both searches look at the ticks from `first` to `last`, both included, which the run has; they may move the
    cursor."""

    def first(self, history: History, first: int, last: int) -> int | None:
        """The earliest tick at which it holds."""
        ...

    def last(self, history: History, first: int, last: int) -> int | None:
        """The latest."""
        ...


def _parts_backwards(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Parts of a span, both ends included, the last one first."""
    while first <= last:
        start = max(first, last - _BACKWARDS + 1)
        yield start, last
        last = start - 1


class BeamCondition:
    """Holds `delay` ticks after the start of an instruction whose beam a subclass picks out."""

    delay = 0

    def pick(self, history: History, tick: int, beams: Beams) -> npt.NDArray[np.intp]:
        """Ascending indices of the beams that are meant; `tick` is that of the first."""
        raise NotImplementedError

    def holds_without_beam(self, state: State) -> bool:
        """Whether it holds at the end of a run, where no instruction retires any more."""
        return False

    def _without_beam(self, history: History, first: int, last: int) -> list[int]:
        """Where it holds of the ticks of which there is no beam: at the end of a run, before a trap, and before a
        request of a live run that is not answered yet."""
        found: list[int] = []
        for tick in range(first, last + 1):
            state = history.seek(tick)
            if history.tick != tick:
                break
            if self.holds_without_beam(state):
                found.append(tick)
        return found

    def first(self, history: History, first: int, last: int) -> int | None:
        covered = first
        for tick, beams in history.beams(max(0, first - self.delay), last + 1 - self.delay):
            found = self.pick(history, tick, beams)
            if len(found):
                return tick + int(found[0]) + self.delay
            covered = tick + len(beams) + self.delay
        at_end = self._without_beam(history, max(first, covered), last)
        return at_end[0] if at_end else None

    def last(self, history: History, first: int, last: int) -> int | None:
        for start, end in _parts_backwards(first, last):
            latest, covered = None, start
            for tick, beams in history.beams(max(0, start - self.delay), end + 1 - self.delay):
                found = self.pick(history, tick, beams)
                if len(found):
                    latest = tick + int(found[-1]) + self.delay
                covered = tick + len(beams) + self.delay
            at_end = self._without_beam(history, max(start, covered), end)
            if at_end:
                return at_end[-1]
            if latest is not None:
                return latest
        return None


class AtPc(BeamCondition):
    """The instruction at this address (or one of these) comes next."""

    def __init__(self, *pcs: int) -> None:
        self._pcs = np.array(pcs, np.uint32)

    def pick(self, history: History, tick: int, beams: Beams) -> npt.NDArray[np.intp]:
        if len(self._pcs) == 1:
            return np.flatnonzero(beams["pc"] == self._pcs[0])
        return np.flatnonzero(np.isin(beams["pc"], self._pcs))

    def holds_without_beam(self, state: State) -> bool:
        return state.pc in self._pcs


class AtOpcode(BeamCondition):
    """An instruction of this opcode comes next."""

    def __init__(self, opcode: int) -> None:
        self._opcode = opcode

    def pick(self, history: History, tick: int, beams: Beams) -> npt.NDArray[np.intp]:
        return np.flatnonzero(beams["opcode"] == self._opcode)


class Flagged(BeamCondition):
    """An instruction comes next whose beam has one of these flags: MARK, EMIT, JOIN, REFUSED and so on."""

    def __init__(self, flags: BeamFlag) -> None:
        self._flags = int(flags)

    def pick(self, history: History, tick: int, beams: Beams) -> npt.NDArray[np.intp]:
        return np.flatnonzero(beams["flags"] & self._flags)


class Written:
    """Bytes of a shard slot were written by the instruction before: by a store or by an answer."""

    def __init__(self, slot: int, offset: int, length: int = 1) -> None:
        self._place = (slot, offset, length)

    def first(self, history: History, first: int, last: int) -> int | None:
        from .last_write import find_first_write

        found = find_first_write(history, *self._place, max(0, first - 1), last)
        return None if found is None else found.tick + 1

    def last(self, history: History, first: int, last: int) -> int | None:
        from .last_write import find_last_write

        found = find_last_write(history, *self._place, last, not_before=max(0, first - 1))
        return None if found is None else found.tick + 1


class Requested:
    """A request to the host comes next. kind, number: which; None for any. number: device address or system call."""

    def __init__(self, kind: EventKind | None = None, number: int | None = None) -> None:
        self._kind = kind
        self._number = number

    def _is_meant(self, kind: EventKind, number: int) -> bool:
        return self._kind in (None, kind) and self._number in (None, number)

    def first(self, history: History, first: int, last: int) -> int | None:
        log = history.log
        for index in range(bisect_left(log, first, key=lambda entry: entry.tick), len(log)):
            if log[index].tick > last:
                return None
            if self._is_meant(log[index].kind, log[index].number):
                return log[index].tick
        asked = history.pending
        if asked and first <= asked.tick <= last and self._is_meant(asked.kind, asked.number):
            return asked.tick
        return None

    def last(self, history: History, first: int, last: int) -> int | None:
        log = history.log
        for index in range(bisect_right(log, last, key=lambda entry: entry.tick) - 1, -1, -1):
            if log[index].tick < first:
                return None
            if self._is_meant(log[index].kind, log[index].number):
                return log[index].tick
        return None


class Ended:
    """The machine has halted or trapped. status: one of them; by default either."""

    def __init__(self, status: Status | None = None) -> None:
        self._status = status

    def first(self, history: History, first: int, last: int) -> int | None:
        if last != history.last_tick:
            return None
        status = history.seek(last).status
        return last if status is not Status.RUNNING and self._status in (None, status) else None

    def last(self, history: History, first: int, last: int) -> int | None:
        return self.first(history, first, last)


class AtTick:
    def __init__(self, tick: int) -> None:
        self._tick = tick

    def first(self, history: History, first: int, last: int) -> int | None:
        return self._tick if first <= self._tick <= last else None

    def last(self, history: History, first: int, last: int) -> int | None:
        return self.first(history, first, last)


class Holds:
    """A function of the history says so, which stands at the tick in question. Asked at every tick: some ten thousand
    a second."""

    def __init__(self, predicate: Callable[[History], bool]) -> None:
        self._predicate = predicate

    def first(self, history: History, first: int, last: int) -> int | None:
        for tick in range(first, last + 1):
            history.seek(tick)
            if self._predicate(history):
                return tick
        return None

    def last(self, history: History, first: int, last: int) -> int | None:
        span = 256
        while first <= last:
            start = max(first, last - span + 1)
            found = None
            for tick in range(start, last + 1):
                history.seek(tick)
                if self._predicate(history):
                    found = tick
            if found is not None:
                return found
            last, span = start - 1, min(2 * span, 1 << 16)
        return None


class Where:
    """An expression over the state holds (`vac.history.expression`): asked inside the engine where it can be said in
    C, else as `Holds` does."""

    def __init__(self, expression: Expression) -> None:
        self._expression = expression
        self._search: tuple[History, Condition] | None = None

    def _searching(self, history: History) -> Condition:
        from .bisection import compiled

        if self._search is None or self._search[0] is not history:
            self._search = history, compiled(history, self._expression) or Holds(self._expression.holds)
        return self._search[1]

    def first(self, history: History, first: int, last: int) -> int | None:
        return self._searching(history).first(history, first, last)

    def last(self, history: History, first: int, last: int) -> int | None:
        return self._searching(history).last(history, first, last)


class AnyOf:
    """One of several."""

    def __init__(self, *conditions: Condition) -> None:
        self._conditions = conditions

    def first(self, history: History, first: int, last: int) -> int | None:
        found: int | None = None
        for condition in self._conditions:
            here = condition.first(history, first, last if found is None else found)
            found = here if here is not None else found
        return found

    def last(self, history: History, first: int, last: int) -> int | None:
        found: int | None = None
        for condition in self._conditions:
            here = condition.last(history, first if found is None else found, last)
            found = here if here is not None else found
        return found
