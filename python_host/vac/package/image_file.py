"""The page-table form of `.vacimg`: which leaf holds what, over a parent image or over nothing.

All integers are little-endian. A file is, in this order:

- the 8 bytes ``VACIMG`` 0 2, then three u32: bytes of the header, rows of the page table, rows of the blob table;
- the header: UTF-8 JSON with sorted keys and no spaces;
- the page table: rows of 44 bytes in ascending order of (slot, leaf number): slot u8, zero u8, labels u16, leaf number
  u32, place u32, leaf hash (32 bytes);
- the blob table: rows of 40 bytes: stored bytes u32, leaves u32, BLAKE3 of the stored bytes (32 bytes);
- BLAKE3 of everything so far (32 bytes);
- the blobs: zstd frames of up to 256 leaves each, all but the last of 256.

A leaf hash is that of `vac.commitment.memory_tree`, so it covers contents and labels. Leaves are numbered through all
blobs; `place` is that number, given out in the order of the page table to leaf hashes that are new. IN_PARENT stands
where the parent, or one of its own, stores a leaf of this hash, and with a hash of zeros where the parent's leaf is
gone. Without a row a leaf is the parent's, and without a parent zeros.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import zstandard
from blake3 import blake3

from ..commitment.hashing import HASH_BYTES
from ..image.image import Image, ImageError, Window
from ..isa.limits import CELL_BITS, LEAF_BITS, LEAF_BYTES
from .canonical import compact_json, parse_json
from .errors import ImageFileError

IMAGE_SUFFIX = ".vacimg"
PAGED_MAGIC = b"VACIMG\x00\x02"
IN_PARENT = 0xFFFFFFFF
GONE = bytes(HASH_BYTES)
BLOB_LEAVES = 256
MOST_HEADER_BYTES = 1 << 20
MOST_LEAVES = 1 << 20
"""Leaves that one image can fill: 4 GiB."""

_START = struct.Struct("<8sIII")
_PAGE_ROW = struct.Struct("<BBHII32s")
_BLOB_ROW = struct.Struct("<II32s")
_ZSTD_LEVEL = 3
_NUMBERS = 1 << CELL_BITS - LEAF_BITS


@dataclass(frozen=True, slots=True)
class PageRow:
    """One row of the page table. labels: u16. number: leaf number. place: see above. hash: 32 bytes."""

    slot: int
    number: int
    labels: int
    place: int
    hash: bytes

    @property
    def is_gone(self) -> bool:
        return self.hash == GONE


@dataclass(frozen=True, slots=True)
class BlobRow:
    """One row of the blob table. size: stored bytes. hash: BLAKE3 of them."""

    size: int
    leaves: int
    hash: bytes


@dataclass(frozen=True)
class ImageHead:
    """Everything of an image file but the blobs.

    program: an image without segments. extents: (slot, offset, length) of what the program declares, in ascending order
    and with space between; what the pages hold lies in them. parent: root of the parent image, None without. root:
    state root of a machine that was just loaded. size: bytes of this head in the file.
    """

    program: Image
    extents: tuple[tuple[int, int, int], ...]
    parent: bytes | None
    root: bytes
    pages: tuple[PageRow, ...]
    blobs: tuple[BlobRow, ...]
    size: int = 0

    @property
    def stored_leaves(self) -> int:
        return sum(blob.leaves for blob in self.blobs)


def pack_blobs(leaves: Sequence[bytes]) -> tuple[tuple[BlobRow, ...], list[bytes]]:
    """Blob table and blobs of these leaves, 4096 bytes each, in order."""
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=False, write_content_size=True)
    blobs = [
        compressor.compress(b"".join(leaves[first : first + BLOB_LEAVES]))
        for first in range(0, len(leaves), BLOB_LEAVES)
    ]
    rows = tuple(
        BlobRow(len(blob), min(BLOB_LEAVES, len(leaves) - index * BLOB_LEAVES), blake3(blob).digest())
        for index, blob in enumerate(blobs)
    )
    return rows, blobs


def encode_image_file(head: ImageHead, blobs: Sequence[bytes]) -> bytes:
    """The file's bytes; inverse of `decode_head` and `read_leaves`."""
    header = compact_json(_header_fields(head))
    start = _START.pack(PAGED_MAGIC, len(header), len(head.pages), len(head.blobs))
    pages = (_PAGE_ROW.pack(row.slot, 0, row.labels, row.number, row.place, row.hash) for row in head.pages)
    rows = (_BLOB_ROW.pack(row.size, row.leaves, row.hash) for row in head.blobs)
    front = b"".join((start, header, *pages, *rows))
    return b"".join((front, blake3(front).digest(), *blobs))


def _header_fields(head: ImageHead) -> dict[str, Any]:
    program = head.program
    return {
        "isa_version": program.isa_version,
        "name": program.name,
        "entry": program.entry,
        "frame": program.frame,
        "code_length": program.code_length,
        "table": [program.table_base, program.table_entries],
        "has_labels": program.has_labels,
        "windows": [[index, w.slot, w.base, w.length, w.permissions] for index, w in program.windows],
        "extents": [list(extent) for extent in head.extents],
        "parent": head.parent.hex() if head.parent else None,
        "root": head.root.hex(),
    }


def head_bytes(start: bytes) -> int:
    """Length of the head, from the file's first 20 bytes. Raises ImageFileError."""
    if len(start) < _START.size or not start.startswith(PAGED_MAGIC):
        raise ImageFileError("not a VAC image in the page-table form: the first eight bytes differ")
    _, header, pages, blobs = _START.unpack_from(start)
    if header > MOST_HEADER_BYTES:
        raise ImageFileError(f"the header would have {header:,} bytes; {MOST_HEADER_BYTES:,} are allowed")
    if pages > MOST_LEAVES or blobs > MOST_LEAVES:
        raise ImageFileError(f"the tables would have {max(pages, blobs):,} rows; {MOST_LEAVES:,} are allowed")
    return _START.size + header + pages * _PAGE_ROW.size + blobs * _BLOB_ROW.size + HASH_BYTES


START_BYTES = _START.size


def decode_head(content: bytes) -> ImageHead:
    """Reads the head of a file and judges it, as far as that can be done without parent and blobs.

    content: the file, or its first `head_bytes` bytes. Raises ImageFileError, naming the part that is wrong.
    """
    size = head_bytes(content)
    if len(content) < size:
        raise ImageFileError(f"image is truncated: its tables need {size:,} bytes, {len(content):,} are there")
    front = content[: size - HASH_BYTES]
    if blake3(front).digest() != content[size - HASH_BYTES : size]:
        raise ImageFileError("the header or a table of the image is damaged: the BLAKE3 over them does not match")
    _, header_size, page_count, _ = _START.unpack_from(front)
    rows_at = _START.size + header_size
    blobs_at = rows_at + page_count * _PAGE_ROW.size
    header = front[_START.size : rows_at]
    try:
        fields = parse_json(header, MOST_HEADER_BYTES)
        if compact_json(fields) != header:
            raise ValueError("it is not written in the one canonical way")
        program, extents, parent, root = _read_header(fields)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ImageFileError(f"the image's header is malformed: {error}") from error
    except ImageError as error:
        raise ImageFileError(str(error)) from error
    blobs = tuple(BlobRow(*row) for row in _BLOB_ROW.iter_unpack(front[blobs_at:]))
    pages = tuple(_read_pages(front[rows_at:blobs_at], parent is not None))
    head = ImageHead(program, extents, parent, root, pages, blobs, size)
    _check_blob_rows(head)
    _check_places(head)
    return head


def _read_header(fields: dict[str, Any]) -> tuple[Image, tuple[tuple[int, int, int], ...], bytes | None, bytes]:
    expected = {
        "isa_version", "name", "entry", "frame", "code_length", "table", "has_labels", "windows", "extents", "parent",
        "root",
    }  # fmt: skip
    if set(fields) != expected:
        raise ValueError(f"its fields are {sorted(fields)}, not {sorted(expected)}")
    numbers = [fields[name] for name in ("isa_version", "entry", "frame", "code_length")] + fields["table"]
    for name, width in (("windows", 5), ("extents", 3)):
        for row in fields[name]:
            if len(row) != width:
                raise TypeError(f"an entry of {name} has {len(row)} numbers, not {width}")
            numbers += row
    if any(type(number) is not int for number in numbers) or len(fields["table"]) != 2:
        raise TypeError("a number is expected where something else stands")
    if type(fields["name"]) is not str or type(fields["has_labels"]) is not bool:
        raise TypeError("name or has_labels is of another type")
    program = Image(
        entry=fields["entry"],
        frame=fields["frame"],
        code_length=fields["code_length"],
        segments=(),
        windows=tuple((index, Window(*rest)) for index, *rest in fields["windows"]),
        table_base=fields["table"][0],
        table_entries=fields["table"][1],
        has_labels=fields["has_labels"],
        isa_version=fields["isa_version"],
        name=fields["name"],
    )
    program.check()
    parent = None if fields["parent"] is None else root_from_hex(fields["parent"])
    return program, _read_extents(fields["extents"]), parent, root_from_hex(fields["root"])


def root_from_hex(text: str) -> bytes:
    """32 bytes from 64 small hexadecimal digits. Raises ValueError."""
    root = bytes.fromhex(text)
    if len(root) != HASH_BYTES or root.hex() != text:
        raise ValueError(f"{text[:80]!r} is no root: 64 small hexadecimal digits are")
    return root


def _read_extents(rows: list[list[int]]) -> tuple[tuple[int, int, int], ...]:
    last = (-1, 0)
    extents: list[tuple[int, int, int]] = []
    for slot, offset, length in rows:
        if not (0 <= slot < 256 and offset >= 0 and length > 0 and offset + length <= 1 << CELL_BITS):
            raise ValueError(f"impossible extent at slot {slot}, offset {offset:#x}")
        if (slot, offset) <= last:
            raise ValueError(f"the extent at slot {slot}, offset {offset:#x} touches another or is out of order")
        last = (slot, offset + length)
        extents.append((slot, offset, length))
    return tuple(extents)


def _read_pages(table: bytes, has_parent: bool) -> Iterator[PageRow]:
    last = (-1, -1)
    for slot, padding, labels, number, place, digest in _PAGE_ROW.iter_unpack(table):
        if padding or number >= _NUMBERS or (slot, number) <= last:
            raise ImageFileError(f"the page table has an impossible row: slot {slot}, leaf {number}")
        last = (slot, number)
        row = PageRow(slot, number, labels, place, digest)
        if (place == IN_PARENT and not has_parent) or (row.is_gone and (place != IN_PARENT or labels)):
            raise ImageFileError(f"leaf {number} of slot {slot} is said to be the parent's; the row cannot be right")
        yield row


def _check_blob_rows(head: ImageHead) -> None:
    for index, blob in enumerate(head.blobs):
        is_last = index == len(head.blobs) - 1
        if not 1 <= blob.leaves <= BLOB_LEAVES or (not is_last and blob.leaves != BLOB_LEAVES):
            raise ImageFileError(f"blob {index} of the image is said to hold {blob.leaves} leaves")


def _check_places(head: ImageHead) -> None:
    """Places are given out in order, one to each new hash, and every stored leaf has one."""
    places: dict[bytes, int] = {}
    for row in head.pages:
        if row.place != IN_PARENT and places.setdefault(row.hash, len(places)) != row.place:
            raise ImageFileError(f"leaf {row.number} of slot {row.slot} is said to lie at place {row.place}")
    if len(places) != head.stored_leaves:
        raise ImageFileError(f"the page table names {len(places)} stored leaves, the blobs hold {head.stored_leaves}")


def read_leaves(content: bytes, head: ImageHead) -> Iterator[bytes]:
    """Every stored leaf, in order of its place, from the bytes of the whole file.

    Raises ImageFileError, naming the blob or its leaf, when anything differs from what the tables say.
    """
    expected = head.size + sum(blob.size for blob in head.blobs)
    if len(content) != expected:
        raise ImageFileError(f"image is truncated or too long: {expected:,} bytes expected, {len(content):,} are there")
    decompressor = zstandard.ZstdDecompressor(max_window_size=BLOB_LEAVES * LEAF_BYTES)
    view, at = memoryview(content), head.size
    for index, blob in enumerate(head.blobs):
        stored = view[at : at + blob.size]
        at += blob.size
        if blake3(stored).digest() != blob.hash:
            raise ImageFileError(f"blob {index} of the image is damaged: its BLAKE3 does not match")
        data = _decompressed(decompressor, stored, blob.leaves * LEAF_BYTES, index)
        for start in range(0, len(data), LEAF_BYTES):
            yield data[start : start + LEAF_BYTES]


def _decompressed(decompressor: zstandard.ZstdDecompressor, stored: memoryview, size: int, index: int) -> bytes:
    """Never more than `size` bytes: what a frame says of its size is compared before anything is made of it."""
    try:
        stated = zstandard.get_frame_parameters(stored)
        if stated.content_size != size or stated.dict_id or stated.has_checksum:
            raise ImageFileError(f"blob {index} of the image says that it holds other than {size:,} bytes")
        data = decompressor.decompress(stored, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ImageFileError(f"blob {index} of the image is no zstd frame: {error}") from error
    if len(data) != size:
        raise ImageFileError(f"blob {index} of the image holds {len(data):,} bytes, not {size:,}")
    return data
