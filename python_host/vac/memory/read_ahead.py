"""Reads of pages that nobody waits for yet, in a thread beside the machines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from .address import PageKey
from .errors import PagingError
from .page import Page
from .policy import PageId

LOG = logging.getLogger("vac.memory")

Arrival = tuple[PageId, PageKey, Page | None]
"""A page that was read, or None in its place where that failed."""


class ReadAhead:
    """read: gives pages by key, may raise PagingError, and can be called beside whatever else uses the store."""

    def __init__(self, read: Callable[[Sequence[PageKey]], list[Page]]) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vac-read-ahead")
        self._batches: dict[Future[list[Page]], list[tuple[PageId, PageKey]]] = {}
        """In the order in which they were started."""
        self._coming: dict[PageId, Future[list[Page]]] = {}

    def __contains__(self, page: PageId) -> bool:
        return page in self._coming

    def is_late(self, page: PageId) -> bool:
        """Whether one would have to wait for this page."""
        future = self._coming.get(page)
        return future is not None and not future.done()

    def start(self, pages: Sequence[tuple[PageId, PageKey]]) -> None:
        """Reads these together, after those that were started before."""
        future = self._thread.submit(self._read, [key for _, key in pages])
        self._batches[future] = list(pages)
        self._coming.update((page, future) for page, _ in pages)

    def drop(self, page: PageId) -> None:
        """The page is not wanted any more."""
        self._coming.pop(page, None)

    def arrivals(self, wanted: PageId | None = None) -> Iterator[Arrival]:
        """What has come since the last call. Waits for this page, if it is on its way."""
        awaited = self._coming.get(wanted) if wanted else None
        for future in list(self._batches):
            if future is awaited or future.done():
                yield from self._open(future)

    def all_arrivals(self) -> Iterator[Arrival]:
        """Waits for everything that is on its way."""
        for future in list(self._batches):
            yield from self._open(future)

    def _open(self, future: Future[list[Page]]) -> Iterator[Arrival]:
        batch = self._batches.pop(future)
        found: Sequence[Page | None] = [None] * len(batch)
        try:
            found = future.result()
        except PagingError as error:
            LOG.info("not fetched ahead: %s", error)
        for (page, key), content in zip(batch, found, strict=True):
            if self._coming.get(page) is future:
                del self._coming[page]
                yield page, key, content

    def close(self) -> None:
        """Ends the thread once it has done what was started."""
        self._thread.shutdown()
