"""`vac bisect`: the first tick of a run at which a condition holds."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .debug_target import ENGINE, INPUT, PROGRAM, REPLAY, SEED, STORAGE, open_session
from .progress import progress
from .record import INTERRUPTED, recording_errors

NEVER_HOLDS = 1


def bisect(
    program: PROGRAM,
    condition: Annotated[str, typer.Argument(help="Python expression over the names above.", metavar="CONDITION")],
    first: Annotated[bool, typer.Option("--first", help="The condition may hold for a while only.")] = False,
    input_file: INPUT = None,
    storage: STORAGE = None,
    replay: REPLAY = None,
    seed: SEED = None,
    engine: ENGINE = "fast",
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Find the first tick at which CONDITION holds, by bisection: it holds from some tick on to the end. With --first
    all of the run is looked through: a condition over memory alone is asked only where that was written, one over
    numbers inside the engine (15 M ticks a second), any other in Python (10,000).

    Names: tick, pc, sp, rp, fp, stack, top, locals, local(n), status, trap, inputs, score, coherence, entropy, drift,
    u8(slot, offset), u16, u32, s32, text(slot, offset, length), at(pointer).
    Exits 0 when there is such a tick, 1 when there is none, 130 when interrupted, 2 for bad input.
    """
    from ..history.bisection import bisected, compiled
    from ..history.bisection import first as find_first
    from ..history.expression import Expression
    from .stops import info, print_info

    try:
        with recording_errors():
            history = open_session(program, input_file, storage, replay, None, seed, engine).history
            expression = Expression(condition)
            with progress("ticks"):
                history.end()
            is_slow = first and compiled(history, expression) is None
            with progress("ticks, asked in Python one by one" if is_slow else "ticks", history.last_tick) as show:
                tick = find_first(history, expression, show) if first else bisected(history, expression)
            found = info(history) if tick is not None else None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if found is None:
        where = "anywhere" if first else "at the end"
        typer.echo(json.dumps({"tick": None}) if as_json else f"{condition!r} does not hold {where}")
        raise typer.Exit(NEVER_HOLDS)
    print_info(found, as_json)
