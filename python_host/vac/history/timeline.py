"""The points that a history keeps: how far apart they are taken, and which go when there are too many.

*Kept* points cover the run. The distance between them follows from what taking one costs, so that taking them stays
within a share of the time that the run takes. When there are too many, or they hold too much memory, older ones are
thinned out: the further back, the wider apart, but nowhere wider than `widest_gap` until nothing else helps.
*Near* points lie close before places that were visited; the oldest visit is forgotten first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..checkpoint.point import Point
from ..isa.limits import LEAF_BYTES

_NEAR_POINTS = 64
_LEAST_SPACING = 1 << 12
_STATE_BYTES = 20_000
"""What the registers and stacks of a point take up in this process, about."""


@dataclass(frozen=True)
class Limits:
    """share: of run time, that taking points may cost. points, memory_bytes: kept at most, the second beyond what one
    copy of the machine's memory takes. widest_gap: ticks between neighbours that thinning keeps to while it can."""

    share: float = 0.03
    points: int = 1024
    memory_bytes: int = 1 << 29
    widest_gap: int = 1 << 24


class Timeline:
    """origin: the first point, which always stays. known: others that are kept from the start, in any order."""

    def __init__(self, origin: Point, limits: Limits, known: Iterable[Point] = ()) -> None:
        self._limits = limits
        self._kept = [origin, *sorted((p for p in known if p.moment > origin.moment), key=lambda point: point.moment)]
        self._ticks = [point.moment for point in self._kept]
        self._near: OrderedDict[int, Point] = OrderedDict()
        self._gap = limits.widest_gap
        self._written = 0
        """Leaves in all kept points together, and those keys that are in any."""
        self._ever: set[int] = set()
        self.spacing = 1 << 16
        """Ticks to the next point that is to be kept."""
        self.seconds_taking = 0.0
        self.seconds_running = 0.0

    @property
    def kept(self) -> list[Point]:
        """In the order of ticks; not to be changed."""
        return self._kept

    def at_or_before(self, tick: int, with_near: bool = True) -> Point:
        """The latest point up to this tick. Raises IndexError before the first."""
        index = bisect_right(self._ticks, tick)
        if not index:
            raise IndexError(f"nothing is known before tick {self._ticks[0]}")
        found = self._kept[index - 1]
        near = max((t for t in self._near if found.moment < t <= tick), default=None) if with_near else None
        if near is None:
            return found
        self._near.move_to_end(near)
        return self._near[near]

    def next_kept(self, tick: int) -> Point | None:
        """The first kept point behind this tick."""
        index = bisect_right(self._ticks, tick)
        return self._kept[index] if index < len(self._kept) else None

    def keep(self, point: Point) -> None:
        """Adds a kept point, or replaces the one at its tick. `point.written` counts from the kept point before."""
        index = bisect_right(self._ticks, point.moment)
        written = point.written or ()
        self._ever.update(written)
        self._written += len(written)
        if self._ticks[index - 1] == point.moment:
            self._written -= len(self._kept[index - 1].written or ())
            self._kept[index - 1] = point
            return
        self._kept.insert(index, point)
        self._ticks.insert(index, point.moment)
        if len(self._kept) > self._limits.points or self.held_bytes > self._limits.memory_bytes:
            self._thin()

    def add_near(self, point: Point) -> None:
        """`point.written` counts from the kept point before."""
        self._near[point.moment] = point
        self._near.move_to_end(point.moment)
        if len(self._near) > _NEAR_POINTS:
            self._near.popitem(last=False)

    @property
    def held_bytes(self) -> int:
        """What the kept points hold, at most, beyond one copy of what was ever written."""
        return _STATE_BYTES * len(self._kept) + LEAF_BYTES * (self._written - len(self._ever))

    def spend(self, running: float, taking: float) -> None:
        """Processor seconds: of the run itself, and of what keeping points cost beside it."""
        self.seconds_taking += taking
        self.seconds_running += running

    def allows(self, seconds: float) -> bool:
        """Whether so many more processor seconds stay within the share, or a quarter above it."""
        return self.seconds_taking + seconds <= 1.25 * self._limits.share * self.seconds_running

    def measure(self, ticks: int, running: float, taking: float) -> None:
        """A point was taken in `taking` processor seconds after `ticks` that took `running`."""
        self.spend(running, taking)
        if running > 0:
            wanted = taking / self._limits.share * ticks / running
            if self.seconds_taking > self._limits.share * self.seconds_running:
                wanted *= 2
            # Slowly towards it: a single measurement may have been disturbed.
            self.spacing = max(_LEAST_SPACING, min(int(wanted), 2 * self.spacing), self.spacing // 2)

    def _thin(self) -> None:
        goal = 3 * self._limits.points // 4
        least = self.spacing
        while True:
            self._thin_out(least)
            is_within = len(self._kept) <= goal and self.held_bytes <= 3 * self._limits.memory_bytes // 4
            if is_within or len(self._kept) < 4:
                break
            if least >= self._gap:
                self._gap *= 2
            least *= 2
        self.spacing = max(self.spacing, self._gap // 16)

    def _thin_out(self, least: int) -> None:
        """Drops points between neighbours that may be further apart: a quarter of their age, or `least`."""
        last = self._ticks[-1]
        kept = [self._kept[0]]
        for index in range(1, len(self._kept)):
            point = self._kept[index]
            following = self._ticks[index + 1] if index + 1 < len(self._ticks) else None
            allowed = min(self._gap, max(least, (last - point.moment) // 4))
            if following is not None and following - kept[-1].moment <= allowed:
                nearest = self._kept[index + 1]
                is_known = nearest.written is not None and point.written is not None
                both = (nearest.written or frozenset()) | (point.written or frozenset())
                self._kept[index + 1] = replace(nearest, written=both if is_known else None)
            else:
                kept.append(point)
        self._kept = kept
        self._ticks = [point.moment for point in kept]
        self._written = sum(len(point.written or ()) for point in kept)
