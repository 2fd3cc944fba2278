"""A tier: something that keeps pages by key. To write one, subclass `BaseTier` and give it its five single forms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Protocol

from .address import PageKey, check_page_bytes
from .errors import PageAbsent
from .page import Page, page_hash


class Tier(Protocol):
    """What the page store asks of a tier. `name` appears in errors; all pages have `page_bytes`.

    A tier need not check what it gives back: the page store does. After `put_pages` has returned a page can be read;
    after `flush` has returned it is as safe as this tier makes it. Every call raises TierUnavailable when it cannot be
    done within the tier's limits; it may then be repeated. Not for use by two threads at a time.
    """

    name: str
    page_bytes: int
    is_durable: bool
    """Whether what was flushed is there after a crash."""

    def get_page(self, key: PageKey) -> Page:
        """The page as last put, with the hash that it was put with. Raises PageAbsent."""
        ...

    def put_page(self, key: PageKey, page: Page) -> None:
        """Keeps the page in place of an earlier one of this key. Raises TierFull."""
        ...

    def hash(self, key: PageKey) -> bytes | None:
        """Hash that the page was put with; None when the tier does not hold it."""
        ...

    def get_pages(self, keys: Sequence[PageKey]) -> list[Page]:
        """Many at once, in the order asked for."""
        ...

    def put_pages(self, pages: Sequence[tuple[PageKey, Page]]) -> None:
        """Many at once. When it raises, some of them may be kept."""
        ...

    def get_hashed(self, keys: Sequence[PageKey]) -> list[tuple[Page, bytes]]:
        """As `get_pages`, each with the hash of what has come; the page itself has the one that it was put with."""
        ...

    def drop(self, keys: Iterable[PageKey]) -> None:
        """Forgets pages; those it does not hold are passed over."""
        ...

    def held_keys(self) -> list[PageKey]:
        """Everything it holds, least recently put first where the tier knows."""
        ...

    def used_bytes(self) -> int:
        """What the pages take up in this tier."""
        ...

    def flush(self) -> None:
        """Makes everything that was put as safe as this tier makes it."""
        ...

    def close(self) -> None:
        """Flushes and lets go of files and connections."""
        ...


class BaseTier(ABC):
    """Everything that follows from the five abstract methods."""

    is_durable = False

    def __init__(self, name: str, page_bytes: int) -> None:
        check_page_bytes(page_bytes)
        self.name = name
        self.page_bytes = page_bytes

    @abstractmethod
    def get_page(self, key: PageKey) -> Page: ...

    @abstractmethod
    def put_page(self, key: PageKey, page: Page) -> None: ...

    @abstractmethod
    def hash(self, key: PageKey) -> bytes | None: ...

    @abstractmethod
    def drop(self, keys: Iterable[PageKey]) -> None: ...

    @abstractmethod
    def held_keys(self) -> list[PageKey]: ...

    def get_pages(self, keys: Sequence[PageKey]) -> list[Page]:
        return [self.get_page(key) for key in keys]

    def get_hashed(self, keys: Sequence[PageKey]) -> list[tuple[Page, bytes]]:
        return [(page, page_hash(page.data, page.labels)) for page in self.get_pages(keys)]

    def put_pages(self, pages: Sequence[tuple[PageKey, Page]]) -> None:
        for key, page in pages:
            self.put_page(key, page)

    def used_bytes(self) -> int:
        return len(self.held_keys()) * self.page_bytes

    def flush(self) -> None:  # noqa: B027  (a tier that keeps nothing back has nothing to do)
        """Makes everything that was put as safe as this tier makes it."""

    def close(self) -> None:
        self.flush()


class RamTier(BaseTier):
    """Pages as they are, in this process: the simplest tier, and the store of a run without files."""

    def __init__(self, page_bytes: int, name: str = "ram") -> None:
        super().__init__(name, page_bytes)
        self._pages: dict[PageKey, Page] = {}

    def get_page(self, key: PageKey) -> Page:
        page = self._pages.get(key)
        if page is None:
            raise PageAbsent(key, self.name)
        return page

    def put_page(self, key: PageKey, page: Page) -> None:
        self._pages[key] = page

    def hash(self, key: PageKey) -> bytes | None:
        page = self._pages.get(key)
        return page.hash if page else None

    def drop(self, keys: Iterable[PageKey]) -> None:
        for key in keys:
            self._pages.pop(key, None)

    def held_keys(self) -> list[PageKey]:
        return list(self._pages)
