"""Pages in a file, past the page cache, with a journal that a crash cannot hurt.

A new version of a page never overwrites the one that was acknowledged: it goes to a free slot, and the old slot becomes
free when the journal says so on the device. `flush` first makes the data safe and then the journal, so that a record
never speaks of data that are not there.
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from .address import PageKey
from .direct_file import DirectFile
from .errors import PageAbsent, TierFull, TierUnavailable
from .page import Page, page_hash
from .page_journal import PageJournal, Place, drop_record, put_record
from .tier import BaseTier

_REPLACED_BEFORE_FLUSH = 256
"""Slots of replaced pages that are waited for before the tier flushes on its own."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FileTier(BaseTier):
    """folder: made when it is not there; holds `pages` and `journal`. limit_bytes: of the data file, None for as much
    as the file system has. threads: reads or writes in flight.

    Takes over what was acknowledged before a crash. One process at a time: raises TierUnavailable while another holds
    the folder. Raises TierFormatError when the folder is for another page size.
    """

    is_durable = True

    def __init__(
        self, folder: Path, page_bytes: int, name: str = "file", limit_bytes: int | None = None, threads: int = 8
    ) -> None:  # fmt: skip
        super().__init__(name, page_bytes)
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise TierUnavailable(name, f"another process holds {folder}") from error
        self._journal = PageJournal(folder / "journal", page_bytes)
        self._file = DirectFile(folder / "pages", page_bytes, threads)
        self._places = self._journal.places
        self._limit = limit_bytes // page_bytes if limit_bytes is not None else None
        taken = {place.slot for place in self._places.values()}
        self._end = max(taken, default=-1) + 1
        self._free = sorted(set(range(self._end)) - taken)
        self._replaced: list[int] = []
        """Slots that the journal on the device still speaks of."""
        self._records: list[bytes] = []
        self._is_torn = False

    @property
    def is_direct(self) -> bool:
        """Whether the page cache is passed by, which not every file system can do."""
        return self._file.is_direct

    def get_page(self, key: PageKey) -> Page:
        return self.get_pages((key,))[0]

    def get_pages(self, keys: Sequence[PageKey]) -> list[Page]:
        return [page for page, _ in self.get_hashed(keys)]

    def get_hashed(self, keys: Sequence[PageKey]) -> list[tuple[Page, bytes]]:
        """As the protocol; hashed by the threads that read, side by side."""
        places: list[Place] = []
        for key in keys:
            place = self._places.get(key)
            if place is None:
                raise PageAbsent(key, self.name)
            places.append(place)
        by_slot = {place.slot: place for place in places}

        def page(slot: int, block: bytes) -> tuple[Page, bytes]:
            place = by_slot[slot]
            return Page(block, place.labels, place.hash), page_hash(block, place.labels)

        try:
            return self._file.read([place.slot for place in places], page)
        except OSError as error:
            raise TierUnavailable(self.name, f"cannot read: {error}") from error

    def put_page(self, key: PageKey, page: Page) -> None:
        self.put_pages(((key, page),))

    def put_pages(self, pages: Sequence[tuple[PageKey, Page]]) -> None:
        latest = dict(pages)
        if len(self._replaced) >= _REPLACED_BEFORE_FLUSH:
            self.flush()
        slots = self._take_slots(len(latest))
        try:
            self._file.write([(slot, page.data) for slot, page in zip(slots, latest.values(), strict=True)])
        except OSError as error:
            self._give_back(slots)
            raise self._failure("cannot write", error) from error
        for slot, (key, page) in zip(slots, latest.items(), strict=True):
            self._replace(key)
            self._places[key] = Place(slot, page.labels, page.hash)
            self._records.append(put_record(key, self._places[key]))

    def _take_slots(self, count: int) -> list[int]:
        if self._limit is not None and self._end - len(self._free) + count > self._limit:
            if self._replaced:
                self.flush()
            if self._end - len(self._free) + count > self._limit:
                raise TierFull(self.name, f"all {self._limit} pages of its limit are taken")
        slots = [heapq.heappop(self._free) for _ in range(min(count, len(self._free)))]
        more = count - len(slots)
        slots += range(self._end, self._end + more)
        self._end += more
        return slots

    def _give_back(self, slots: Iterable[int]) -> None:
        for slot in slots:
            heapq.heappush(self._free, slot)

    def _replace(self, key: PageKey) -> None:
        place = self._places.pop(key, None)
        if place:
            self._replaced.append(place.slot)

    def _failure(self, what: str, error: OSError) -> TierUnavailable:
        return (TierFull if error.errno in _FULL else TierUnavailable)(self.name, f"{what}: {error.strerror}")

    def hash(self, key: PageKey) -> bytes | None:
        place = self._places.get(key)
        return place.hash if place else None

    def drop(self, keys: Iterable[PageKey]) -> None:
        for key in keys:
            if key in self._places:
                self._replace(key)
                self._records.append(drop_record(key))

    def held_keys(self) -> list[PageKey]:
        return list(self._places)

    def used_bytes(self) -> int:
        return len(self._places) * self.page_bytes

    def flush(self) -> None:
        if not self._records and not self._is_torn:
            return
        try:
            self._file.sync()
            if self._is_torn or self._journal.records > 4 * len(self._places) + 4096:
                self._journal.rewrite(self._places.items())
            else:
                self._is_torn = True
                self._journal.append(self._records)
            self._is_torn = False
        except OSError as error:
            raise self._failure("cannot flush", error) from error
        self._records.clear()
        self._give_back(self._replaced)
        self._replaced.clear()

    def close(self) -> None:
        self.flush()
        self._file.close()
        self._journal.close()
        os.close(self._lock)
