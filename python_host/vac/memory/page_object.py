"""An object of many pages: the pages' bytes one after another, then an index of them, then a trailer.

Little-endian. A page's bytes are compressed with lz4 where that makes them fewer. An index row is: shard u64, page
number u64, offset u32, length u32, bytes of labels u16, the page's hash (32 bytes), the labels. The trailer is:
``VACOBJ`` 0 1, page size u32, rows u32, bytes of the index u32, and the CRC-32 of the index and of the trailer so
far.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import lz4.block

from .address import PageKey
from .errors import TierFormatError
from .page import Page

_MAGIC = b"VACOBJ\x00\x01"
_ROW = struct.Struct("<QQIIH32s")
_TRAILER = struct.Struct("<8sIII")
_CRC = struct.Struct("<I")
TRAILER_BYTES = _TRAILER.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Extent:
    """A page in an object: where its bytes are, and what the index says of it."""

    offset: int
    length: int
    labels: bytes
    hash: bytes


def pack_page(page: Page) -> bytes:
    """The bytes that stand for a page's data."""
    packed = lz4.block.compress(page.data, store_size=False)
    return packed if len(packed) < len(page.data) else page.data


def unpack_page(packed: bytes, extent: Extent, page_bytes: int) -> Page:
    """Inverse of `pack_page`. Bytes that are damaged so that nothing can be made of them come out as they are: their
    hash will not be the page's."""
    data = packed
    if len(packed) != page_bytes:
        with suppress(lz4.block.LZ4BlockError):
            data = lz4.block.decompress(packed, uncompressed_size=page_bytes)
    return Page(data, extent.labels, extent.hash)


def build_object(page_bytes: int, pages: Iterable[tuple[PageKey, Page, bytes]]) -> tuple[bytes, dict[PageKey, Extent]]:
    """The object's bytes and where in it each page is. pages: key, page and its packed bytes."""
    blobs: list[bytes] = []
    extents: dict[PageKey, Extent] = {}
    rows: list[bytes] = []
    offset = 0
    for key, page, packed in pages:
        extents[key] = Extent(offset, len(packed), page.labels, page.hash)
        rows.append(_ROW.pack(*key, offset, len(packed), len(page.labels), page.hash) + page.labels)
        blobs.append(packed)
        offset += len(packed)
    index = b"".join(rows)
    trailer = _TRAILER.pack(_MAGIC, page_bytes, len(rows), len(index))
    return b"".join((*blobs, index, trailer, _CRC.pack(zlib.crc32(index + trailer)))), extents


def index_bytes(name: str, trailer: bytes, page_bytes: int) -> int:
    """Length of the index, from the object's last TRAILER_BYTES. Raises TierFormatError, naming the object."""
    if len(trailer) != TRAILER_BYTES:
        raise TierFormatError(f"object {name} is too short to hold pages")
    magic, size, _, length = _TRAILER.unpack_from(trailer)
    if magic != _MAGIC:
        raise TierFormatError(f"object {name} holds no pages")
    if size != page_bytes:
        raise TierFormatError(f"object {name} is for pages of {size} bytes, not {page_bytes}")
    return length


def read_index(name: str, content: bytes) -> dict[PageKey, Extent]:
    """The index, from the bytes of index and trailer. Raises TierFormatError, naming the object, when it is damaged."""
    index, trailer = content[:-TRAILER_BYTES], content[-TRAILER_BYTES:]
    _, _, count, length = _TRAILER.unpack_from(trailer)
    (found,) = _CRC.unpack_from(trailer, _TRAILER.size)
    if length != len(index) or found != zlib.crc32(content[: -_CRC.size]):
        raise TierFormatError(f"the index of object {name} is damaged")
    extents: dict[PageKey, Extent] = {}
    position = 0
    for _ in range(count):
        shard, number, offset, size, label_bytes, digest = _ROW.unpack_from(index, position)
        position += _ROW.size + label_bytes
        extents[PageKey(shard, number)] = Extent(offset, size, index[position - label_bytes : position], digest)
    return extents
