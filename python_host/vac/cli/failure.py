"""How a subcommand gives up: a message on standard error and an exit code, never a traceback."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

import typer

from ..files.durable import PART_SUFFIX, is_special
from ..image.image import MAGIC, Image, ImageError

BAD_INPUT = 2
"""Exit code where a file is missing, unreadable, damaged or wrong."""


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Prints the message on standard error and ends the command."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def load_image(path: Path, parents: Sequence[Path] = ()) -> Image:
    """The image in this file, in whichever form; ends the command with BAD_INPUT when it cannot be read or is damaged.

    parents: files among which an image in the page-table form looks for those it stands on, beside those next to it.
    """
    try:
        with path.open("rb") as file:
            is_plain = file.read(len(MAGIC)) == MAGIC
        if is_plain:
            return Image.load(path)
        from ..package.image_source import load_image as load_either

        return load_either(path, parents)
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error.strerror or error}")
    except ImageError as error:
        fail(str(error))


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file under a temporary name, which gets this one when all of it is written; a device or pipe is written to as
    it is. What the disk refuses ends the command."""
    temporary = path.with_name(path.name + PART_SUFFIX)
    try:
        if is_special(path):
            with path.open("wb") as file:
                yield file
            return
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        fail(f"cannot write {str(path)!r}: {error.strerror or error}")
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """This content, as `written_whole` does it."""
    with written_whole(path) as file:
        file.write(content)
