"""`python -m vac.randomised`: one random program by its seed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..engines.registry import EngineError, create_machine
from .fuzz import fuzz_program
from .program import random_program


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m vac.randomised", description="A random program by its seed.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--size", type=int, help="items, of some three instructions each; by default random")
    parser.add_argument("--fuzz", action="store_true", help="random bytes instead of a program that ends")
    parser.add_argument("--engine", help="run it on this engine and print how it ends")
    parser.add_argument("--ticks", type=int, default=1_000_000, help="where such a run stops at the latest")
    parser.add_argument("-o", "--output", type=Path, metavar="IMAGE", help="write the image")
    options = parser.parse_args()
    if options.size is not None and options.size < 0:
        parser.error("--size must not be negative")
    program = fuzz_program(options.seed) if options.fuzz else random_program(options.seed, options.size)
    items = f"{program.description.size} items" if program.description else "random bytes"
    print(f"{program.image.name}: {items}, {program.image.code_length} bytes of code")
    try:
        if options.output:
            program.image.save(options.output)
        if options.engine:
            host = program.host(create_machine(options.engine))
            stop, state = host.run(options.ticks), host.machine.state()
            print(f"{stop.reason.value} at tick {state.tick}, trap {state.trap.name}, digest {state.digest or 0:016x}")
    except (OSError, EngineError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
