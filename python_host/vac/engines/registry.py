"""Every engine by its name: what `--engine` accepts and what host code asks for.

An engine is imported when it is first asked for: some need a compiler or the Verilated core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from ..machine.protocol import Machine


class EngineError(Exception):
    """The engine has an unknown name, or cannot run here; the message says what to do."""


@dataclass(frozen=True)
class Engine:
    """module, attribute: where the machine's class is. needs: what must be there for it to run."""

    module: str
    attribute: str
    doc: str
    needs: str


ENGINES: dict[str, Engine] = {
    "golden": Engine("vac.golden.model", "GoldenMachine", "the definition, in plain Python", "nothing"),
    "fast": Engine("vac.fast.machine", "FastMachine", "a direct-threaded interpreter in C", "a C compiler"),
    "rtl": Engine(
        "vac_sim.engine",
        "RtlMachine",
        "the Verilated core",
        "a C++ compiler and what `make setup` installs",
    ),
}


def create_machine(name: str) -> Machine:
    """A fresh machine on the engine of this name.

    Raises EngineError when there is no such engine, or it cannot be built or loaded on this computer.
    """
    engine = ENGINES.get(name)
    if engine is None:
        raise EngineError(f"there is no engine {name!r}; choose one of {', '.join(ENGINES)}")
    try:
        factory: Callable[[], Machine] = getattr(import_module(engine.module), engine.attribute)
        return factory()
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise EngineError(
            f"the engine {name!r} ({engine.doc}) cannot run here: {error}. It needs {engine.needs}; "
            f"`--engine golden` runs everywhere"
        ) from error
