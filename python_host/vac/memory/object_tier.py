"""Pages in an object store, S3 first of all: packed into objects of 4 MiB and more, read back by ranges.

Objects are only ever created, under names that nobody has used, and deleted once no page in them is current. A
writer claims an epoch by creating an object that must not exist yet; epoch and counter make up the names, and their
order is the order of versions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import ObjectStore, S3Store

from .address import PageKey
from .errors import PageAbsent
from .page import Page
from .page_object import TRAILER_BYTES, Extent, build_object, index_bytes, pack_page, read_index, unpack_page
from .retry import RetryLimits, persist
from .tier import BaseTier

LOG = logging.getLogger("vac.memory")

OBJECT_BYTES = 4 << 20
"""An object is written as soon as its pages' bytes are as many as this."""
_SPARSE = 0.25
"""An object with a smaller part of its pages current is packed anew."""

Value = TypeVar("Value")


def open_bucket(
    bucket: str, endpoint: str, access_key: str = "", secret_key: str = "", *, region: str = "us-east-1",
    prefix: str = "", seconds: float = 10.0,
) -> S3Store:  # fmt: skip
    """A bucket of an S3 server. endpoint: its URL. Without keys requests go unsigned. seconds: limit of one request."""
    keys: dict[str, Any] = {"skip_signature": True}
    if access_key:
        keys = {"access_key_id": access_key, "secret_access_key": secret_key}
    return S3Store(
        bucket,
        endpoint=endpoint,
        region=region,
        prefix=prefix or None,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": f"{seconds}s", "connect_timeout": f"{min(seconds, 5.0)}s"},
        # Trying again is the tier's business, which knows how long it may take.
        retry_config={"max_retries": 0},
        **keys,
    )


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    extent: Extent


class ObjectTier(BaseTier):
    """store: any of obstore's; `open_bucket` gives one of S3. prefix: of all object names. One writer at a time.

    Pages put are kept in RAM until there are enough of them for an object; `flush` writes them all. Takes over what is
    there. A page that was dropped comes back when the store is opened again, unless its object is gone by then.
    """

    is_durable = True

    def __init__(
        self, store: ObjectStore, page_bytes: int, name: str = "s3", *, prefix: str = "pages",
        object_bytes: int = OBJECT_BYTES, limits: RetryLimits | None = None, threads: int = 8,
    ) -> None:  # fmt: skip
        super().__init__(name, page_bytes)
        self._store = store
        self._prefix = prefix
        self._object_bytes = object_bytes
        self._limits = limits or RetryLimits()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="vac-object-tier")
        self._places: dict[PageKey, _Place] = {}
        self._current: dict[str, set[PageKey]] = {}
        """By object: the pages in it that are current."""
        self._pages_in: dict[str, int] = {}
        self._waiting: dict[PageKey, tuple[Page, bytes]] = {}
        """Not in any object yet, with their packed bytes."""
        self._waiting_bytes = 0
        self._take_over()
        self._epoch = self._claim_epoch()
        self._counter = 0

    def _persist(self, what: str, call: Callable[[int], Value]) -> Value:
        return persist(self.name, what, self._limits, BaseError, call)

    # ---- what is there -----------------------------------------------------------------------------------------------

    def _take_over(self) -> None:
        def listed(attempt: int) -> list[tuple[str, int]]:
            found = [each for batch in obstore.list(self._store, f"{self._prefix}/objects") for each in batch]
            return sorted((each["path"], each["size"]) for each in found)

        objects = self._persist("listing objects", listed)
        for (name, _), index in zip(objects, self._threads.map(self._index_of, objects), strict=True):
            self._pages_in[name] = len(index)
            self._current[name] = set()
            for key, extent in index.items():
                self._place(key, _Place(name, extent))
        self._collect()

    def _index_of(self, found: tuple[str, int]) -> dict[PageKey, Extent]:
        name, size = found

        def ranged(start: int, end: int) -> bytes:
            return self._persist(
                f"reading {name}", lambda _: bytes(obstore.get_range(self._store, name, start=start, end=end))
            )

        trailer = ranged(max(0, size - TRAILER_BYTES), size) if size else b""
        start = size - TRAILER_BYTES - index_bytes(name, trailer, self.page_bytes)
        return read_index(name, ranged(max(0, start), size))

    def _claim_epoch(self) -> int:
        def claim(attempt: int) -> int:
            folder = f"{self._prefix}/epochs"
            found = [each["path"] for batch in obstore.list(self._store, folder) for each in batch]
            epoch = max((int(path.rsplit("/", 1)[1]) for path in found), default=0) + 1
            obstore.put(self._store, f"{folder}/{epoch:08}", b"\n", mode="create", use_multipart=False)
            return epoch

        return self._persist("claiming an epoch", claim)

    # ---- up ----------------------------------------------------------------------------------------------------------

    def get_page(self, key: PageKey) -> Page:
        return self.get_pages((key,))[0]

    def get_pages(self, keys: Sequence[PageKey]) -> list[Page]:
        found: dict[PageKey, Page] = {}
        by_object: dict[str, list[PageKey]] = {}
        for key in keys:
            if key in self._waiting:
                found[key] = self._waiting[key][0]
            elif key in self._places:
                by_object.setdefault(self._places[key].name, []).append(key)
            else:
                raise PageAbsent(key, self.name)
        for part in self._threads.map(self._read_object, by_object.items()):
            found.update(part)
        return [found[key] for key in keys]

    def _read_object(self, wanted: tuple[str, list[PageKey]]) -> dict[PageKey, Page]:
        name, keys = wanted
        extents = [self._places[key].extent for key in keys]
        starts, lengths = [extent.offset for extent in extents], [extent.length for extent in extents]

        def read(attempt: int) -> list[bytes]:
            try:
                return [bytes(b) for b in obstore.get_ranges(self._store, name, starts=starts, lengths=lengths)]
            except NotFoundError as error:
                raise PageAbsent(keys[0], self.name) from error

        parts = self._persist(f"reading {name}", read)
        return {
            key: unpack_page(part, extent, self.page_bytes)
            for key, extent, part in zip(keys, extents, parts, strict=True)
        }

    # ---- down --------------------------------------------------------------------------------------------------------

    def put_page(self, key: PageKey, page: Page) -> None:
        self.put_pages(((key, page),))

    def put_pages(self, pages: Sequence[tuple[PageKey, Page]]) -> None:
        for key, page in pages:
            self._wait(key, page)
        while self._waiting_bytes >= self._object_bytes:
            self._write_object()
        self._collect()

    def _wait(self, key: PageKey, page: Page) -> None:
        packed = pack_page(page)
        self._forget_waiting(key)
        self._waiting[key] = page, packed
        self._waiting_bytes += len(packed)

    def _forget_waiting(self, key: PageKey) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting:
            self._waiting_bytes -= len(waiting[1])

    def _write_object(self) -> None:
        chosen: list[tuple[PageKey, Page, bytes]] = []
        size = 0
        for key, (page, packed) in self._waiting.items():
            chosen.append((key, page, packed))
            size += len(packed)
            if size >= self._object_bytes:
                break
        content, extents = build_object(self.page_bytes, chosen)
        # A name is never used for two contents: after a failure nobody knows whether the object came to be.
        self._counter += 1
        name = f"{self._prefix}/objects/{self._epoch:08}-{self._counter:08}"

        def create(attempt: int) -> None:
            try:
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                # The epoch is this tier's alone, so an earlier attempt got through and only its answer did not.
                if not attempt:
                    raise

        self._persist(f"writing {name}", create)
        self._pages_in[name] = len(extents)
        self._current[name] = set()
        for key, extent in extents.items():
            self._forget_waiting(key)
            self._place(key, _Place(name, extent))

    def _place(self, key: PageKey, place: _Place | None) -> None:
        before = self._places.pop(key, None)
        if before:
            self._current[before.name].discard(key)
        if place:
            self._places[key] = place
            self._current[place.name].add(key)

    def _collect(self) -> None:
        """Deletes objects that hold nothing current, and takes up again what is left in those that hold little."""
        for name, keys in list(self._current.items()):
            if keys and len(keys) < _SPARSE * self._pages_in[name]:
                left = [key for key in keys if key not in self._waiting]
                for key, page in zip(left, self.get_pages(left), strict=True):
                    self._wait(key, page)
                self._pages_in[name] = len(keys)  # not again; it goes when they are in another object
            elif not keys:
                try:
                    obstore.delete(self._store, name)
                except BaseError as error:
                    LOG.info("tier %s: %s is not needed, but cannot be deleted now: %s", self.name, name, error)
                    return
                del self._current[name], self._pages_in[name]

    # ---- the rest of a tier ------------------------------------------------------------------------------------------

    def hash(self, key: PageKey) -> bytes | None:
        if key in self._waiting:
            return self._waiting[key][0].hash
        place = self._places.get(key)
        return place.extent.hash if place else None

    def drop(self, keys: Iterable[PageKey]) -> None:
        for key in keys:
            self._forget_waiting(key)
            self._place(key, None)

    def held_keys(self) -> list[PageKey]:
        return list(self._places | self._waiting)

    def used_bytes(self) -> int:
        return sum(place.extent.length for place in self._places.values()) + self._waiting_bytes

    def flush(self) -> None:
        while self._waiting:
            self._write_object()
        self._collect()

    def close(self) -> None:
        self.flush()
        self._threads.shutdown()
