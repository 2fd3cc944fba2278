"""Sequences in what one machine uses: where it will go next, if it goes on as it went.

Three detectors, asked in this order. *Runs*: several strided sequences at once, interleaved at will. *Trend*: the
stride that most of the latest steps have, found by a majority vote. *History*: what followed this page the last time,
for repeating patterns that no stride describes.

A. Maruf, M. Chowdhury, "Effectively prefetching remote memory with Leap", USENIX ATC 2020 (the majority trend).
D. Joseph, D. Grunwald, "Prefetching using Markov predictors", ISCA 1997.
"""

from __future__ import annotations

from collections import OrderedDict, deque

MAX_STRIDE = 64
"""Pages. A longer step is a jump, not a stride."""
_RUNS = 16
_STEPS_UNSEEN = 8
_TREND_STEPS = 16
_SUCCESSORS = 4096
_SURE = 2


class Run:
    """A strided sequence. position: the page last seen in it. ahead: the farthest page asked for. length: steps seen,
    1 while a second page has only suggested the stride."""

    __slots__ = ("ahead", "length", "position", "stride")

    def __init__(self, position: int, stride: int) -> None:
        self.position = position
        self.stride = stride
        self.length = 1
        self.ahead = position


class RunDetector:
    """Finds up to 16 strided sequences in one stream of page numbers; the one longest out of use makes way."""

    def __init__(self) -> None:
        self._runs: OrderedDict[int, Run] = OrderedDict()
        """By the page that each is waiting for."""
        self._lone: OrderedDict[int, None] = OrderedDict()
        """Pages that belong to no run yet."""

    def find(self, page: int) -> Run | None:
        """The run that this page continues, moved on to it; None where none is sure."""
        run = self._runs.pop(page, None) or self._overtaken(page)
        if run is not None:
            run.position = page
            run.length += 1
            self._wait_for_next(run)
            return run
        start = self._nearest_lone(page)
        if start is not None:
            del self._lone[start]
            self._wait_for_next(Run(page, page - start))
        else:
            self._lone[page] = None
            if len(self._lone) > _RUNS:
                self._lone.popitem(last=False)
        return None

    def _wait_for_next(self, run: Run) -> None:
        self._runs[run.position + run.stride] = run
        if len(self._runs) > _RUNS:
            self._runs.popitem(last=False)

    def _overtaken(self, page: int) -> Run | None:
        """A run of which some steps were not seen, because their pages were there already."""
        for expected, run in self._runs.items():
            steps, rest = divmod(page - expected, run.stride)
            if not rest and 0 < steps <= _STEPS_UNSEEN and run.length > 2:
                # By chance a step of some run fits often: it must prove itself again.
                run.length //= 2
                return self._runs.pop(expected)
        return None

    def _nearest_lone(self, page: int) -> int | None:
        near = [each for each in self._lone if 0 < abs(page - each) <= MAX_STRIDE]
        return min(near, key=lambda each: abs(page - each)) if near else None


class TrendDetector:
    """The stride that more than half of the last steps have."""

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=_TREND_STEPS)
        self._last: int | None = None

    def step(self, page: int) -> int:
        """The trend after this page, 0 for none."""
        if self._last is not None:
            self._steps.append(page - self._last)
        self._last = page
        candidate, votes = 0, 0
        for each in self._steps:
            if votes == 0:
                candidate = each
            votes += 1 if each == candidate else -1
        if votes <= 0 or abs(candidate) > MAX_STRIDE or 2 * self._steps.count(candidate) <= _TREND_STEPS:
            return 0
        return candidate


class HistoryDetector:
    """What came after each page, the last time and the time before; the oldest of 4096 is forgotten."""

    def __init__(self) -> None:
        self._next: OrderedDict[int, tuple[int, int]] = OrderedDict()
        """Page to its successor and how often in a row it was that, up to 3."""
        self._last: int | None = None

    def step(self, page: int) -> None:
        """This page comes after the one before."""
        last, self._last = self._last, page
        if last is None or last == page:
            return
        known = self._next.pop(last, None)
        if known is None or (known[0] != page and known[1] <= 1):
            self._next[last] = page, 1
        elif known[0] == page:
            self._next[last] = page, min(3, known[1] + 1)
        else:
            self._next[last] = known[0], known[1] - 1
        if len(self._next) > _SUCCESSORS:
            self._next.popitem(last=False)

    def chain(self, page: int, count: int) -> list[int]:
        """Up to `count` pages that should follow, as far as each step was the same twice."""
        found: list[int] = []
        while len(found) < count:
            known = self._next.get(page)
            if known is None or known[1] < _SURE or known[0] in found:
                break
            page = known[0]
            found.append(page)
        return found
