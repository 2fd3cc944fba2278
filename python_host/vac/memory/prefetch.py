"""What to fetch ahead for one machine, how deep, and whether it is worth it: the prefetcher measures itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .predictability import Predictability
from .streams import HistoryDetector, Run, RunDetector, TrendDetector


class Detector(IntEnum):
    """Who foretold a page."""

    RUN = 0
    TREND = 1
    HISTORY = 2


@dataclass(frozen=True)
class PrefetchOptions:
    """depth: pages that a run may be ahead. stream_depth: the same for a machine that counts as a stream. Both at most;
    the frames limit them too. trend_depth, history_depth: for the other detectors; 0 turns one off."""

    depth: int = 16
    stream_depth: int = 32
    trend_depth: int = 4
    history_depth: int = 4


_STEP = 1 / 32
_GOOD = 0.75
_POOR = 0.5
_PROBE_EVERY = 32
"""A detector that is mostly wrong may try once in so many triggers."""
_STREAM_LENGTH = 16
"""Steps after which a single run counts as a stream, whatever else its machine does."""


@dataclass(slots=True)
class Forecast:
    """Pages to fetch, nearest first; who says so; whether they belong to a stream that will not come back."""

    pages: list[int]
    detector: Detector = Detector.RUN
    is_stream: bool = False


class Prefetcher:
    """Fed with triggers: misses, and first uses of pages that were fetched ahead."""

    def __init__(self, options: PrefetchOptions) -> None:
        self._options = options
        self._runs = RunDetector()
        self._trend = TrendDetector()
        self._history = HistoryDetector()
        self.predictability = Predictability()
        self.accuracy = [1.0, 0.75, 0.5]
        """By detector: moving share of the pages it asked for that were used."""
        self.triggers = 0
        """How many there have been."""

    def used(self, detector: Detector, was_used: bool) -> None:
        """What became of a page that was fetched ahead: used, or given up unused."""
        self.accuracy[detector] += _STEP * (was_used - self.accuracy[detector])

    def trigger(self, page: int, limit: int) -> Forecast:
        """The machine came to this page. limit: pages that may be ahead at a time."""
        self.triggers += 1
        run = self._runs.find(page)
        stride = self._trend.step(page)
        self._history.step(page)
        self.predictability.trigger(run is not None)
        is_stream = self.predictability.is_stream or (run is not None and run.length >= _STREAM_LENGTH)
        if run is not None:
            return Forecast(self._along(run, limit), Detector.RUN, is_stream)
        if stride:
            depth = self._depth(Detector.TREND, self._options.trend_depth, limit)
            if depth:
                return Forecast([page + stride * step for step in range(1, depth + 1)], Detector.TREND, is_stream)
        depth = self._depth(Detector.HISTORY, self._options.history_depth, limit)
        return Forecast(self._history.chain(page, depth), Detector.HISTORY, is_stream)

    def _along(self, run: Run, limit: int) -> list[int]:
        widest = self._options.stream_depth if self.predictability.is_stream else self._options.depth
        # Where runs have mostly been wrong, one must be longer before it is believed.
        accuracy = self.accuracy[Detector.RUN]
        if run.length < (2 if accuracy >= _GOOD else 3 if accuracy >= _POOR else 5):
            return []
        depth = min(widest, limit, 1 << min(run.length, 10))
        if not depth:
            return []
        stride = run.stride
        ahead = max(0, (run.ahead - run.position) // stride)
        # In batches: the next one when half of the last is used up.
        if ahead > depth // 2:
            return []
        pages = [run.position + stride * step for step in range(ahead + 1, depth + 1)]
        run.ahead = run.position + stride * depth
        return pages

    def _depth(self, detector: Detector, widest: int, limit: int) -> int:
        accuracy = self.accuracy[detector]
        widest = min(widest, limit)
        if accuracy >= _GOOD:
            return widest
        if accuracy >= _POOR:
            return max(1, int(widest * accuracy)) if widest else 0
        return min(1, widest) if self.triggers % _PROBE_EVERY == 0 else 0
