"""What is fuzzed: readers of bytes that came from somewhere. Each either gives something or raises its typed error.

A hash over the bytes would turn every mutation away at the door, so a target also tries them *sealed*: with the hashes
made right, as somebody would who means harm.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..image.image import MAGIC, Image, ImageError, Segment, Window
from ..package.archive import decode_archive, encode_archive
from ..package.canonical import compact_json, parse_json, readable_json
from ..package.errors import ArchiveError, ImageFileError, ManifestError, PackageError, SignatureError
from ..package.image_file import IN_PARENT, PAGED_MAGIC, decode_head, encode_image_file, read_leaves
from ..package.manifest import MOST_MANIFEST_BYTES, DeviceSpec, Manifest, blake3_text
from ..package.pack import Description, pack
from ..package.package import Package
from ..package.page_table import LoadedImage, encode_image, initial_root, load_file, page_hash
from ..package.signing import MOST_ENVELOPE_BYTES, read_envelope, sign

_PATH = Path("fuzzed.vac")
_BLOCK = 512


@dataclass(frozen=True)
class Target:
    """read: takes any bytes; what it raises is a finding. seeds: inputs to begin with."""

    read: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


@cache
def _parent() -> LoadedImage:
    image = Image(0, 1, 5000, (Segment(0, 0, 5000, bytes(range(250)) * 20),), name="parent")
    content = encode_image(image)
    return load_file(content, decode_head(content), None)


@cache
def _package() -> Package:
    segments = (Segment(0, 0, 5000, bytes(range(250)) * 20), Segment(1, 100, 9000, b"data", 3))
    windows = ((0, Window(1, 0, 9100, 3)),)
    image = Image(4, 2, 5000, segments, windows, 16, 2, has_labels=True, name="seed")
    description = Description(
        "seed", caps=("console", "clock"), devices={"0x00": DeviceSpec(kind="console", options={"window": "arrived"})},
        labels={"secret": 3}, seeds={"entropy": 7}, policy="permit(principal, action, resource);", author="Ada",
    )  # fmt: skip
    made = pack(image, description)
    envelope = sign(made, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    return Package.from_members({**made.files, "seed.dsse.json": envelope}, _PATH)


# ---- manifest ----------------------------------------------------------------------------------------------------


def read_manifest(data: bytes) -> None:
    for content in (data, _sealed_manifest(data)):
        try:
            manifest = Manifest.from_bytes(content)
        except ManifestError:
            continue
        assert manifest.to_bytes() == content


def _sealed_manifest(data: bytes) -> bytes:
    try:
        fields = parse_json(data, MOST_MANIFEST_BYTES)
        fields["id"] = blake3_text(compact_json({name: value for name, value in fields.items() if name != "id"}))
        return readable_json(fields)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return data


# ---- images ------------------------------------------------------------------------------------------------------


def read_image(data: bytes) -> None:
    sealed = _sealed_image(data)
    for parent in (None, _parent()):
        for content in (data, sealed, _rerooted_image(sealed, parent)):
            try:
                loaded = load_file(content, decode_head(content), parent)
            except ImageFileError:
                continue
            again = encode_image(loaded.image, parent if loaded.head.parent else None)
            assert load_file(again, decode_head(again), parent).root == loaded.root
    with suppress(ImageError):
        assert Image.from_bytes(data).to_bytes()


def _sealed_image(data: bytes) -> bytes:
    """Counts kept in bounds, lengths and hashes made right; hashes of leaves and the root stay as they are."""
    if len(data) < 20:
        return data
    size, pages, blobs = (count % 4096 for count in struct.unpack_from("<III", data, 8))
    header, rest = data[20 : 20 + size], data[20 + size :]
    with suppress(ValueError, RecursionError):
        text = data[20:].decode("latin-1")
        fields, end = json.JSONDecoder().raw_decode(text)
        header, rest = compact_json(fields), text[end:].encode("latin-1")
    front = PAGED_MAGIC + struct.pack("<III", len(header), pages, blobs) + header + rest[: 44 * pages]
    rest = rest[44 * pages :]
    stored = rest[40 * blobs + 32 :]
    rows: list[bytes] = []
    at = 0
    for index in range(blobs):
        length, leaves = struct.unpack_from("<II", rest[40 * index :].ljust(8, b"\0"))
        end = len(stored) if index == blobs - 1 else at + length % 65536
        rows.append(struct.pack("<II", len(stored[at:end]), leaves) + blake3(stored[at:end]).digest())
        at = end
    head = front + b"".join(rows)
    return head + blake3(head).digest() + stored


def _rerooted_image(content: bytes, parent: LoadedImage | None) -> bytes:
    """The same with hashes of leaves and a root that are right, where it gets that far."""
    try:
        head = decode_head(content)
        leaves = list(read_leaves(content, head))
        rows = [
            row if row.place == IN_PARENT else replace(row, hash=page_hash(row.labels, leaves[row.place]))
            for row in head.pages
        ]
        pages = dict(parent.pages) if parent and head.parent else {}
        for row in rows:
            pages.pop((row.slot, row.number), None)
            if not row.is_gone:
                pages[row.slot, row.number] = row.hash
        below = parent.root if parent and head.parent else None
        sealed = replace(head, pages=tuple(rows), root=initial_root(head.program, pages), parent=below)
        return encode_image_file(sealed, [content[head.size :]])
    except (ImageFileError, struct.error, IndexError):
        return content


# ---- packages in one file ----------------------------------------------------------------------------------------


def read_archive(data: bytes) -> None:
    for content in (data, _sealed_archive(data)):
        try:
            members = decode_archive(content)
        except ArchiveError:
            continue
        assert encode_archive(members) == content
        assert not any("/" in name or name.startswith(".") or "\\" in name for name in members)
        try:
            Package.from_members(members, _PATH)
        except PackageError:
            continue


def _sealed_archive(data: bytes) -> bytes:
    """Check sums of all blocks that could be headers, made right."""
    content = bytearray(data)
    for at in range(0, len(content) - _BLOCK + 1, _BLOCK):
        if content[at + 257 : at + 262] == b"ustar":
            content[at + 148 : at + 156] = b"        "
            content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + _BLOCK])
    return bytes(content)


def _archive_seeds() -> list[bytes]:
    foreign = io.BytesIO()
    with tarfile.open(fileobj=foreign, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("../outside", "/etc/passwd", "ü" * 80):
            archive.addfile(tarfile.TarInfo(name))
    return [encode_archive(_package().files), encode_archive({"a": b"x"}), foreign.getvalue()]


# ---- signatures --------------------------------------------------------------------------------------------------


def read_signatures(data: bytes) -> None:
    for content in (data, _sealed_envelope(data)):
        try:
            read_envelope(content)
        except SignatureError:
            continue


def _sealed_envelope(data: bytes) -> bytes:
    try:
        return readable_json(parse_json(data, MOST_ENVELOPE_BYTES))
    except (ValueError, TypeError, RecursionError):
        return data


def _signature_seeds() -> list[bytes]:
    assert _package().signatures
    return [_package().signatures or b""]


def _image_seeds() -> list[bytes]:
    image = _package().image
    plain = Image(0, 0, 1, (Segment(0, 0, 1, b"\2"),))
    assert plain.to_bytes().startswith(MAGIC)
    return [encode_image(image), encode_image(image, _parent()), plain.to_bytes()]


TARGETS: dict[str, Target] = {
    "manifest": Target(read_manifest, lambda: [_package().files["seed.vac.json"]]),
    "image": Target(read_image, _image_seeds),
    "archive": Target(read_archive, _archive_seeds),
    "signatures": Target(read_signatures, _signature_seeds),
}
