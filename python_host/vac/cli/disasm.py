"""`vac disasm`: image to source."""

from pathlib import Path
from typing import Annotated

import typer

from ..assembler.disassembler import disassemble
from .failure import load_image, write_whole


def disasm(
    image: Annotated[Path, typer.Argument(help="Program image.", metavar="IMAGE")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; by default standard output.")
    ] = None,
) -> None:
    """Turn IMAGE into source that assembles to the same bytes. Exits 2 when the image is damaged or missing."""
    text = disassemble(load_image(image))
    if output:
        write_whole(output, text.encode())
    else:
        typer.echo(text, nl=False)
