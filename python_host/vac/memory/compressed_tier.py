"""Pages in RAM, each compressed by itself with lz4."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import lz4.block

from .address import PageKey
from .errors import PageAbsent
from .page import Page
from .tier import BaseTier


class CompressedTier(BaseTier):
    """A page that lz4 does not make smaller is kept as it is."""

    def __init__(self, page_bytes: int, name: str = "lz4") -> None:
        super().__init__(name, page_bytes)
        self._pages: dict[PageKey, tuple[bytes, bytes, bytes]] = {}
        """Bytes, labels, hash; the bytes are compressed where there are fewer of them than in a page."""
        self._bytes = 0

    def get_page(self, key: PageKey) -> Page:
        kept = self._pages.get(key)
        if kept is None:
            raise PageAbsent(key, self.name)
        data, labels, expected = kept
        if len(data) < self.page_bytes:
            # Bytes that nothing can be made of come out as they are: their hash will not be the page's.
            with suppress(lz4.block.LZ4BlockError):
                data = lz4.block.decompress(data, uncompressed_size=self.page_bytes)
        return Page(data, labels, expected)

    def put_page(self, key: PageKey, page: Page) -> None:
        data = lz4.block.compress(page.data, store_size=False)
        if len(data) >= self.page_bytes:
            data = page.data
        self.drop((key,))
        self._pages[key] = (data, page.labels, page.hash)
        self._bytes += len(data)

    def hash(self, key: PageKey) -> bytes | None:
        kept = self._pages.get(key)
        return kept[2] if kept else None

    def drop(self, keys: Iterable[PageKey]) -> None:
        for key in keys:
            kept = self._pages.pop(key, None)
            if kept:
                self._bytes -= len(kept[0])

    def held_keys(self) -> list[PageKey]:
        return list(self._pages)

    def used_bytes(self) -> int:
        return self._bytes
