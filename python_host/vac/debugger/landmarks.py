"""What happened in a run, for its timeline: requests to the host, milestones, the end."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from ..devices.device import REGISTERS
from ..history.history import History
from ..isa.beam import BeamFlag
from ..isa.ports import SYSTEM_CALLS, Device
from ..machine.protocol import EventKind
from ..machine.state import Status
from .views import Landmark

_MILESTONES = {BeamFlag.MARK: "mark", BeamFlag.EMIT: "emit", BeamFlag.JOIN: "join"}
_SCAN_TICKS = 1 << 23
_MOST_KINDS = 16


class Landmarks:
    """Milestones stand in beams, which are looked through once, a stretch at each call of `scan`."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.scanned = history.first_tick
        """Milestones before this tick are known."""
        self._ticks: list[int] = []
        self._kinds: list[str] = []
        self._furthest = history.first_tick

    @property
    def furthest(self) -> int:
        """The last tick, or as far as the run has been visited, at least one past the first."""
        self._furthest = max(self._furthest, self._history.tick, self._history.first_tick + 1)
        known = self._history.last_tick
        return max(self._history.first_tick + 1, self._furthest if known is None else known)

    def scan(self, ticks: int = _SCAN_TICKS) -> None:
        """Looks for milestones in the next stretch of what has been visited."""
        last = min(self.furthest, self.scanned + ticks)
        meant = int(BeamFlag.MARK | BeamFlag.EMIT | BeamFlag.JOIN)
        for tick, beams in self._history.beams(self.scanned, last):
            flags = beams["flags"]
            found = np.flatnonzero(flags & meant)
            self._ticks += (found + tick).tolist()
            self._kinds += [_kind_of(each) for each in flags[found].tolist()]
            self.scanned = tick + len(beams)
        self.scanned = max(self.scanned, last)

    def kinds(self, first: int, last: int) -> set[str]:
        """Kinds of what happened at the ticks from `first` to `last` - 1; of many requests, those of the first few."""
        log = self._history.log
        found: set[str] = set()
        index = bisect_left(log, first, key=lambda entry: entry.tick)
        while index < len(log) and log[index].tick < last and len(found) < len(EventKind):
            found.add(log[index].kind.value)
            index += 1
            if index % _MOST_KINDS == 0:
                break
        low, high = bisect_left(self._ticks, first), bisect_left(self._ticks, last)
        found.update(self._kinds[low : min(high, low + _MOST_KINDS)])
        return found

    def near(self, tick: int, count: int = 20) -> list[Landmark]:
        """The landmarks around a tick, in order: half of `count` before, half from there on."""
        log, half = self._history.log, count // 2
        middle = bisect_left(log, tick, key=lambda entry: entry.tick)
        found = [
            Landmark(entry.tick, entry.kind.value, request_name(entry.kind, entry.number))
            for entry in log[max(0, middle - half) : middle + half]
        ]
        middle = bisect_left(self._ticks, tick)
        for index in range(max(0, middle - half), min(len(self._ticks), middle + half)):
            found.append(Landmark(self._ticks[index], self._kinds[index], self._kinds[index]))
        found.sort(key=lambda landmark: landmark.tick)
        middle = next((i for i, landmark in enumerate(found) if landmark.tick >= tick), len(found))
        return found[max(0, middle - half) : middle + half]

    def end(self) -> Landmark | None:
        """The end of the run, where the cursor stands on it."""
        history = self._history
        if history.last_tick is None or history.tick != history.last_tick:
            return None
        state = history.state
        if state.status is Status.TRAPPED:
            return Landmark(history.tick, "trap", state.trap.name)
        return Landmark(history.tick, "halt", "halted") if state.status is Status.HALTED else None


def request_name(kind: EventKind, number: int) -> str:
    """A request in words: ``sys write``, ``out CONSOLE 0x00``."""
    if kind is EventKind.SYSTEM_CALL:
        name = SYSTEM_CALLS[number].name if number < len(SYSTEM_CALLS) else f"{number}"
        return f"sys {name}"
    device = next((device.name for device in Device if number in range(device, device + REGISTERS)), "device")
    return f"{kind.value} {device} {number:#04x}"


def _kind_of(flags: int) -> str:
    return next(kind for flag, kind in _MILESTONES.items() if flags & flag)
