"""Every engine by its name: what `--engine` accepts and what host code asks for.

An engine is imported when it is first asked for: some need a compiler or the Verilated core.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from ..machine.protocol import Machine


class EngineError(Exception):
    """The engine has an unknown name, or cannot run here; the message says what to do."""


@dataclass(frozen=True)
class Engine:
    """create: a fresh machine; True when its beams are to be kept for `drain_beams`. needs: what it takes to run."""

    create: Callable[[bool], Machine]
    doc: str
    needs: str


def _golden(keeps_beams: bool) -> Machine:
    from ..golden.model import GoldenMachine

    return GoldenMachine()


def _fast(keeps_beams: bool) -> Machine:
    from ..fast.compiler import EngineBuildError
    from ..fast.machine import FastMachine, Trace

    try:
        return FastMachine(Trace.BEAMS if keeps_beams else Trace.DIGEST)
    except EngineBuildError as error:
        print(f"vac: the golden model serves, about a thousand times slower: {error}", file=sys.stderr)
        return _golden(keeps_beams)


def _jit(keeps_beams: bool) -> Machine:
    from ..fast.machine import Trace
    from ..jit.machine import JitMachine

    return JitMachine(Trace.BEAMS if keeps_beams else Trace.DIGEST)


def _rtl(keeps_beams: bool) -> Machine:
    from vac_sim.engine import RtlMachine, RtlOptions

    return RtlMachine(RtlOptions(keeps_beams=keeps_beams))


def _board(
    keeps_beams: bool, port: str | None = None, baud: int | None = None, patience_s: float | None = None
) -> Machine:
    from ..link.serial_port import DEFAULT_BAUD, open_board
    from ..link.session import LinkError

    port = port or os.environ.get("VAC_PORT")
    if not port:
        raise LinkError("no serial port is named; name it with --port or in VAC_PORT")
    return open_board(port, baud or DEFAULT_BAUD, keeps_beams, patience_s)


ENGINES: dict[str, Engine] = {
    "golden": Engine(_golden, "the definition, in plain Python", "nothing"),
    "fast": Engine(_fast, "a threaded interpreter in C; without a C compiler the golden model serves", "nothing"),
    "jit": Engine(_jit, "the interpreter in C, with hot code compiled by LLVM", "a C compiler and llvmlite"),
    "rtl": Engine(_rtl, "the Verilated core", "a C++ compiler and what `make setup` installs"),
    "board": Engine(_board, "a core on a board, over a serial line", "a board that is configured and attached"),
}


def serving_engine(name: str) -> str:
    """The engine that `create_machine` gives for this name: `golden` where `fast` has no C compiler."""
    if name != "fast":
        return name
    from ..fast.compiler import EngineBuildError, library_path

    try:
        library_path()
    except EngineBuildError:
        return "golden"
    return name


def create_machine(
    name: str,
    keeps_beams: bool = True,
    port: str | None = None,
    baud: int | None = None,
    patience_s: float | None = None,
) -> Machine:
    """A fresh machine on the engine of this name.

    keeps_beams: False where `drain_beams` will not be asked; an engine may then keep some all the same. port, baud:
    serial line of the engine `board`; by default $VAC_PORT and the rate of the boards' own builds. patience_s: as
    `open_board` has it.
    Raises EngineError when there is no such engine, or it cannot be built or loaded on this computer.
    """
    engine = ENGINES.get(name)
    if engine is None:
        raise EngineError(f"there is no engine {name!r}; choose one of {', '.join(ENGINES)}")
    try:
        return _board(keeps_beams, port, baud, patience_s) if name == "board" else engine.create(keeps_beams)
    except Exception as error:  # whatever keeps it from starting, the way out is the same
        raise EngineError(
            f"the engine {name!r} ({engine.doc}) cannot run here: {str(error).rstrip('.')}. It needs {engine.needs}; "
            f"the engine 'golden' runs everywhere"
        ) from error
