"""`vac asm`: source to image."""

from pathlib import Path
from typing import Annotated

import typer

from ..assembler.assemble import assemble_with_listing
from ..assembler.diagnostics import AssemblyErrors
from ..assembler.listing import listing
from .failure import fail, write_whole

IMAGE_SUFFIX = ".vacimg"


def asm(
    source: Annotated[Path, typer.Argument(help="Assembly source.", metavar="FILE")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Image to write; by default FILE with the suffix .vacimg.")
    ] = None,
    listing_file: Annotated[
        Path | None, typer.Option("--listing", "-l", help="Also write a listing: addresses, bytes, source, symbols.")
    ] = None,
    include: Annotated[
        list[Path] | None, typer.Option("-I", "--include", help="Folder searched for included files; repeatable.")
    ] = None,
) -> None:
    """Assemble FILE to a program image. Exits 1 when the source is wrong, 2 when a file cannot be read or written."""
    image_path = output or source.with_suffix(IMAGE_SUFFIX)
    if image_path.resolve() == source.resolve():
        fail(f"the image would overwrite its source {str(source)!r}; name another file with -o")
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"cannot read {str(source)!r}: {error.strerror or error}")
    except UnicodeDecodeError as error:
        fail(f"{str(source)!r} is no text in UTF-8: {error}")
    try:
        assembly = assemble_with_listing(text, str(source), include or [])
    except AssemblyErrors as errors:
        fail(str(errors), code=1)
    if listing_file:
        write_whole(listing_file, listing(assembly).encode())
    write_whole(image_path, assembly.image.to_bytes())
