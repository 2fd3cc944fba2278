"""Changed pages that have lost their frames, until a tier has taken them: in a thread beside the machines."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from .address import PageKey
from .errors import PagingError
from .page import Page
from .policy import PageId

Leaving = tuple[PageKey, Page]


class WriteBehind:
    """write: gives pages to the tiers, may raise PagingError, and can be called beside whatever else uses the store.
    batch: pages that are worth a call. is_background: whether there is a thread; without one pages are written at once.

    Pages stay here until a call that had them has returned, so nothing is lost when one fails: they go with a later
    one. At most twice the batch wait here when `write_out` returns.
    """

    def __init__(self, write: Callable[[Collection[Leaving]], None], batch: int, *, is_background: bool) -> None:
        self._write = write
        self._batch = batch if is_background else 1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vac-write-behind") if is_background else None
        self._waiting: dict[PageId, Leaving] = {}
        self._under_way: dict[PageId, Leaving] = {}
        """Those of the running call that nobody has asked for since."""
        self._call: Future[None] | None = None

    def __contains__(self, page: PageId) -> bool:
        return page in self._waiting or page in self._under_way

    def add(self, page: PageId, leaving: Leaving) -> None:
        """A page has lost its frame; this is its newest version."""
        self._waiting[page] = leaving

    def get(self, page: PageId) -> Leaving | None:
        """The newest version of a page that is here."""
        return self._waiting.get(page) or self._under_way.get(page)

    def take(self, page: PageId) -> Leaving | None:
        """The same; it has a frame again, and comes back when it loses that."""
        below = self._under_way.pop(page, None)
        return self._waiting.pop(page, None) or below

    def write_out(self) -> None:
        """Sees to it that few pages wait. Raises PagingError."""
        try:
            self._finish(waits=False)
        except PagingError:  # of a while ago; what counts is whether it fails now
            self._start()
            self._finish(waits=True)
        if len(self._waiting) >= self._batch:
            self._start()
        while len(self._waiting) + len(self._under_way) > 2 * self._batch or not self._thread:
            if not self._waiting and self._call is None:
                return
            self._finish(waits=True)
            self._start()

    def drain(self) -> None:
        """Nothing waits when it returns. Raises PagingError."""
        self._finish(waits=True)
        self._start()
        self._finish(waits=True)

    def forget(self, is_gone: Callable[[PageId], bool]) -> None:
        """These pages are not needed any more; no call is under way when it returns."""
        with suppress(PagingError):  # what could not be written is here again, and goes later
            self._finish(waits=True)
        for page in [page for page in self._waiting if is_gone(page)]:
            del self._waiting[page]

    def _start(self) -> None:
        if self._call is not None or not self._waiting:
            return
        going = list(self._waiting.values())
        if self._thread is None:
            self._write(going)
            self._waiting.clear()
            return
        self._under_way, self._waiting = self._waiting, {}
        self._call = self._thread.submit(self._write, going)

    def _finish(self, *, waits: bool) -> None:
        if self._call is None or not (waits or self._call.done()):
            return
        call, self._call = self._call, None
        try:
            call.result()
        except BaseException:
            self._waiting = self._under_way | self._waiting
            raise
        finally:
            self._under_way = {}

    def close(self) -> None:
        """Ends the thread; to be called when nothing waits."""
        if self._thread:
            self._thread.shutdown()
