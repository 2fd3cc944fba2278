"""The file tier's journal: which slot of the data file holds which page. Append-only; each record has a checksum.

Little-endian. The file starts with ``VACPGS`` 0 1 and the page size as u32. A record is: kind u8 (1 put, 2 drop), bytes
of labels as u16, shard u64, page number u64, slot u64, the page's hash (32 bytes), the labels, and the CRC-32 of all
that.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .address import PageKey, leaves_in
from .errors import TierFormatError

_MAGIC = b"VACPGS\x00\x01"
_HEADER = struct.Struct("<8sI")
_RECORD = struct.Struct("<BHQQQ32s")
_CRC = struct.Struct("<I")
_PUT, _DROP = 1, 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is. slot: counted in pages from the start of the data file. labels, hash: as in `Page`."""

    slot: int
    labels: bytes
    hash: bytes


def _record(kind: int, key: PageKey, place: Place) -> bytes:
    body = _RECORD.pack(kind, len(place.labels), key.shard, key.number, place.slot, place.hash) + place.labels
    return body + _CRC.pack(zlib.crc32(body))


def put_record(key: PageKey, place: Place) -> bytes:
    """The page is at this place from now on."""
    return _record(_PUT, key, place)


def drop_record(key: PageKey) -> bytes:
    """The page is forgotten."""
    return _record(_DROP, key, Place(0, b"", bytes(32)))


class PageJournal:
    """path: the journal; made when it is not there. Raises TierFormatError for a file that is none, or is for another
    page size. A record that a crash has torn, and what follows it, was never acknowledged and is cut off."""

    def __init__(self, path: Path, page_bytes: int) -> None:
        self._path = path
        self._page_bytes = page_bytes
        self.places: dict[PageKey, Place] = {}
        self.records = 0
        if not path.exists() or path.stat().st_size < _HEADER.size:
            self._replace([])
        else:
            self._read()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def _read(self) -> None:
        content = self._path.read_bytes()
        magic, page_bytes = _HEADER.unpack_from(content)
        if magic != _MAGIC:
            raise TierFormatError(f"{self._path} is no journal of pages")
        if page_bytes != self._page_bytes:
            raise TierFormatError(f"{self._path} is for pages of {page_bytes} bytes, not {self._page_bytes}")
        position = _HEADER.size
        while position + _RECORD.size + _CRC.size <= len(content):
            kind, size, shard, number, slot, found = _RECORD.unpack_from(content, position)
            end = position + _RECORD.size + size
            if size > 2 * leaves_in(self._page_bytes) or end + _CRC.size > len(content):
                break
            if _CRC.unpack_from(content, end)[0] != zlib.crc32(content[position:end]):
                break
            if kind == _PUT:
                self.places[PageKey(shard, number)] = Place(slot, content[position + _RECORD.size : end], found)
            else:
                self.places.pop(PageKey(shard, number), None)
            self.records += 1
            position = end + _CRC.size
        if position < len(content):
            os.truncate(self._path, position)

    def append(self, records: Iterable[bytes]) -> None:
        """Adds records; they are safe when this returns. Raises OSError; half of a record may then stand there, so
        `rewrite` must come next."""
        records = list(records)
        content = b"".join(records)
        if os.write(self._file, content) != len(content):
            raise OSError(28, "the journal took only a part of its records")
        os.fdatasync(self._file)
        self.records += len(records)

    def rewrite(self, places: Iterable[tuple[PageKey, Place]]) -> None:
        """Replaces the journal by these puts, all at once. Raises OSError, and the journal is as it was."""
        self._replace([put_record(key, place) for key, place in places])
        os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def _replace(self, records: list[bytes]) -> None:
        temporary = self._path.with_name(self._path.name + ".part")
        with open(temporary, "wb") as file:
            file.write(_HEADER.pack(_MAGIC, self._page_bytes))
            file.write(b"".join(records))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.records = len(records)

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._file)
