"""The `vac` command: one module for each subcommand."""

from importlib import metadata
from typing import Annotated

import typer

from .asm import asm
from .board import board
from .disasm import disasm
from .gdb import gdb
from .pack import pack
from .package_inspect import inspect
from .package_sign import keygen, sign
from .package_unpack import unpack
from .plot import plot
from .run import run
from .schedule import schedule
from .verify import verify

app = typer.Typer(name="vac", help="The Virtual Atom Computer.", no_args_is_help=True)
app.command()(asm)
app.command()(disasm)
app.command()(gdb)
app.command()(run)
app.command()(schedule)
app.command()(plot)
app.command()(verify)
for command in (pack, unpack, inspect, keygen, sign):
    app.command()(command)
app.add_typer(board, name="board")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vac {metadata.version('vac')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """The Virtual Atom Computer."""


def main() -> None:
    """Entry point of the console script `vac`; exits non-zero on error."""
    app()
