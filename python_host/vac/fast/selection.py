"""Choice of a software engine by name; where the fast one cannot be built the golden model serves, and says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..golden.model import GoldenMachine
from ..machine.protocol import Machine, MachineError
from . import abi
from .compiler import EngineBuildError
from .machine import FastMachine, Trace

ENGINES = ("fast", "golden")


class UnknownEngine(MachineError):
    """No software engine has this name."""


@dataclass(frozen=True)
class Engine:
    """A way to make machines. note: what the user should be told about the choice; empty when it is what was asked."""

    name: str
    make: Callable[[], Machine]
    note: str = ""


def select_engine(name: str = "fast", trace: Trace = Trace.BEAMS) -> Engine:
    """The engine of this name. Raises UnknownEngine.

    trace: what the fast engine records; the golden model always records everything.
    """
    if name == "golden":
        return Engine("golden", GoldenMachine)
    if name != "fast":
        raise UnknownEngine(f"there is no engine {name!r}; choose one of {', '.join(ENGINES)}")
    try:
        abi.library()
    except EngineBuildError as error:
        return Engine("golden", GoldenMachine, f"running on the golden model, about a thousand times slower: {error}")
    return Engine("fast", lambda: FastMachine(trace))
