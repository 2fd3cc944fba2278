"""`vac why`: what a value was made of."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .debug_target import ENGINE, INPUT, PROGRAM, REPLAY, SEED, SOURCE, STORAGE, move_to, open_session
from .failure import fail, write_whole

if TYPE_CHECKING:
    from ..debugger.source_map import SourceMap
    from ..lineage.export import Part
    from ..lineage.lineage import Lineage

INTERRUPTED = 130
FORMATS = ("tree", "json", "dot", "mermaid")
_ALL = 0


def why(
    program: PROGRAM,
    cell: Annotated[
        str,
        typer.Option(
            "--cell",
            help="What is asked about: stack:N (0 is the top), local:N, return:N, window:N, mem:SLOT:OFFSET[:LENGTH], "
            "pointer:CELL[:LENGTH], or instruction: all that the instruction at the tick uses.",
            metavar="CELL",
        ),
    ],
    at: Annotated[
        int | None, typer.Option("--at", help="Before the instruction at this tick; by default at the end.", min=0)
    ] = None,
    addresses: Annotated[
        bool, typer.Option(help="Follow also pointers, windows, and what was asked of the host.")
    ] = True,
    control: Annotated[
        bool, typer.Option("--control", help="Follow also the branches and calls on which it was executed.")
    ] = False,
    since: Annotated[int, typer.Option(help="Look back no further than this tick.", min=0)] = 0,
    depth: Annotated[int, typer.Option(help="Steps to go from the value; 0 for any number.", min=0)] = 8,
    nodes: Annotated[int, typer.Option(help="Values to show at most; 0 for all.", min=0)] = 200,
    form: Annotated[str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}.")] = "tree",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; by default standard output.", metavar="OUT")
    ] = None,
    input_file: INPUT = None,
    storage: STORAGE = None,
    replay: REPLAY = None,
    source: SOURCE = None,
    seed: SEED = None,
    engine: ENGINE = "fast",
) -> None:
    """Show why CELL holds what it holds: the instructions, inputs and image contents that its value was made of.

    Exits 0, 130 when interrupted, 2 for bad input or where there is no such value.
    """
    from ..history.errors import HistoryError
    from ..host.input_log import ReplayError
    from ..lineage.errors import LineageError
    from ..lineage.slicer import Options
    from ..lineage.slicer import why as lineage_of
    from ..lineage.target import Target
    from .progress import progress

    if form not in FORMATS:
        fail(f"--format is {form!r}; possible are {', '.join(FORMATS)}")
    session = open_session(program, input_file, storage, replay, source, seed, engine)
    history = session.history
    try:
        target = Target.parse(cell)
        move_to(history, at, program)
        here = history.tick
        with progress("ticks looked through", total=here - since) as show:
            options = Options(addresses=addresses, control=control, since=since)
            lineage = lineage_of(history, target, options=options, progress=lambda tick: show(here - tick))
    except (LineageError, HistoryError, ReplayError) as error:
        fail(f"{program}: {error}")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    _add_source(lineage, session.source)
    _write(lineage, form, depth or None, nodes or None, output)


def _add_source(lineage: Lineage, source: SourceMap) -> None:
    for pc in lineage.words:
        span = source.span(pc)
        if span:
            lineage.source_of[pc] = (span.file.name, span.line, span.text)


def _write(lineage: Lineage, form: str, depth: int | None, nodes: int | None, output: Path | None) -> None:
    from ..lineage.export import Part, to_dot, to_json, to_mermaid

    part = Part.of(lineage, nodes, depth)
    if form == "tree":
        text = _tree_text(part, output)
    else:
        text = {"json": to_json, "dot": to_dot, "mermaid": to_mermaid}[form](part)
    if output:
        write_whole(output, text.encode())
    else:
        typer.echo(text, nl=False)
    left_out = lineage.nodes - len(part.nodes)
    if left_out:
        typer.echo(f"{left_out:,} of {lineage.nodes:,} left out; --depth and --nodes show more", err=True)


def _tree_text(part: Part, output: Path | None) -> str:
    from rich.console import Console

    from ..lineage.tree import tree_of

    is_terminal = output is None and os.isatty(1)
    text = StringIO()
    width = None if is_terminal else 200
    console = Console(file=text, force_terminal=is_terminal, width=width, highlight=False)
    console.print(tree_of(part), soft_wrap=not is_terminal)
    lineage = part.lineage
    inputs = len(lineage.inputs)
    console.print(
        f"made of {lineage.writes:,} writes at {len(lineage.ticks):,} ticks and {inputs:,} "
        f"input{'' if inputs == 1 else 's'}; looked back to tick {lineage.end:,}"
    )
    return text.getvalue()
