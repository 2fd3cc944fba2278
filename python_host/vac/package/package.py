"""A package that was read and found whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..image.image import Image
from .archive import decode_archive
from .errors import ArchiveError, ImageFileError, ManifestError, ParentError
from .image_source import Folder, ImageFile, ImageSource, Members, Named, find_chain, load_chain, read_file
from .manifest import MANIFEST_SUFFIX, Manifest, blake3_text
from .page_table import LoadedImage


@dataclass(frozen=True)
class Package:
    """manifest, image: as the files say, checked against each other. root: state root of a machine that was just loaded
    with the image, 32 bytes. loaded: the image with its page table and parents. files: bytes of each file by the name
    that the manifest gives it. manifest_name: the manifest's own. path: where the package was read from.
    """

    manifest: Manifest
    image: Image
    root: bytes
    loaded: LoadedImage = field(repr=False)
    files: dict[str, bytes] = field(repr=False)
    manifest_name: str
    path: Path

    @staticmethod
    def open(path: Path | str, parents: Iterable[Path | str] = ()) -> Package:
        """Reads `NAME.vac`, `NAME.vac.json` with the files beside it, or a folder that holds one such manifest.

        parents: further image files among which to look for parents. Everything but the signatures is checked, to the
        last byte. Raises PackageError, naming the file and what is wrong with it, and OSError.
        """
        path = Path(path)
        given = Named(tuple(map(Path, parents)))
        if path.is_dir():
            found = sorted(path.glob(f"*{MANIFEST_SUFFIX}"))
            if len(found) != 1:
                raise ManifestError(f"{path}: {len(found)} files end in {MANIFEST_SUFFIX}; name one of them")
            path = found[0]
        if path.name.endswith(MANIFEST_SUFFIX):
            return _open(path, path.name, read_file(path), Folder(path.parent), [given])
        try:
            members = decode_archive(read_file(path))
        except ArchiveError as error:
            raise ArchiveError(f"{path}: {error}") from error
        return Package.from_members(members, path, [given])

    @staticmethod
    def from_members(members: dict[str, bytes], path: Path, others: Iterable[ImageSource] = ()) -> Package:
        """A package whose files are in memory, all of them. path: for messages. Raises PackageError."""
        manifests = [name for name in members if name.endswith(MANIFEST_SUFFIX)]
        if len(manifests) != 1:
            raise ArchiveError(f"{path}: {len(manifests)} members end in {MANIFEST_SUFFIX}, not one")
        package = _open(path, manifests[0], members[manifests[0]], Members(members), others)
        surplus = sorted(members.keys() - package.files.keys())
        if surplus:
            raise ArchiveError(f"{path}: the manifest does not name member {surplus[0]}")
        return package

    @property
    def signatures(self) -> bytes | None:
        """The signature file's bytes, unchecked; None where nobody has signed."""
        return self.files.get(self.manifest.signature) if self.manifest.signature else None


def _open(path: Path, name: str, content: bytes, source: ImageSource, others: Iterable[ImageSource]) -> Package:
    place = str(path) if path.name == name else f"{path}: {name}"
    try:
        manifest = Manifest.from_bytes(content)
    except ManifestError as error:
        raise ManifestError(f"{place}: {error}") from error
    try:
        image_content = source.read(manifest.image.file)
        if image_content is None:
            raise ImageFileError(f"the image {manifest.image.file} with root {manifest.image.root} is missing")
        chain = find_chain(manifest.image.file, image_content, [source, *others])
        _check_references(manifest, chain)
        loaded = load_chain(chain)
        _check_digests(manifest, chain)
        _check_program(manifest, loaded.image)
    except ParentError as error:
        raise ParentError(f"{place}: {error}", error.expected, error.found) from error
    except (ImageFileError, ManifestError) as error:
        raise type(error)(f"{place}: {error}") from error
    files = {name: content}
    files |= {reference.file: file.content for reference, file in zip(manifest.images, chain, strict=True)}
    if manifest.signature and (envelope := source.read(manifest.signature)) is not None:
        files[manifest.signature] = envelope
    return Package(manifest, loaded.image, loaded.root, loaded, files, name, path)


def _check_references(manifest: Manifest, chain: list[ImageFile]) -> None:
    """That the files are those that the manifest names; whether those are whole is judged afterwards."""
    if len({reference.file for reference in manifest.images}) != len(manifest.images):
        raise ManifestError("two of its images have the same file name")
    for reference, file in zip(manifest.images, chain, strict=False):
        found = {
            "root": (reference.root, file.head.root.hex()),
            "parent": (reference.parent, file.head.parent.hex() if file.head.parent else None),
            "blobs": (reference.blobs, tuple(f"blake3:{blob.hash.hex()}" for blob in file.head.blobs)),
        }
        for what, (expected, actual) in found.items():
            if expected != actual:
                raise ManifestError(f"image {file.name} is another one: its {what} is {actual}, not {expected}")
    if len(manifest.images) != len(chain):
        raise ManifestError(f"it names {len(manifest.images)} images, but {len(chain)} stand on each other")


def _check_digests(manifest: Manifest, chain: list[ImageFile]) -> None:
    for reference, file in zip(manifest.images, chain, strict=True):
        digest = blake3_text(file.content)
        if digest != reference.digest:
            raise ManifestError(f"image {file.name} is another one: its digest is {digest}, not {reference.digest}")


def _check_program(manifest: Manifest, image: Image) -> None:
    found = {
        "isa_version": (manifest.isa_version, image.isa_version),
        "entrypoint": (manifest.entrypoint, image.entry),
        "bytecode_hash": (manifest.bytecode_hash, blake3_text(image.code)),
    }
    for what, (expected, actual) in found.items():
        if expected != actual:
            raise ManifestError(f"{what} is {expected}, but the image has {actual}")
