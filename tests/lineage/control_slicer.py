"""The forward slicer with decisions: every instruction also carries what decided that it was executed."""

from __future__ import annotations

from vac.image.control_flow import reached, successors, table_entries
from vac.image.image import Image
from vac.isa.instruction import Unit
from vac.machine.protocol import Answer, Event

from .forward_slicer import ForwardSlicer, Taint


def decided_by(image: Image) -> dict[int, set[int]]:
    """By pc, the branches that it depends on: from one of their ways the end cannot be reached without it, and from
    the branch itself it can."""
    targets = [target for target, _ in table_entries(image)]
    found = reached(image.code, [image.entry, *targets])
    ways = {pc: set(successors(each)) & found.keys() for pc, each in found.items()}
    for pc, each in found.items():
        if each.row.unit is Unit.TABLE_JUMP:
            ways[pc] |= set(targets) & found.keys()
    before: dict[int, set[int]] = {pc: set() for pc in ways}
    for pc, following in ways.items():
        for each in following:
            before[each].add(pc)
    ends = [pc for pc, following in ways.items() if not following]
    while endless := ways.keys() - _reaching(ends, before, None):
        ends.append(max(endless))
    depends: dict[int, set[int]] = {}
    for pc in ways:
        reaching = _reaching(ends, before, pc)
        depends[pc] = {
            branch for branch, following in ways.items()
            if len(following) > 1
            and any(each not in reaching for each in following)
            and (branch in reaching or branch == pc)
        }  # fmt: skip
    return depends


def _reaching(ends: list[int], before: dict[int, set[int]], without: int | None) -> set[int]:
    """Instructions from which an end can be reached without one of them."""
    found: set[int] = set()
    waiting = [end for end in ends if end != without]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += before[each] - {without}
    return found


class ControlSlicer(ForwardSlicer):
    """image: its code stays as it is. In a loop without a way out, the last instruction counts as one."""

    def __init__(self, image: Image) -> None:
        super().__init__()
        self._decided_by = decided_by(image)
        self._units = {
            pc: each.row.unit
            for pc, each in reached(image.code, [image.entry, *(t for t, _ in table_entries(image))]).items()
        }
        self._frames: list[tuple[Taint | None, dict[int, tuple[int, Taint]]]] = [(None, {})]
        """Of each open frame what its call used, and by branch the last tick that it was executed at."""
        self._pc = 0

    def _step(self, word: int, answer: Answer | None, event: Event | None = None) -> Event | None:
        self._pc, tick = self._state.pc, self._state.tick
        waits = super()._step(word, answer, event)
        if self._state.tick > tick:
            decisions = self._frames[-1][1]
            unit = self._units[self._pc]
            if unit in (Unit.BRANCH, Unit.TABLE_JUMP):
                decisions[self._pc] = (tick, self.used)
            elif unit in (Unit.CALL, Unit.TABLE_CALL):
                self._frames.append((self.used, {}))
            elif unit is Unit.RETURN:
                self._frames.pop()
        return waits

    def _here(self, tick: int) -> Taint:
        here = super()._here(tick)
        called, decisions = self._frames[-1]
        latest = [decisions[branch] for branch in self._decided_by[self._pc] if branch in decisions]
        if latest:
            return here.merged(max(latest, key=lambda each: each[0])[1])
        return here.merged(called) if called else here
