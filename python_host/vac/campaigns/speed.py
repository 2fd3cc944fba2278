"""Speed of the software engines: ``python -m vac.campaigns.speed firmware/kernels/*.vasm`` prints M ticks a second.

Thread CPU time, best of several rounds; each round starts a loaded machine that has run once before, so that pages and
decoded code are in place, and runs the program to its end.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ..assembler.assemble import assemble_file
from ..assembler.diagnostics import AssemblyErrors
from ..fast.compiler import EngineBuildError
from ..fast.machine import FastMachine, Trace
from ..golden.model import GoldenMachine
from ..image.image import Image
from ..machine.protocol import Machine, MachineError

_END = 1 << 62
_SLICE = 1 << 16


def ticks_per_second(make: Callable[[], Machine], image: Image, seconds: float) -> float:
    """Ticks a second of whole runs, the best round; rounds go on for so many seconds of CPU time, at least one.

    Raises MachineError when the program asks for the host: it would be timed waiting.
    """
    machine = make()
    machine.load(image)
    fresh = machine.state()
    memory = [(key, machine.read_leaf(*key)) for key in machine.leaves()]
    best, spent = 0.0, 0.0
    for is_timed in (False, *(True,) * 1000):
        machine.set_state(fresh)
        for key, leaf in memory:
            machine.install(*key, leaf)
        begun = time.thread_time()
        _run(machine)
        taken = time.thread_time() - begun
        tick = machine.state().tick
        if is_timed:
            best, spent = max(best, tick / taken), spent + taken
            if spent >= seconds:
                break
    return best


def _run(machine: Machine) -> None:
    """Runs to the end. Beams are drained slice by slice, as a host does."""
    keeps = isinstance(machine, FastMachine) and machine.trace is Trace.BEAMS
    until = _SLICE if keeps else _END
    while not (stop := machine.run(until)).reason.value.startswith(("halted", "trapped")):
        if stop.event or stop.miss:
            raise MachineError(f"the program stops for the host ({stop.reason.value}); time one that does not")
        if isinstance(machine, FastMachine) and keeps:
            machine.drain_beams_into(len)
            until += _SLICE
    if isinstance(machine, FastMachine) and keeps:
        machine.drain_beams_into(len)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 measured, 1 a program cannot be measured, 2 the engine cannot be built."""
    parser = argparse.ArgumentParser(prog="python -m vac.campaigns.speed", description=__doc__)
    parser.add_argument("programs", type=Path, nargs="+", help="assembly sources")
    parser.add_argument("--seconds", type=float, default=0.5, help="CPU time for each figure")
    parser.add_argument("--golden", action="store_true", help="measure the golden model as well (slow)")
    options = parser.parse_args(arguments)
    makers: dict[str, Callable[[], Machine]] = {
        "plain": lambda: FastMachine(Trace.NOTHING),
        "digest": lambda: FastMachine(Trace.DIGEST),
        "beams": lambda: FastMachine(Trace.BEAMS),
    }
    if options.golden:
        makers["golden"] = GoldenMachine
    print(f"{'M ticks/s':12}" + "".join(f"{name:>10}" for name in makers))
    try:
        for path in options.programs:
            image = assemble_file(path)
            figures = [ticks_per_second(make, image, options.seconds) / 1e6 for make in makers.values()]
            print(f"{path.stem:12}" + "".join(f"{figure:10.2f}" for figure in figures))
    except (AssemblyErrors, MachineError, OSError) as error:
        print(f"speed: {error}", file=sys.stderr)
        return 1
    except EngineBuildError as error:
        print(f"speed: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
