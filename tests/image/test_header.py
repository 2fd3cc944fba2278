"""A header that a hash vouches for is still judged field by field."""

import hashlib
import json
import struct
from dataclasses import replace
from typing import Any

import pytest

from vac.engines.registry import create_machine
from vac.host.session import Host
from vac.image.image import MAGIC, Image, ImageError, Segment, Window

IMAGE = Image(0, 2, 4, (Segment(0, 0, 4, b"\x01\x01\x01\x02"),), ((0, Window(1, 0, 4096, 3)),), name="small")


def with_header(**changes: Any) -> bytes:
    """The image's bytes with some header fields replaced, and a hash that matches."""
    content = IMAGE.to_bytes()
    start = len(MAGIC) + 4
    (length,) = struct.unpack_from("<I", content, len(MAGIC))
    header = json.loads(content[start : start + length]) | changes
    text = json.dumps(header).encode()
    body = MAGIC + struct.pack("<I", len(text)) + text + content[start + length : -32]
    return body + hashlib.sha256(body).digest()


def test_an_unchanged_header_loads() -> None:
    assert Image.from_bytes(with_header()) == IMAGE


@pytest.mark.parametrize(
    "change",
    [
        {"entry": 1.5}, {"entry": "0"}, {"code_length": 4.0}, {"name": 7}, {"has_labels": 1}, {"table": []},
        {"table": [0, -1]}, {"table": None}, {"windows": [[0.0, 1, 0, 4096, 3]]}, {"windows": [[0]]},
        {"windows": {"0": 1}}, {"segments": [[0, 0, 4]]}, {"segments": 3}, {"frame": True}, {"isa_version": 99},
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ImageError):
        Image.from_bytes(with_header(**change))


def test_memory_that_is_too_much_to_load_at_once_is_refused_before_it_is_made() -> None:
    image = replace(IMAGE, segments=(*IMAGE.segments, Segment(1, 0, 1 << 32, b"")))
    image.check()
    for load in (image.leaves, lambda: create_machine("golden").load(image)):
        with pytest.raises(ImageError, match="more than 256 MiB of memory"):
            load()
    host = Host(create_machine("fast"), image)
    assert host.memory.leaf(1, (1 << 20) - 1).data == bytes(4096)
    assert Segment(1, 5000, 0, b"").leaf_keys() == [] and Segment(1, 5000, 4096, b"").leaf_keys() == [(1, 1), (1, 2)]
