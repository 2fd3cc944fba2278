"""`vac debug`: a run in a terminal debugger that goes backwards as easily as forwards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .debug_target import ENGINE, INPUT, PROGRAM, REPLAY, SEED, SOURCE, STORAGE, open_session
from .failure import fail

if TYPE_CHECKING:
    from ..debugger.session import Session


def debug(
    program: PROGRAM,
    input_file: INPUT = None,
    storage: STORAGE = None,
    replay: REPLAY = None,
    source: SOURCE = None,
    seed: SEED = None,
    engine: ENGINE = "fast",
    mismatch: Annotated[
        bool,
        typer.Option("--mismatch", help="PROGRAM is a lockstep case: open it where RTL and reference part."),
    ] = False,
) -> None:
    """Debug PROGRAM in the terminal: step, run and ask who wrote what, forwards and backwards.

    F1 in it shows all keys. Exits 0 when left, 2 for bad input or where there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("vac debug wants a terminal; `vac gdb` and vac.debugger.Session do without one")
    if mismatch:
        if input_file or storage or replay or seed is not None:
            fail("a lockstep case has its answers: no --input, --storage, --replay or --seed with --mismatch")
        session = _open_case(program, source, engine)
    else:
        session = open_session(program, input_file, storage, replay, source, seed, engine)
    try:
        from ..debugger.app import DebuggerApp
    except ImportError as error:
        fail(f"the debugger needs textual: pip install 'vac[debugger]' ({error})")
    DebuggerApp(session).run()


def _open_case(case: Path, source: Path | None, engine: str) -> Session:
    from ..assembler.diagnostics import AssemblyErrors
    from ..debugger.errors import DebuggerError
    from ..debugger.session import Session
    from ..engines.registry import EngineError
    from .package_file import working

    try:
        from vac_sim.case import CaseError
        from vac_sim.debug_case import open_mismatch
        from vac_sim.model import BuildFailed
        from vac_sim.toolchain import ToolMissing
        from vac_sim.trace import TraceError
    except ImportError as error:
        fail(f"--mismatch needs the RTL: pip install 'vac[sim]' ({error})")
    try:
        with working(f"running {case} again on the RTL"):
            return Session(open_mismatch(case, source, engine))
    except OSError as error:
        fail(f"cannot read {str(error.filename or case)!r}: {error.strerror or error}")
    except (
        AssemblyErrors, BuildFailed, CaseError, DebuggerError, EngineError, ToolMissing, TraceError
    ) as error:  # fmt: skip
        fail(str(error))
