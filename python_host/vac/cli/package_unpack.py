"""`vac unpack`: a package in one file as files beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .package_file import open_package, package_errors


def unpack(
    package: Annotated[Path, typer.Argument(help="Package in one file.", metavar="PACKAGE")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder; by default the package's name.", metavar="FOLDER")
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option("--key", help="Public key, or folder of them, one of which must have signed.", metavar="KEYS"),
    ] = None,
) -> None:
    """Write the files of PACKAGE into a folder, once all of them are known to be whole.

    Exits 0 when they are written, 2 when the package is damaged or missing.
    """
    from ..package.pack import write_files

    opened = open_package(package, trusted=trust or [])
    folder = output or Path(opened.manifest.name)
    with package_errors(folder, "write"):
        folder.mkdir(parents=True, exist_ok=True)
        for path in write_files(opened, folder):
            typer.echo(str(path))
