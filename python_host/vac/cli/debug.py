"""`vac debug`: a run in a terminal debugger that goes backwards as easily as forwards."""

from __future__ import annotations

import sys

from .debug_target import ENGINE, INPUT, PROGRAM, REPLAY, SEED, SOURCE, STORAGE, open_session
from .failure import fail


def debug(
    program: PROGRAM,
    input_file: INPUT = None,
    storage: STORAGE = None,
    replay: REPLAY = None,
    source: SOURCE = None,
    seed: SEED = None,
    engine: ENGINE = "fast",
) -> None:
    """Debug PROGRAM in the terminal: step, run and ask who wrote what, forwards and backwards.

    F1 in it shows all keys. Exits 0 when left, 2 for bad input or where there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("vac debug wants a terminal; `vac gdb` and vac.debugger.Session do without one")
    session = open_session(program, input_file, storage, replay, source, seed, engine)
    try:
        from ..debugger.app import DebuggerApp
    except ImportError as error:
        fail(f"the debugger needs textual: pip install 'vac[debugger]' ({error})")
    DebuggerApp(session).run()
