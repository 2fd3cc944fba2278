"""Images whose hashes are right and whose contents mean harm: refused, in bounded memory."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest
import zstandard
from blake3 import blake3
from tests.package.programs import leaf_of

from vac.image.image import Image, Segment
from vac.package.errors import ImageFileError, ParentError
from vac.package.image_file import (
    IN_PARENT,
    PAGED_MAGIC,
    BlobRow,
    ImageHead,
    PageRow,
    decode_head,
    encode_image_file,
    pack_blobs,
)
from vac.package.page_table import LoadedImage, encode_image, load_file, page_hash

IMAGE = Image(0, 0, 1, (Segment(0, 0, 1, b"\2"), Segment(1, 0, 8192, leaf_of(1) + leaf_of(2))), name="small")
WHOLE = encode_image(IMAGE)
HEAD = decode_head(WHOLE)
BLOB = WHOLE[HEAD.size :]
MOST_BYTES = 24 << 20
"""More than anything small may need; far less than what the hostile ones say they hold."""


def load(content: bytes, parent: LoadedImage | None = None) -> LoadedImage:
    return load_file(content, decode_head(content), parent)


def with_blob(blob: bytes) -> bytes:
    return encode_image_file(replace(HEAD, blobs=(BlobRow(len(blob), 3, blake3(blob).digest()),)), [blob])


def frame(data: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)  # pyright: ignore[reportArgumentType]


def liar() -> bytes:
    """A frame that says it holds a tebibyte: magic, descriptor with a size of eight bytes, one empty last block."""
    return struct.pack("<IBQ", 0xFD2FB528, 0xE0, 1 << 40) + b"\1\0\0"


THREE = b"".join(data for data in (b"\2" + bytes(4095), leaf_of(1), leaf_of(2)))


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (lambda: frame(bytes(1 << 28)), "says that it holds other than 12,288 bytes"),
        (liar, "says that it holds other than 12,288 bytes"),
        (lambda: frame(THREE, write_content_size=False), "says that it holds other than"),
        (lambda: frame(THREE, write_checksum=True), "says that it holds other than"),
        (lambda: frame(THREE) + frame(THREE), "no zstd frame"),
        (lambda: frame(THREE) + b"\0", "no zstd frame"),
        (lambda: frame(THREE)[:-1], "no zstd frame"),
        (lambda: b"", "no zstd frame"),
        (lambda: b"\x50\x2a\x4d\x18" + bytes(4), "blob 0"),
        (lambda: frame(bytes(12288)), "does not have the contents that its hash names"),
    ],
)
def test_blobs(blob: Callable[[], bytes], message: str) -> None:
    content = with_blob(blob())
    tracemalloc.start()
    try:
        with pytest.raises(ImageFileError, match=message):
            load(content)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("counts", [(1 << 32) - 1, (1 << 20) + 1, 1 << 20])
def test_counts_that_no_file_could_hold(counts: int) -> None:
    for place in (8, 12, 16):
        changed = WHOLE[:place] + struct.pack("<I", counts) + WHOLE[place + 4 :]
        with pytest.raises(ImageFileError, match=r"allowed|truncated"):
            load(changed)
    with pytest.raises(ImageFileError, match="first eight bytes"):
        load(b"VACIMG\0\3" + WHOLE[8:])
    for end in (0, 8, 19, 21, HEAD.size - 1):
        with pytest.raises(ImageFileError):
            load(WHOLE[:end])


def row(number: int, data: bytes, place: int, labels: int = 0, slot: int = 1) -> PageRow:
    return PageRow(slot, number, labels, place, page_hash(labels, data))


CODE = row(0, b"\2" + bytes(4095), 0, slot=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pages": HEAD.pages[::-1]}, "impossible row"),
        ({"pages": (*HEAD.pages, HEAD.pages[-1])}, "impossible row"),
        ({"pages": (*HEAD.pages, row(1 << 20, b"", 0))}, "impossible row"),
        ({"pages": (CODE, row(0, leaf_of(1), 2), row(1, leaf_of(2), 1))}, "lie at place"),
        ({"pages": HEAD.pages[:2]}, "names 2 stored leaves, the blobs hold 3"),
        ({"pages": (*HEAD.pages, row(2, leaf_of(3), 3))}, "names 4 stored leaves"),
        ({"pages": (*HEAD.pages, row(2, leaf_of(1), IN_PARENT))}, "said to be the parent's"),
        ({"pages": (*HEAD.pages, PageRow(1, 2, 0, IN_PARENT, bytes(32)))}, "said to be the parent's"),
        ({"pages": (*HEAD.pages[:2], replace(HEAD.pages[2], labels=1))}, "contents that its hash names"),
        ({"pages": (*HEAD.pages, replace(HEAD.pages[1], number=2, labels=1))}, "labels that its hash names"),
        ({"root": bytes(32)}, "but its header says 0000"),
        ({"program": replace(HEAD.program, frame=3)}, "registers and leaves of the image give root"),
        ({"program": replace(HEAD.program, entry=1)}, "entry point 0x1 is outside"),
        ({"extents": ((0, 0, 1),)}, "outside every extent"),
        ({"extents": ((0, 0, 1), (1, 0, 4096), (1, 4096, 4096))}, "touches another or is out of order"),
        ({"extents": ((1, 0, 8192), (0, 0, 1))}, "touches another or is out of order"),
        ({"extents": ((0, 0, 1), (1, 0, 1 << 33))}, "impossible extent"),
        ({"extents": ((0, 0, 1), (256, 0, 8))}, "impossible extent"),
        ({"extents": ((0, 0, 1), (1, 0, 8192), (2, 0, 0))}, "impossible extent"),
        ({"blobs": (replace(HEAD.blobs[0], leaves=0),)}, "blob 0 of the image is said to hold 0 leaves"),
        ({"blobs": (replace(HEAD.blobs[0], leaves=257),)}, "said to hold 257 leaves"),
        ({"blobs": (*HEAD.blobs, HEAD.blobs[0])}, "blob 0 of the image is said to hold 3 leaves"),
    ],
)  # fmt: skip
def test_tables(change: dict[str, object], message: str) -> None:
    head: ImageHead = replace(HEAD, **change)
    with pytest.raises(ImageFileError, match=message):
        load(encode_image_file(head, [BLOB] * len(head.blobs)))


def test_a_leaf_of_zeros_is_not_stored() -> None:
    rows, blobs = pack_blobs([b"\2" + bytes(4095), bytes(4096)])
    head = replace(HEAD, pages=(CODE, row(0, bytes(4096), 1)), blobs=rows)
    with pytest.raises(ImageFileError, match="contents that its hash names"):
        load(encode_image_file(head, blobs))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"entry":0', b'"entry":0.0'),
        (b'"entry":0', b'"entry":false'),
        (b'"entry":0', b'"entry": 0'),
        (b'"name":"small"', b'"name":"sm\\u0061ll"'),
        (b'"name":"small"', b'"name":3'),
        (b'"table":[0,0]', b'"table":[0]'),
        (b'"parent":null', b'"parent":"00"'),
        (b'"parent":null', b'"parent":1'),
        (b'"windows":[]', b'"windows":[[0]]'),
        (b'"windows":[]', b'"windows":[[16,0,0,0,0]]'),
        (b'"windows":[]', b'"windows":' + b"[" * 50_000),
        (b'"isa_version":1', b'"isa_version":99'),
        (b'{"code', b'{"surplus":1,"code'),
        (b'"frame":0', b'"frame":' + b"9" * 5000),
    ],
)
def test_headers(old: bytes, new: bytes) -> None:
    size = struct.unpack_from("<I", WHOLE, 8)[0]
    header = WHOLE[20 : 20 + size].replace(old, new)
    assert header != WHOLE[20 : 20 + size]
    front = PAGED_MAGIC + struct.pack("<I", len(header)) + WHOLE[12:20] + header + WHOLE[20 + size : HEAD.size - 32]
    with pytest.raises(ImageFileError):
        load(front + blake3(front).digest() + BLOB)


def test_a_sparse_image_stays_small() -> None:
    """Four leaves all over four gibibytes."""
    places = [0, 1 << 28, 1 << 31, (1 << 32) - 4096]
    segments = (Segment(1, 0, 1 << 32, b""), *(Segment(1, at, 4096, leaf_of(at >> 12 | 1)) for at in places))
    tracemalloc.start()
    try:
        loaded = load(encode_image(Image(0, 0, 1, (Segment(0, 0, 1, b"\2"), *segments))))
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert [segment.offset for segment in loaded.image.segments[1:]] == places
    assert all(segment.data in leaf_of(segment.offset >> 12 | 1) for segment in loaded.image.segments[1:])


def test_parents_are_known_by_their_roots() -> None:
    parent, other = load(WHOLE), load(encode_image(replace(IMAGE, frame=1)))
    child = encode_image(replace(IMAGE, segments=IMAGE.segments[:1]), parent)
    assert [page.is_gone for page in decode_head(child).pages] == [True, True]
    assert load(child, parent).pages.keys() == {(0, 0)}
    for given, found in ((None, None), (other, other.root)):
        with pytest.raises(ParentError, match=parent.root.hex()) as caught:
            load(child, given)
        assert (caught.value.expected, caught.value.found) == (parent.root, found)
        assert found is None or found.hex() in str(caught.value)
    gone = replace(decode_head(child), pages=(PageRow(2, 0, 0, IN_PARENT, bytes(32)),))
    with pytest.raises(ImageFileError, match="taken away, but the parent has none"):
        load(encode_image_file(gone, []), parent)
    unknown = replace(decode_head(child), pages=(row(5, leaf_of(9), IN_PARENT),))
    with pytest.raises(ImageFileError, match="no parent stores the contents of leaf 5 of slot 1"):
        load(encode_image_file(unknown, []), parent)
