"""The stack of tiers under the frames: where the current version of each page is, and what moves further down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import RLock
from types import TracebackType

from .address import PageKey
from .errors import PageAbsent, PageDamaged
from .page import Page
from .tier import RamTier, Tier

SPILL_PAGES = 64
"""Pages that move down together: with 64 KiB pages, the 4 MiB that an object is made of."""


@dataclass(frozen=True)
class Level:
    """A tier and how much of it may be used. capacity_bytes: None for as much as there is; always so at the bottom."""

    tier: Tier
    capacity_bytes: int | None = None


@dataclass
class LevelStatistics:
    """pages_read, pages_written: moved from and into this level. damaged: pages that came up other than they went."""

    pages_read: int = 0
    pages_written: int = 0
    damaged: int = 0


@dataclass(slots=True)
class _Entry:
    """hash: of the current version. levels: a bit for each level that holds that version."""

    hash: bytes
    levels: int


@dataclass
class _Held:
    level: Level
    recent: OrderedDict[PageKey, None] = field(default_factory=OrderedDict)
    """Keys of current versions held here, least recently used first."""
    outdated: OrderedDict[PageKey, None] = field(default_factory=OrderedDict)
    """Keys of earlier versions, kept because a crash may need them: a later one is not yet as safe."""
    statistics: LevelStatistics = field(default_factory=LevelStatistics)


class PageStore:
    """Pages by key over one or more levels, fastest first.

    A page is put into the first level and moves down, least recently used first, as levels fill up. A copy stays
    behind in every level that a page is read from. Each page is checked against the hash it was put with whenever it
    comes up; where one copy is damaged and a lower level has another, that one is used.

    Raises ValueError when the levels do not fit together. Levels that already hold pages, as durable ones do after a
    restart, are taken over; of two versions of a page the upper level's is the newer. Threads take turns.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        sizes = {level.tier.page_bytes for level in levels}
        if len(sizes) != 1:
            raise ValueError(f"levels of different page sizes: {sorted(sizes)}" if sizes else "no level at all")
        if levels[-1].capacity_bytes is not None:
            raise ValueError(
                f"the bottom level ({levels[-1].tier.name}) has a capacity: pages would have nowhere to go"
            )
        self.page_bytes = sizes.pop()
        self._levels = [_Held(level) for level in levels]
        self._entries: dict[PageKey, _Entry] = {}
        self._lock = RLock()
        for index, held in enumerate(self._levels):
            for key in held.level.tier.held_keys():
                found = held.level.tier.hash(key)
                assert found is not None
                entry = self._entries.setdefault(key, _Entry(found, 0))
                if entry.hash == found:
                    entry.levels |= 1 << index
                    held.recent[key] = None
                else:
                    held.outdated[key] = None

    @staticmethod
    def in_ram(page_bytes: int) -> PageStore:
        """A store of one uncompressed level in this process."""
        return PageStore([Level(RamTier(page_bytes))])

    def __contains__(self, key: PageKey) -> bool:
        return key in self._entries

    def held_keys(self) -> Iterable[PageKey]:
        """Every page that was put and not discarded."""
        return self._entries.keys()

    def hash(self, key: PageKey) -> bytes | None:
        """Hash of the current version, None when there is none."""
        entry = self._entries.get(key)
        return entry.hash if entry else None

    @property
    def is_durable(self) -> bool:
        """Whether some level outlasts the process, which also means that reading takes its time."""
        return any(held.level.tier.is_durable for held in self._levels)

    def statistics(self) -> dict[str, LevelStatistics]:
        """By the tier's name."""
        return {held.level.tier.name: held.statistics for held in self._levels}

    # ---- up --------------------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[PageKey]) -> list[Page]:
        """Current versions, in the order asked for. Raises PageAbsent, PageDamaged, TierUnavailable."""
        with self._lock:
            self._count_use(keys)
            return self._current(keys)

    def _current(self, keys: Sequence[PageKey]) -> list[Page]:
        by_level: dict[int, list[PageKey]] = {}
        for key in keys:
            entry = self._entries.get(key)
            if entry is None:
                raise PageAbsent(key, "all")
            by_level.setdefault((entry.levels & -entry.levels).bit_length() - 1, []).append(key)
        found: dict[PageKey, Page] = {}
        for index, group in by_level.items():
            for key, (page, came) in zip(group, self._read(index, group), strict=True):
                found[key] = self._checked(key, index, page, came)
        return [found[key] for key in keys]

    def _count_use(self, keys: Iterable[PageKey]) -> None:
        for held in self._levels:
            for key in keys:
                if key in held.recent:
                    held.recent.move_to_end(key)

    def _read(self, index: int, keys: Sequence[PageKey]) -> list[tuple[Page, bytes]]:
        held = self._levels[index]
        pages = held.level.tier.get_hashed(keys)
        held.statistics.pages_read += len(keys)
        return pages

    def _checked(self, key: PageKey, index: int, page: Page, found: bytes) -> Page:
        """The page, or another copy of it from further down. found: the hash of what has come. Raises PageDamaged when
        there is no good one."""
        entry = self._entries[key]
        if found == entry.hash:
            return Page(page.data, page.labels, found)
        self._levels[index].statistics.damaged += 1
        below = entry.levels >> index + 1 << index + 1
        if not below:
            raise PageDamaged(key, self._levels[index].level.tier.name, entry.hash, found)
        lower = (below & -below).bit_length() - 1
        page = self._checked(key, lower, *self._read(lower, [key])[0])
        self._forget_copy(key, index)
        return page

    # ---- down ------------------------------------------------------------------------------------------------------

    def put(self, pages: Sequence[tuple[PageKey, Page]]) -> None:
        """Keeps these versions. Raises TierUnavailable; putting the same again later goes on where it stopped."""
        with self._lock:
            self._put_into(0, [(key, page) for key, page in pages if not self._has(0, key, page.hash)])
            self._count_use([key for key, _ in pages])
            self._spill(0)

    def _has(self, index: int, key: PageKey, version: bytes) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.hash == version and bool(entry.levels >> index & 1)

    def _put_into(self, index: int, pages: Sequence[tuple[PageKey, Page]]) -> None:
        if not pages:
            return
        held = self._levels[index]
        held.level.tier.put_pages(pages)
        held.statistics.pages_written += len(pages)
        for key, page in pages:
            entry = self._entries.setdefault(key, _Entry(page.hash, 0))
            if entry.hash != page.hash:
                for other in self._levels:
                    if key in other.recent:
                        del other.recent[key]
                        other.outdated[key] = None
                entry.hash, entry.levels = page.hash, 0
            entry.levels |= 1 << index
            held.outdated.pop(key, None)
            held.recent[key] = None

    def _spill(self, index: int) -> None:
        held = self._levels[index]
        tier, capacity = held.level.tier, held.level.capacity_bytes
        while capacity is not None and tier.used_bytes() > capacity:
            outdated = list(islice(held.outdated, SPILL_PAGES))
            going = outdated or list(islice(held.recent, SPILL_PAGES))
            if not going:
                return
            if tier.is_durable or not outdated:
                # What is acknowledged here may go only when this version or a later one is as safe further down.
                self._copy_down(going, index + 1)
            if tier.is_durable:
                self._levels[index + 1].level.tier.flush()
            for key in going:
                self._forget_copy(key, index)
            self._spill(index + 1)

    def _copy_down(self, keys: Iterable[PageKey], target: int) -> None:
        """The current versions of pages are in the target level or below it when this returns."""
        missing = [key for key in keys if not self._entries[key].levels >> target]
        for first in range(0, len(missing), SPILL_PAGES):
            part = missing[first : first + SPILL_PAGES]
            self._put_into(target, list(zip(part, self._current(part), strict=True)))

    def _forget_copy(self, key: PageKey, index: int) -> None:
        held = self._levels[index]
        held.level.tier.drop((key,))
        held.outdated.pop(key, None)
        if key in held.recent:
            del held.recent[key]
            self._entries[key].levels &= ~(1 << index)

    # ---- all of it -------------------------------------------------------------------------------------------------

    def discard(self, keys: Iterable[PageKey]) -> None:
        """Forgets pages everywhere."""
        with self._lock:
            gone = [key for key in keys if key in self._entries]
            for held in self._levels:
                held.level.tier.drop(gone)
                for key in gone:
                    held.recent.pop(key, None)
                    held.outdated.pop(key, None)
            for key in gone:
                del self._entries[key]

    def flush(self) -> None:
        """When it returns, every page is in a durable level and acknowledged by it, as far as there is one."""
        with self._lock:
            durable = [index for index, held in enumerate(self._levels) if held.level.tier.is_durable]
            if durable:
                mask = sum(1 << index for index in durable)
                for index in range(durable[0]):
                    volatile = [key for key in self._levels[index].recent if not self._entries[key].levels & mask]
                    self._copy_down(volatile, durable[0])
                self._spill(durable[0])
            for held in reversed(self._levels):
                held.level.tier.flush()

    def close(self) -> None:
        """Flushes and closes every tier."""
        self.flush()
        for held in self._levels:
            held.level.tier.close()

    def __enter__(self) -> PageStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
