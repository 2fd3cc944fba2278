"""The program image and its file format.

A file is: the 8 bytes ``VACIMG`` 0 1, the header's length as u32, the header as UTF-8 JSON with sorted keys and no
spaces, the segments' bytes one after another in header order, and the SHA-256 of everything before it. All integers
are little-endian. The same image always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.durable import write_whole
from ..isa.limits import (
    CELL_MASK,
    CODE_SLOT,
    ISA_VERSION,
    LABEL_BITS,
    LEAF_BITS,
    LEAF_BYTES,
    MAX_CODE_BYTES,
    MAX_WINDOW_BYTES,
    RETURN_STACK_CELLS,
    SLOT_BITS,
    WINDOWS,
)

MAGIC = b"VACIMG\x00\x01"
MOST_LEAVES = 1 << 16
"""That `Image.leaves` gives: 256 MiB."""
_DIGEST_BYTES = 32


class ImageError(Exception):
    """The image is damaged, truncated, or says something that no machine can do."""


PERMISSION_READ = 1
PERMISSION_WRITE = 2


@dataclass(frozen=True)
class Window:
    """A capability: `length` bytes from `base` of a shard slot, with permissions (1 read, 2 write).

    base: u32, a multiple of four. length: 0 to 2**28 bytes. An empty window has permissions 0.
    """

    slot: int = 0
    base: int = 0
    length: int = 0
    permissions: int = 0

    def check(self) -> None:
        """Raises ImageError when a field is out of range."""
        if not (
            0 <= self.slot < 1 << SLOT_BITS
            and 0 <= self.base <= CELL_MASK
            and self.base % 4 == 0
            and 0 <= self.length <= MAX_WINDOW_BYTES
            and self.base + self.length <= 1 << 32
            and 0 <= self.permissions <= PERMISSION_READ | PERMISSION_WRITE
        ):
            raise ImageError(
                f"impossible window on slot {self.slot}: base {self.base:#x}, {self.length} bytes, permissions "
                f"{self.permissions}; the base is a multiple of four, the length at most {MAX_WINDOW_BYTES}, both "
                f"together at most {1 << 32}, permissions are 0 to 3"
            )


@dataclass(frozen=True)
class Segment:
    """Initial contents: `data` at `offset` of a shard slot, then zeros up to `length` bytes.

    labels: label set, 16 bits, that every leaf carries from the start of which the segment holds a byte.
    """

    slot: int
    offset: int
    length: int
    data: bytes
    labels: int = 0

    def leaf_keys(self) -> list[tuple[int, int]]:
        """(slot, leaf number) of each leaf of which the segment holds a byte."""
        return [(self.slot, number) for number in self.leaf_range]

    @property
    def leaf_range(self) -> range:
        """Numbers of these leaves."""
        end = self.offset + self.length if self.length else 0
        return range(self.offset >> LEAF_BITS, -(-end // LEAF_BYTES))


@dataclass(frozen=True)
class Image:
    """Everything that a run starts from, but its inputs.

    code_length: bytes of the code segment (slot 0 from offset 0). entry: first pc. frame: locals of the outermost
    frame. table_base, table_entries: function table inside the code segment, one cell an entry: target in the low 24
    bits, frame size above. windows: window registers by index. has_labels: information-flow labels are tracked.
    """

    entry: int
    frame: int
    code_length: int
    segments: tuple[Segment, ...]
    windows: tuple[tuple[int, Window], ...] = ()
    table_base: int = 0
    table_entries: int = 0
    has_labels: bool = False
    isa_version: int = ISA_VERSION
    name: str = ""

    def check(self) -> None:
        """Raises ImageError for anything that no machine could load."""
        if self.isa_version != ISA_VERSION:
            raise ImageError(f"image is for ISA version {self.isa_version}, this machine has {ISA_VERSION}")
        if not 0 < self.code_length <= MAX_CODE_BYTES:
            raise ImageError(f"code segment of {self.code_length} bytes; 1 to {MAX_CODE_BYTES} are possible")
        if not 0 <= self.entry < self.code_length:
            raise ImageError(f"entry point {self.entry:#x} is outside the code segment of {self.code_length} bytes")
        if not 0 <= self.frame <= RETURN_STACK_CELLS:
            raise ImageError(f"frame of {self.frame} locals; the return stack has {RETURN_STACK_CELLS} cells")
        if (
            self.table_entries < 0
            or self.table_base % 4
            or not 0 <= self.table_base <= self.code_length - 4 * self.table_entries
        ):
            raise ImageError("function table lies outside the code segment or is not aligned to four bytes")
        for index, window in self.windows:
            if not 0 <= index < WINDOWS:
                raise ImageError(f"window {index} does not exist; there are {WINDOWS}")
            window.check()
        for segment in self.segments:
            if not (
                0 <= segment.slot < 1 << SLOT_BITS
                and segment.offset >= 0
                and len(segment.data) <= segment.length
                and segment.offset + segment.length <= 1 << 32
            ):
                raise ImageError(f"impossible segment at slot {segment.slot}, offset {segment.offset:#x}")
            if segment.labels and not (self.has_labels and segment.length and 0 < segment.labels < 1 << LABEL_BITS):
                raise ImageError(
                    f"the segment at slot {segment.slot}, offset {segment.offset:#x} has labels {segment.labels:#x}: "
                    f"{f'there are {LABEL_BITS}' if self.has_labels else 'the image does not track any'}"
                )

    @property
    def code(self) -> bytes:
        """The code segment's initial bytes, `code_length` long."""
        code = bytearray(self.code_length)
        for segment in self.segments:
            if segment.slot == CODE_SLOT and segment.offset < self.code_length:
                part = segment.data[: self.code_length - segment.offset]
                code[segment.offset : segment.offset + len(part)] = part
        return bytes(code)

    def leaves(self) -> dict[tuple[int, int], bytes]:
        """Initial memory as 4 KiB leaves, by (slot, leaf number); every leaf that a segment touches is there.

        Raises ImageError where these are more than MOST_LEAVES: a `Host` gives an engine only what it asks for.
        """
        if sum(len(segment.leaf_range) for segment in self.segments) > MOST_LEAVES:
            raise ImageError(
                f"the image has more than {MOST_LEAVES * LEAF_BYTES >> 20} MiB of memory, too much to load all of "
                "it at once; run it by a Host"
            )
        leaves: dict[tuple[int, int], bytearray] = {}
        for segment in self.segments:
            for number in segment.leaf_range:
                leaf = leaves.setdefault((segment.slot, number), bytearray(LEAF_BYTES))
                start = number << LEAF_BITS
                first = max(start, segment.offset)
                part = segment.data[first - segment.offset : start + LEAF_BYTES - segment.offset]
                leaf[first - start : first - start + len(part)] = part
        return {key: bytes(leaf) for key, leaf in leaves.items()}

    def leaf_labels(self) -> dict[tuple[int, int], int]:
        """Label set of each leaf that carries labels from the start, by (slot, leaf number)."""
        found: dict[tuple[int, int], int] = {}
        for segment in self.segments:
            if segment.labels:
                for key in segment.leaf_keys():
                    found[key] = found.get(key, 0) | segment.labels
        return found

    def to_bytes(self) -> bytes:
        """The file's bytes. Raises ImageError where a segment is labelled: only the page-table form can say that."""
        if any(segment.labels for segment in self.segments):
            raise ImageError("a segment of the image is labelled; write it in the page-table form (`vac pack`)")
        header = {
            "isa_version": self.isa_version,
            "name": self.name,
            "entry": self.entry,
            "frame": self.frame,
            "code_length": self.code_length,
            "table": [self.table_base, self.table_entries],
            "has_labels": self.has_labels,
            "windows": [[index, w.slot, w.base, w.length, w.permissions] for index, w in self.windows],
            "segments": [[s.slot, s.offset, s.length, len(s.data)] for s in self.segments],
        }
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        body = MAGIC + struct.pack("<I", len(text)) + text + b"".join(s.data for s in self.segments)
        return body + hashlib.sha256(body).digest()

    @staticmethod
    def from_bytes(content: bytes) -> Image:
        """Inverse of `to_bytes`. Raises ImageError for anything that is not exactly one valid image."""
        if content.startswith(MAGIC[:-1] + b"\2"):
            raise ImageError("the image is in the page-table form, which vac.package reads")
        if not content.startswith(MAGIC):
            raise ImageError("not a VAC image: the first eight bytes differ")
        body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if len(content) < len(MAGIC) + 4 + _DIGEST_BYTES or hashlib.sha256(body).digest() != digest:
            raise ImageError("image is damaged or truncated: its SHA-256 does not match")
        try:
            (length,) = struct.unpack_from("<I", body, len(MAGIC))
            start = len(MAGIC) + 4
            return _from_header(json.loads(body[start : start + length]), body[start + length :])
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, struct.error) as error:
            raise ImageError(f"image header is malformed: {error}") from error

    def save(self, path: Path) -> None:
        """Writes the file so that no half-written image is ever seen. Raises OSError."""
        write_whole(path, self.to_bytes())

    @staticmethod
    def load(path: Path) -> Image:
        """Reads a file. Raises ImageError, naming the path, or OSError."""
        try:
            return Image.from_bytes(path.read_bytes())
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error


def _check_types(header: dict[str, Any]) -> None:
    """Raises TypeError where a field has another type than `to_bytes` writes: JSON would let 1.5 or "1" pass."""
    numbers = [header[name] for name in ("isa_version", "entry", "frame", "code_length")] + header["table"]
    for name, width in (("windows", 5), ("segments", 4)):
        for row in header[name]:
            if len(row) != width:
                raise TypeError(f"an entry of {name} has {len(row)} numbers, not {width}")
            numbers += row
    if any(type(number) is not int for number in numbers) or len(header["table"]) != 2:
        raise TypeError("a number is expected where something else stands")
    if type(header["name"]) is not str or type(header["has_labels"]) is not bool:
        raise TypeError("name or has_labels is of another type")


def _from_header(header: dict[str, Any], blobs: bytes) -> Image:
    _check_types(header)
    segments: list[Segment] = []
    position = 0
    for slot, offset, length, size in header["segments"]:
        segments.append(Segment(slot, offset, length, blobs[position : position + size]))
        position += size
    if position != len(blobs):
        raise ImageError(f"segments add up to {position} bytes, the file holds {len(blobs)}")
    image = Image(
        entry=header["entry"],
        frame=header["frame"],
        code_length=header["code_length"],
        segments=tuple(segments),
        windows=tuple((index, Window(*fields)) for index, *fields in header["windows"]),
        table_base=header["table"][0],
        table_entries=header["table"][1],
        has_labels=header["has_labels"],
        isa_version=header["isa_version"],
        name=header["name"],
    )
    image.check()
    return image
