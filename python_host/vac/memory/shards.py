"""Shards over parents: what a shard has not written itself reads as its parent's, and what nobody has is zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .address import U64, PageKey
from .errors import ShardError
from .page import Page, zero_page
from .page_store import PageStore

FIRST_PRIVATE = 1 << 63
"""Shards from here on get their numbers from the table; those below are named by who makes them."""

PageSource = Callable[[int], Page | None]
"""Gives the page of a number, or None where it is zeros. The same every time."""


@dataclass
class _Shard:
    parent: int | None
    source: PageSource | None
    is_frozen: bool


class ShardTable:
    """Which shards there are. Their pages are in the store; those of a source are made when they are asked for."""

    def __init__(self, store: PageStore) -> None:
        self.store = store
        self._shards: dict[int, _Shard] = {}
        taken = [key.shard for key in store.held_keys() if key.shard >= FIRST_PRIVATE]
        self._next = max(taken, default=FIRST_PRIVATE - 1) + 1

    def __contains__(self, number: int) -> bool:
        return number in self._shards

    def create(
        self, number: int | None = None, *, parent: int | None = None, source: PageSource | None = None
    ) -> int:  # fmt: skip
        """A new shard; returns its number. Pages that the store already holds under that number belong to it.

        number: u64 below FIRST_PRIVATE, or above for one that was made by a table before; None for a fresh private one.
        parent: is frozen by this. source: what the shard holds where nothing was written; it has no parent then.
        Raises ShardError when the number is taken, out of range or the parent does not exist.
        """
        if number is None:
            number, self._next = self._next, self._next + 1
        if not 0 <= number <= U64 or number in self._shards:
            raise ShardError(f"shard {number:#x} exists already" if number in self._shards else f"no shard is {number}")
        if parent is not None:
            if source is not None:
                raise ShardError("a shard has a parent or a source, not both")
            self._of(parent).is_frozen = True
        self._shards[number] = _Shard(parent, source, is_frozen=False)
        self._next = max(self._next, number + 1) if number >= FIRST_PRIVATE else self._next
        return number

    def fork(self, number: int) -> int:
        """Freezes the shard as it stands; returns a new one over it, in which to go on."""
        return self.create(parent=number)

    def discard(self, number: int) -> None:
        """Forgets a shard and its own pages. Raises ShardError while another one stands on it."""
        self._of(number)
        children = [child for child, shard in self._shards.items() if shard.parent == number]
        if children:
            raise ShardError(f"shard {number:#x} is the parent of {children[0]:#x}")
        del self._shards[number]
        self.store.discard([key for key in self.store.held_keys() if key.shard == number])

    def is_frozen(self, number: int) -> bool:
        """Whether it takes no more writes."""
        return self._of(number).is_frozen

    def is_own(self, key: PageKey) -> bool:
        """Whether the shard itself holds a version of this page."""
        return key in self.store

    def is_stored(self, key: PageKey) -> bool:
        """Whether reading it means reading a tier."""
        return isinstance(self._resolve(key), PageKey)

    def is_filled(self, key: PageKey) -> bool:
        """Whether anything but zeros can be there."""
        return not isinstance(self._resolve(key), Page)

    def read(self, keys: Sequence[PageKey]) -> list[Page]:
        """Pages as they are now, in order. Raises ShardError, and what the store raises."""
        found = [self._resolve(key) for key in keys]
        stored = [place for place in found if isinstance(place, PageKey)]
        pages = iter(self.store.get(stored))
        return [
            next(pages) if isinstance(place, PageKey) else place if isinstance(place, Page) else self._made(*place)
            for place in found
        ]

    def write(self, pages: Iterable[tuple[PageKey, Page]]) -> None:
        """Keeps new versions. Raises ShardError when a shard is frozen, and what the store raises."""
        pages = list(pages)
        for key, _ in pages:
            if self._of(key.shard).is_frozen:
                raise ShardError(f"{key} was written, but the shard is frozen")
        self.store.put(pages)

    def _of(self, number: int) -> _Shard:
        shard = self._shards.get(number)
        if shard is None:
            raise ShardError(f"there is no shard {number:#x}")
        return shard

    def _resolve(self, key: PageKey) -> PageKey | Page | tuple[PageSource, int]:
        """Where the page is: under this key in the store, the page of zeros, or in a source."""
        shard = self._of(key.shard)
        while key not in self.store:
            if shard.source:
                return shard.source, key.number
            if shard.parent is None:
                return zero_page(self.store.page_bytes)
            key, shard = PageKey(shard.parent, key.number), self._of(shard.parent)
        return key

    def _made(self, source: PageSource, number: int) -> Page:
        return source(number) or zero_page(self.store.page_bytes)
