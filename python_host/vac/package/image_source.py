"""Where image files are found, and images put together with the parents that they stand on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..image.image import MAGIC, Image, ImageError
from .errors import ImageFileError, PackageError, ParentError
from .image_file import IMAGE_SUFFIX, PAGED_MAGIC, START_BYTES, ImageHead, decode_head, head_bytes
from .page_table import LoadedImage, load_file

MOST_PARENTS = 63
_MOST_FILE_BYTES = 8 << 30


class ImageSource(Protocol):
    """Files among which images look for their parents."""

    def read(self, name: str) -> bytes | None:
        """A file's bytes, None when it is not there. Raises OSError."""
        ...

    def starts(self) -> Iterator[tuple[str, bytes]]:
        """Name and first bytes, the head at least, of each image file in the page-table form."""
        ...


@dataclass(frozen=True)
class Folder:
    """The files of a folder, without those in folders inside it."""

    folder: Path

    def read(self, name: str) -> bytes | None:
        try:
            return read_file(self.folder / name)
        except FileNotFoundError:
            return None

    def starts(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.folder.glob(f"*{IMAGE_SUFFIX}")):
            if path.is_file():
                yield path.name, _start_of(path)


@dataclass(frozen=True)
class Named:
    """Files that somebody named, wherever they are."""

    paths: tuple[Path, ...]

    def read(self, name: str) -> bytes | None:
        return next((read_file(path) for path in self.paths if path.name == name), None)

    def starts(self) -> Iterator[tuple[str, bytes]]:
        for path in self.paths:
            yield path.name, _start_of(path)


@dataclass(frozen=True)
class Members:
    """Files that are in memory."""

    members: dict[str, bytes]

    def read(self, name: str) -> bytes | None:
        return self.members.get(name)

    def starts(self) -> Iterator[tuple[str, bytes]]:
        yield from sorted(self.members.items())


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(START_BYTES)
        try:
            return start + file.read(head_bytes(start) - len(start))
        except ImageFileError:
            return start


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises OSError, and PackageError for a file that no package has."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size > _MOST_FILE_BYTES:
            raise PackageError(f"{path} has {size:,} bytes; files of a package have at most {_MOST_FILE_BYTES:,}")
        file.seek(0)
        return file.read()


@dataclass(frozen=True)
class ImageFile:
    """A file on the way to its parents."""

    name: str
    content: bytes
    head: ImageHead


def find_chain(name: str, content: bytes, sources: Iterable[ImageSource]) -> list[ImageFile]:
    """The image file, then the ones it stands on, nearest first. name: for messages.

    A parent is known by its root, whatever it is called. Raises ImageFileError, ParentError and OSError.
    """
    chain = [ImageFile(name, content, _decode(name, content))]
    sources = list(sources)
    while (root := chain[-1].head.parent) is not None:
        if len(chain) > MOST_PARENTS:
            raise ImageFileError(f"{name}: more than {MOST_PARENTS} images stand on each other")
        chain.append(_find_parent(chain[-1], root, sources))
    return chain


def _find_parent(child: ImageFile, root: bytes, sources: list[ImageSource]) -> ImageFile:
    others: dict[str, str] = {}
    found: bytes | None = None
    for source in sources:
        for name, start in source.starts():
            if name == child.name or not name.endswith(IMAGE_SUFFIX) or start.startswith(MAGIC):
                continue
            try:
                other = decode_head(start).root
            except ImageFileError as error:
                others[name] = f"{name}: {error}"
                continue
            if other == root and (content := source.read(name)) is not None:
                return ImageFile(name, content, _decode(name, content))
            others[name], found = f"{name} has root {other.hex()}", other
    there = "; ".join(text for _, text in sorted(others.items())[:4])
    raise ParentError(
        f"{child.name}: the image stands on a parent with root {root.hex()}, which is not there"
        f"{f' ({there})' if there else ''}: put it beside the image, or name it with --parent",
        root,
        found,
    )


def load_chain(chain: list[ImageFile]) -> LoadedImage:
    """The first image of `find_chain`, put together with all the others. Raises ImageFileError, naming the file."""
    loaded: LoadedImage | None = None
    for file in reversed(chain):
        try:
            loaded = load_file(file.content, file.head, loaded)
        except ParentError:
            raise
        except ImageFileError as error:
            raise ImageFileError(f"{file.name}: {error}") from error
    assert loaded
    return loaded


def _decode(name: str, content: bytes) -> ImageHead:
    try:
        return decode_head(content)
    except ImageFileError as error:
        raise ImageFileError(f"{name}: {error}") from error


def load_paged_image(path: Path, parents: Iterable[Path] = ()) -> LoadedImage:
    """An image file in the page-table form with its parents, from among `parents` or beside it.

    Raises ImageFileError and OSError.
    """
    sources = [Named(tuple(parents)), Folder(path.parent)]
    return load_chain(find_chain(path.name, read_file(path), sources))


def load_image(path: Path, parents: Iterable[Path] = ()) -> Image:
    """The image in a file of either form. Raises ImageError, naming the file, and OSError."""
    content = read_file(path)
    try:
        if content.startswith(PAGED_MAGIC):
            return load_paged_image(path, parents).image
        return Image.from_bytes(content)
    except ImageFileError:
        raise
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
