"""The `vac` command: one module for each subcommand."""

import os
import sys
from importlib import metadata
from typing import Annotated

import typer

from .asm import asm
from .beams import beams
from .bisect import bisect
from .board import board
from .debug import debug
from .diff import diff
from .disasm import disasm
from .failure import BAD_INPUT
from .forks import export, fork, import_, runs
from .gdb import gdb
from .pack import pack
from .package_inspect import inspect
from .package_sign import keygen, sign
from .package_unpack import unpack
from .plot import plot
from .policy import policy
from .proof import prove, verify_proof
from .record import record
from .replay import replay
from .run import run
from .schedule import schedule
from .verify import verify
from .why import why

app = typer.Typer(name="vac", help="The Virtual Atom Computer.", no_args_is_help=True)
app.command()(asm)
app.command()(disasm)
app.command()(debug)
app.command()(gdb)
app.command()(run)
app.command()(schedule)
app.command()(plot)
app.command()(policy)
app.command()(verify)
app.command()(why)
app.command()(prove)
app.command()(verify_proof)
for command in (pack, unpack, inspect, keygen, sign):
    app.command()(command)
for command in (record, replay, diff, bisect, fork, runs, export):
    app.command()(command)
app.command("import")(import_)
app.add_typer(board, name="board")
app.add_typer(beams, name="beams")


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
    """Entry point of the console script `vac`; exits non-zero on error, also where its output cannot be written."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        sys.exit(1)  # whoever reads has seen enough
    except OSError as error:
        _drop_output()
        where = repr(error.filename) if error.filename else "standard output"
        print(f"cannot write {where}: {error.strerror or error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def _drop_output() -> None:
    """What is left of standard output would be written, and refused, once more when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
