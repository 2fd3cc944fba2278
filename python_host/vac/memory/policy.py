"""What to keep in frames and what to fetch ahead, decided from (machine, page) accesses alone.

Nothing here moves data, so that recorded accesses can be replayed through it: `access` says what has to leave and what
is worth fetching, and the caller does it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from .eviction import S3Fifo

PageId = tuple[int, int]
"""Machine, and a page number that is unique in it and counts up along a shard."""


@dataclass(frozen=True)
class PolicyOptions:
    """small_share: first size of the small queue as part of the frames. is_adaptive: whether that size may change."""

    small_share: float = 0.1
    is_adaptive: bool = True


@dataclass(slots=True)
class Decision:
    """What an access leads to. is_hit: the page has a frame. evicted: pages that lose theirs, in this order, before
    anything is fetched. fetched: pages that get one ahead of their use, the demanded page not among them."""

    is_hit: bool
    evicted: list[PageId] = field(default_factory=list)
    fetched: list[PageId] = field(default_factory=list)


def _exists(page: PageId) -> bool:
    return True


class PagingPolicy:
    """frames: pages that may have a frame at a time. exists: whether a page is worth fetching."""

    def __init__(
        self, frames: int, options: PolicyOptions | None = None, exists: Callable[[PageId], bool] = _exists
    ) -> None:  # fmt: skip
        self.frames = frames
        self.options = options or PolicyOptions()
        self._exists = exists
        self._queue: S3Fifo[PageId] = S3Fifo(frames, self.options.small_share, self.options.is_adaptive)
        self._pinned: dict[PageId, int] = {}

    def __contains__(self, page: PageId) -> bool:
        return page in self._queue

    def access(self, machine: int, number: int, kept: Collection[PageId] = ()) -> Decision:
        """A machine uses a page. kept: pages that must not be given up for it."""
        page = (machine, number)
        if self._queue.use(page):
            return Decision(is_hit=True)
        decision = Decision(is_hit=False)
        self._make_room(1, kept, decision)
        self._queue.insert(page)
        return decision

    def _make_room(self, count: int, kept: Collection[PageId], decision: Decision) -> None:
        while len(self._queue) + count > self.frames:
            victim = self._queue.victim(lambda page: page in self._pinned or page in kept)
            if victim is None:
                return
            decision.evicted.append(victim)

    def pin(self, page: PageId) -> None:
        """The page is not given up until it has been unpinned as often."""
        self._pinned[page] = self._pinned.get(page, 0) + 1

    def unpin(self, page: PageId) -> None:
        """Undoes one `pin`."""
        count = self._pinned.get(page, 0) - 1
        if count > 0:
            self._pinned[page] = count
        else:
            self._pinned.pop(page, None)

    def remove(self, page: PageId) -> None:
        """The page has no frame any more, or never got one."""
        self._queue.remove(page)

    def forget(self, machine: int) -> None:
        """A machine has ended, and all its pages with it."""
        for page in [page for page in self._queue if page[0] == machine]:
            self._queue.remove(page)

    def next_victims(self, count: int) -> list[PageId]:
        """Pages that are close to losing their frames."""
        return self._queue.next_victims(count)
