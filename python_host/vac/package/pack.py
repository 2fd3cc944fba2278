"""Makes packages: the same program and the same description always give the same bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..files.durable import write_durably
from ..host.capabilities import CAPABILITY_OF_DEVICE
from ..image.image import Image
from .archive import encode_archive
from .errors import ManifestError, PackageError
from .image_file import IMAGE_SUFFIX, decode_head
from .image_source import ImageFile, load_chain
from .manifest import (
    ARCHIVE_SUFFIX,
    MANIFEST_SUFFIX,
    SIGNATURE_SUFFIX,
    DeviceSpec,
    ImageReference,
    Manifest,
    Quotas,
    blake3_text,
    rfc3339,
)
from .package import Package
from .page_table import encode_image

_UNLIMITED = Quotas()


@dataclass(frozen=True)
class Description:
    """What a manifest says beside the program; `Manifest` says what each field means.

    devices: by address such as "0x00"; None for one at each address that a granted capability is for. created: seconds
    since 1970.
    """

    name: str
    caps: Sequence[str] = ()
    devices: Mapping[str, DeviceSpec] | None = None
    quotas: Quotas = _UNLIMITED
    labels: Mapping[str, int] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    policy: str | None = None
    quota_class: str | None = None
    author: str | None = None
    created: int = 0


def pack(image: Image, description: Description, parents: Sequence[ImageFile] = ()) -> Package:
    """A package in memory. parents: the image to stand on and those that it stands on itself, nearest first; what they
    hold is not stored again.

    Raises ImageError for a program that no machine could load, ManifestError where the description is none.
    """
    name = description.name
    _check_policy(description)
    content = encode_image(image, load_chain(list(parents)) if parents else None)
    chain = [ImageFile(name + IMAGE_SUFFIX, content, decode_head(content)), *parents]
    devices = description.devices
    if devices is None:
        devices = {
            f"{device:#04x}": DeviceSpec(kind=device.name.lower())
            for device, capability in sorted(CAPABILITY_OF_DEVICE.items())
            if str(capability.name).lower() in description.caps
        }
    try:
        created = rfc3339(description.created)
    except ValueError as error:
        raise PackageError(str(error)) from error
    manifest = Manifest.build(
        name=name,
        isa_version=image.isa_version,
        entrypoint=image.entry,
        bytecode_hash=blake3_text(image.code),
        caps={cap: True for cap in description.caps},
        devices=dict(devices),
        quotas=description.quotas,
        quota_class=description.quota_class,
        labels=dict(description.labels),
        images=tuple(_reference(file) for file in chain),
        seeds=dict(description.seeds),
        policy=description.policy,
        author=description.author,
        signature=name + SIGNATURE_SUFFIX,
        creation_time=created,
    )
    members = {name + MANIFEST_SUFFIX: manifest.to_bytes()} | {file.name: file.content for file in chain}
    return Package.from_members(members, Path(name + ARCHIVE_SUFFIX))


def _check_policy(description: Description) -> None:
    if description.policy is None:
        return
    from ..policy.errors import PolicyError  # the parser of policies takes its time
    from ..policy.soul_law import SoulLaw

    try:
        SoulLaw.parse(description.policy, description.labels, "policy")
    except PolicyError as error:
        raise ManifestError(str(error)) from error


def _reference(file: ImageFile) -> ImageReference:
    return ImageReference.make(
        file=file.name,
        digest=blake3_text(file.content),
        root=file.head.root.hex(),
        parent=file.head.parent.hex() if file.head.parent else None,
        blobs=tuple(f"blake3:{blob.hash.hex()}" for blob in file.head.blobs),
    )


def name_from(path: Path) -> str:
    """A package name made of a file name: without its suffix, and with '-' for what no such name may hold."""
    stem = path.name.removesuffix(MANIFEST_SUFFIX).removesuffix(path.suffix) if path.suffix else path.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "package"


def write_archive(package: Package, path: Path) -> None:
    """Writes a package as one file. Raises OSError."""
    write_durably(path, encode_archive(package.files))


def write_signature(package: Package, envelope: bytes) -> Path:
    """Puts a signature file where the package is; returns the path written. Raises OSError."""
    assert package.manifest.signature
    if package.path.name == package.manifest_name:
        path = package.path.with_name(package.manifest.signature)
        write_durably(path, envelope)
        return path
    write_durably(package.path, encode_archive({**package.files, package.manifest.signature: envelope}))
    return package.path


def write_files(package: Package, folder: Path) -> list[Path]:
    """Writes a package's files into a folder, the manifest last: where it is, everything that it names is.

    A file that is there already with the same bytes is left alone. Returns the paths. Raises OSError.
    """
    names = sorted(package.files.keys() - {package.manifest_name})
    paths = [folder / name for name in (*names, package.manifest_name)]
    for path in paths:
        content = package.files[path.name]
        if path.is_symlink() or not (path.is_file() and path.read_bytes() == content):
            write_durably(path, content)
    return paths
