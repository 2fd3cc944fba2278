"""What to keep in frames and what to fetch ahead, decided from (machine, page) accesses alone.

Nothing here moves data, so that recorded accesses can be replayed through it: `access` says what has to leave and what
is worth fetching, and the caller does it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from .eviction import S3Fifo
from .prefetch import Detector, Prefetcher, PrefetchOptions

PageId = tuple[int, int]
"""Machine, and a page number that is unique in it and counts up along a shard."""

_PREFETCH = PrefetchOptions()
_MOST_AHEAD = 0.5
"""Part of the frames that pages ahead may take up."""
_PATIENCE = 128
"""Triggers of its machine after which a page that was fetched ahead counts as unused."""
_RESTORED_PATIENCE = 1024
"""The same for a page of a working set that was brought back, in addition."""


@dataclass(frozen=True)
class PolicyOptions:
    """small_share: first size of the small queue as part of the frames. is_adaptive: whether that size may change.
    prefetch: None to fetch nothing ahead. drops_behind: whether pages of streams go first once they are used."""

    small_share: float = 0.1
    is_adaptive: bool = True
    prefetch: PrefetchOptions | None = _PREFETCH
    drops_behind: bool = True


@dataclass(slots=True)
class Decision:
    """What an access leads to. is_hit: the page has a frame. was_ahead: it was fetched ahead, and this is its first
    use. evicted: pages that lose their frames, in this order, before anything is fetched. fetched: pages that get one
    ahead of their use, the demanded page not among them."""

    is_hit: bool
    was_ahead: bool = False
    evicted: list[PageId] = field(default_factory=list)
    fetched: list[PageId] = field(default_factory=list)


@dataclass(slots=True)
class _Ahead:
    """A page fetched ahead and not used yet. detector: None where a whole working set was brought back."""

    detector: Detector | None
    is_stream: bool
    since: int
    """Triggers of its machine before it was fetched."""


def _exists(page: PageId) -> bool:
    return True


class PagingPolicy:
    """frames: pages that may have a frame at a time. exists: whether a page is worth fetching.

    A page with a frame is in one of three places: *ahead* (fetched, not used yet), the *queue* (S3-FIFO), or *behind*
    (of a stream, and used). Pages behind go first, then pages ahead where there are too many, then the queue's.
    """

    def __init__(
        self, frames: int, options: PolicyOptions | None = None, exists: Callable[[PageId], bool] = _exists
    ) -> None:  # fmt: skip
        self.frames = frames
        self.options = options or PolicyOptions()
        self._exists = exists
        self._queue: S3Fifo[PageId] = S3Fifo(frames, self.options.small_share, self.options.is_adaptive)
        self._ahead: OrderedDict[PageId, _Ahead] = OrderedDict()
        self._behind: OrderedDict[PageId, int] = OrderedDict()
        """Used pages of streams, with their further uses."""
        self._dropped_behind: OrderedDict[PageId, None] = OrderedDict()
        self._waiting: dict[int, OrderedDict[int, None]] = {}
        """By machine: pages ahead, longest there first."""
        self._pinned: dict[PageId, int] = {}
        self._prefetchers: dict[int, Prefetcher] = {}
        self._used: dict[int, dict[int, None]] = {}
        """By machine: pages used since its working set was last taken."""
        self._working_sets: dict[int, list[int]] = {}

    def __contains__(self, page: PageId) -> bool:
        return page in self._queue or page in self._ahead or page in self._behind

    def __len__(self) -> int:
        return len(self._queue) + len(self._ahead) + len(self._behind)

    @property
    def small_share(self) -> float:
        """Part of the frames that new pages pass through now."""
        return self._queue.small_share

    # ---- accesses ----------------------------------------------------------------------------------------------------

    def access(self, machine: int, number: int, kept: Collection[PageId] = ()) -> Decision:
        """A machine uses a page. kept: pages that must not be given up for it."""
        page = (machine, number)
        used = self._used.get(machine)
        if used is None:
            used = self._used[machine] = {}
        used[number] = None
        if self._queue.use(page):
            return Decision(is_hit=True)
        if page in self._behind:
            self._use_behind(page)
            return Decision(is_hit=True)
        ahead = self._leave_ahead(page)
        decision = Decision(is_hit=ahead is not None, was_ahead=ahead is not None)
        prefetcher = self._prefetcher(machine)
        if ahead is not None and ahead.detector is not None and prefetcher:
            prefetcher.used(ahead.detector, True)
        forecast = prefetcher.trigger(number, self._ahead_limit()) if prefetcher else None
        is_stream = (ahead.is_stream if ahead else False) or bool(forecast and forecast.is_stream)
        if is_stream and prefetcher:
            prefetcher.predictability.dropped_page_returned(page in self._dropped_behind)
        if ahead is None:
            self._make_room(1, kept, decision)
        self._enter(page, is_stream and self.options.drops_behind and self._is_dropped_behind(machine))
        if prefetcher:
            self._lose_patience(machine, prefetcher)
        if prefetcher and forecast and forecast.pages:
            wanted = [(machine, each) for each in forecast.pages if each >= 0]
            wanted = [each for each in wanted if each not in self and self._exists(each)]
            self._bring_ahead(
                wanted, _Ahead(forecast.detector, forecast.is_stream, prefetcher.triggers), (*kept, page), decision
            )
        return decision

    def _is_dropped_behind(self, machine: int) -> bool:
        prefetcher = self._prefetcher(machine)
        return prefetcher is not None and not prefetcher.predictability.goes_round

    def _enter(self, page: PageId, goes_behind: bool) -> None:
        if goes_behind:
            self._behind[page] = 0
        else:
            self._queue.insert(page)

    def _use_behind(self, page: PageId) -> None:
        uses = self._behind.pop(page) + 1
        if uses > 2:
            self._queue.insert(page)
        else:
            self._behind[page] = uses

    def _prefetcher(self, machine: int) -> Prefetcher | None:
        if self.options.prefetch is None:
            return None
        found = self._prefetchers.get(machine)
        if found is None:
            found = self._prefetchers[machine] = Prefetcher(self.options.prefetch)
        return found

    def predictability(self, machine: int) -> int:
        """The machine's score, Q0.16; 0 where nothing is fetched ahead."""
        found = self._prefetchers.get(machine)
        return found.predictability.score if found else 0

    def is_stream(self, machine: int) -> bool:
        """Whether the machine counts as a stream, whose used pages go first."""
        found = self._prefetchers.get(machine)
        return found is not None and found.predictability.is_stream

    # ---- room --------------------------------------------------------------------------------------------------------

    def _ahead_limit(self) -> int:
        """Pages that one machine may have ahead."""
        return self.frames // 8

    def _bring_ahead(
        self, pages: list[PageId], ahead: _Ahead, kept: Collection[PageId], decision: Decision
    ) -> None:  # fmt: skip
        pages = pages[: max(0, self.frames // 2 - len(kept))]
        self._make_room(len(pages), kept, decision)
        for page in pages[: max(0, self.frames - len(self))]:
            self._join_ahead(page, ahead)
            decision.fetched.append(page)

    def _make_room(self, count: int, kept: Collection[PageId], decision: Decision) -> None:
        def is_kept(page: PageId) -> bool:
            return page in self._pinned or page in kept

        while len(self) + count > self.frames:
            victim = None
            if len(self._behind) > self.frames // 64:
                victim = self._oldest_behind(is_kept)
            if victim is None and len(self._ahead) > self.frames * _MOST_AHEAD:
                victim = self._oldest_ahead(is_kept)
            if victim is None:
                victim = self._queue.victim(is_kept)
            if victim is None:
                victim = self._oldest_behind(is_kept) or self._oldest_ahead(is_kept)
            if victim is None:
                return
            decision.evicted.append(victim)

    def _oldest_behind(self, is_kept: Callable[[PageId], bool]) -> PageId | None:
        for page in self._behind:
            if not is_kept(page):
                del self._behind[page]
                self._dropped_behind[page] = None
                if len(self._dropped_behind) > self.frames // 2:
                    self._dropped_behind.popitem(last=False)
                return page
        return None

    def _oldest_ahead(self, is_kept: Callable[[PageId], bool]) -> PageId | None:
        for page, ahead in self._ahead.items():
            if not is_kept(page):
                self._leave_ahead(page)
                prefetcher = self._prefetchers.get(page[0])
                if prefetcher and ahead.detector is not None:
                    prefetcher.used(ahead.detector, False)
                return page
        return None

    def _lose_patience(self, machine: int, prefetcher: Prefetcher) -> None:
        """Pages that were fetched for this machine, and that it has gone past without using them, go next."""
        waiting = self._waiting.get(machine)
        while waiting:
            page = (machine, next(iter(waiting)))
            ahead = self._ahead[page]
            if prefetcher.triggers - ahead.since <= min(_PATIENCE, self.frames // 8):
                return
            self._leave_ahead(page)
            self._behind[page] = 0
            if ahead.detector is not None:
                prefetcher.used(ahead.detector, False)

    def _leave_ahead(self, page: PageId) -> _Ahead | None:
        ahead = self._ahead.pop(page, None)
        if ahead is not None:
            del self._waiting[page[0]][page[1]]
        return ahead

    def _join_ahead(self, page: PageId, ahead: _Ahead) -> None:
        self._ahead[page] = ahead
        self._waiting.setdefault(page[0], OrderedDict())[page[1]] = None

    def next_victims(self, count: int) -> list[PageId]:
        """Pages that are close to losing their frames."""
        return self._queue.next_victims(count)

    # ---- pins and removals -------------------------------------------------------------------------------------------

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
        if not self._queue.remove(page) and self._leave_ahead(page) is None:
            self._behind.pop(page, None)

    def forget(self, machine: int) -> None:
        """A machine has ended, and all its pages with it."""
        for page in self.pages_of(machine):
            self.remove(page)
        for known in (self._prefetchers, self._used, self._working_sets, self._waiting):
            known.pop(machine, None)

    def pages_of(self, machine: int) -> list[PageId]:
        """Every page of a machine that has a frame, hottest first."""
        queued = [page for page in self._queue if page[0] == machine]
        queued.sort(key=self._queue.heat, reverse=True)
        others = [page for held in (self._behind, self._ahead) for page in held if page[0] == machine]
        return queued + others

    # ---- gangs -------------------------------------------------------------------------------------------------------

    def demote(self, machine: int) -> list[PageId]:
        """The machine will not run for a while: all its pages lose their frames. What it had used of them since the
        last time is remembered as its working set."""
        pages = [page for page in self.pages_of(machine) if page not in self._pinned]
        used = self._used.pop(machine, {})
        self._working_sets[machine] = [page[1] for page in pages if page in self._queue and page[1] in used]
        for page in pages:
            self.remove(page)
        return pages

    def restore(self, machine: int, kept: Collection[PageId] = ()) -> Decision:
        """The machine runs again: its working set gets frames, as far as there are any, other machines' going first
        in the usual order."""
        decision = Decision(is_hit=False)
        prefetcher = self._prefetchers.get(machine)
        triggers = prefetcher.triggers + _RESTORED_PATIENCE if prefetcher else 0
        wanted = [(machine, number) for number in self._working_sets.pop(machine, ())]
        wanted = [page for page in wanted if page not in self and self._exists(page)][: self.frames * 3 // 4]
        self._make_room(len(wanted), kept, decision)
        for page in wanted[: max(0, self.frames - len(self))]:
            self._join_ahead(page, _Ahead(None, False, triggers))
            decision.fetched.append(page)
        return decision

    def working_set(self, machine: int) -> int:
        """Pages used since the machine was restored, or before it was demoted: what admission has to reckon with."""
        return max(len(self._used.get(machine, ())), len(self._working_sets.get(machine, ())))
