"""Which page to give up: S3-FIFO, with a small queue that finds its own size.

New pages pass through a small queue; only those used again there enter the main one, so that a page used once does
not push out pages that are used often. A page dropped from either queue is remembered for a while: one that returns
enters the main queue, and tells which of the two queues was too small.

J. Yang, Y. Zhang, Z. Qiu, Y. Yue, R. Vinayak, "FIFO queues are all you need for cache eviction", SOSP 2023.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from itertools import islice
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

MAX_HEAT = 3
SMALL_SHARE = 0.1
_EARLY = 0.1
_ENTERS_MAIN = 2
"""Uses in the small queue that make a page stay."""


class S3Fifo(Generic[Key]):
    """Order of eviction for pages in frames. It never decides how many pages there are: `insert` takes what comes, and
    `victim` is called when one must go.

    capacity: frames it plans with; may be changed. A page's heat is its uses since it last came round, 0 to 3.
    """

    def __init__(self, capacity: int, small_share: float = SMALL_SHARE, is_adaptive: bool = True) -> None:
        self.capacity = capacity
        self._share = small_share
        self._is_adaptive = is_adaptive
        self._small: OrderedDict[Key, int] = OrderedDict()
        self._main: OrderedDict[Key, int] = OrderedDict()
        self._dropped_small: OrderedDict[Key, int] = OrderedDict()
        self._dropped_main: OrderedDict[Key, int] = OrderedDict()
        """Pages given up, with how many had been given up from that queue before."""
        self._drops_small = 0
        self._drops_main = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._small or key in self._main

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def __iter__(self) -> Iterator[Key]:
        yield from self._main
        yield from self._small

    @property
    def small_share(self) -> float:
        """Part of the capacity that the small queue may have now, .02 to .5."""
        return self._share

    def heat(self, key: Key) -> int:
        """Uses since it last came round, 0 to 3; 0 for a page that is not here."""
        return self._small.get(key) or self._main.get(key) or 0

    def use(self, key: Key) -> bool:
        """A page was used. False when it is not here."""
        queue = self._small if key in self._small else self._main
        heat = queue.get(key)
        if heat is None:
            return False
        if heat < MAX_HEAT:
            queue[key] = heat + 1
        return True

    def insert(self, key: Key) -> None:
        """A page came in."""
        if self._returns(key) or (not self._drops_small and len(self._small) >= self._share * self.capacity):
            self._main[key] = 0
        else:
            self._small[key] = 0

    def _returns(self, key: Key) -> bool:
        small = self._dropped_small.pop(key, None)
        if small is not None:
            self._adapt(self._drops_small - small, 1.0)
            return True
        main = self._dropped_main.pop(key, None)
        if main is not None:
            self._adapt(self._drops_main - main, -1.0)
            return True
        return False

    def _adapt(self, drops_since: int, direction: float) -> None:
        # Only an early return says that a slightly longer queue would have kept the page.
        if self._is_adaptive and drops_since <= _EARLY * self.capacity:
            self._share = min(0.5, max(0.02, self._share + direction / max(self.capacity, 16)))

    def remove(self, key: Key) -> bool:
        """Takes a page out without remembering it. False when it is not here."""
        return self._small.pop(key, None) is not None or self._main.pop(key, None) is not None

    def victim(self, is_kept: Callable[[Key], bool]) -> Key | None:
        """Takes out the page to give up and returns it; None when all that are here must be kept."""
        for _ in range(5 * len(self) + 5):
            if len(self._small) >= self._share * self.capacity or not self._main:
                key = self._from_small(is_kept)
            else:
                key = self._from_main(is_kept)
            if key is not None:
                return key
        return None

    def _from_small(self, is_kept: Callable[[Key], bool]) -> Key | None:
        if not self._small:
            return None
        key, heat = self._small.popitem(last=False)
        if heat >= _ENTERS_MAIN:
            self._main[key] = 0
            return None
        if is_kept(key):
            self._small[key] = heat
            return None
        self._drops_small += 1
        self._dropped_small[key] = self._drops_small
        if len(self._dropped_small) > self.capacity * 0.9:
            self._dropped_small.popitem(last=False)
        return key

    def _from_main(self, is_kept: Callable[[Key], bool]) -> Key | None:
        key, heat = self._main.popitem(last=False)
        if heat or is_kept(key):
            self._main[key] = max(0, heat - 1)
            return None
        self._drops_main += 1
        self._dropped_main[key] = self._drops_main
        if len(self._dropped_main) > self.capacity * _EARLY:
            self._dropped_main.popitem(last=False)
        return key

    def next_victims(self, count: int) -> list[Key]:
        """Pages that are near the end of their queues: as things stand, these go first."""
        from_small = min(len(self._small), -(-count // 2))
        return [*islice(self._small, from_small), *islice(self._main, count - from_small)]
