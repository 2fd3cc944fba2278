"""`python -m vac_sim.campaign`: random programs on the RTL in lockstep, each with its own disturbance.

What ran is counted and kept. The first mismatch ends the campaign with its report and a case to replay, and with the
same of the smallest program found that differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vac.isa.beam import BEAM_BYTES
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac.machine.state import Status
from vac.randomised.fuzz import fuzz_program
from vac.randomised.program import Program, random_program
from vac_hdl.config import COMPACT_SIMULATION, GATES_SIMULATION, SIMULATION, CoreConfig

from .bench.job import write_json
from .disturbance import Disturbance
from .lockstep import LockstepMachine
from .mismatch import LockstepMismatch
from .model import BuildFailed
from .reference import create_reference
from .smallest import save_smallest, smallest
from .toolchain import ToolMissing

BUILDS = {"pipelined": SIMULATION, "gates": GATES_SIMULATION, "compact": COMPACT_SIMULATION}
"""What can be simulated, by name: each core, and the pipelined one in the form that boards get."""

_OPCODES = {row.opcode: row.mnemonic for row in INSTRUCTIONS}


@dataclass
class Coverage:
    """What a campaign has met. opcodes, traps: how often. Programs that neither halted nor trapped were cut off."""

    programs: int = 0
    instructions: int = 0
    checkpoints: int = 0
    evictions: int = 0
    hidden_misses: int = 0
    events: int = 0
    cycles: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    traps: Counter[str] = field(default_factory=Counter)
    opcodes: Counter[int] = field(default_factory=Counter)

    @property
    def opcodes_never_met(self) -> list[str]:
        """Mnemonics of opcodes that no retired instruction had."""
        return sorted(name for opcode, name in _OPCODES.items() if opcode not in self.opcodes)

    def add(self, machine: LockstepMachine, beams: bytes) -> None:
        """Takes in a program that has ended."""
        state, counts = machine.reference.state(), machine.counts
        self.programs += 1
        self.instructions += counts.compared
        self.checkpoints += counts.checkpoints
        self.evictions += counts.evictions
        self.hidden_misses += counts.hidden_misses
        self.events += counts.events
        self.cycles += machine.rtl.cycles
        self.endings[state.status.name] += 1
        if state.status is Status.TRAPPED:
            self.traps[Trap(state.trap).name] += 1
        self.opcodes.update(beams[4::BEAM_BYTES])


def program_of(seed: int, every_fuzz: int = 8) -> Program:
    """The campaign's program of this seed: every eighth is fuzz, the others are built to end."""
    return fuzz_program(seed) if seed % every_fuzz == 0 else random_program(seed)


def run_program(
    program: Program,
    disturbance: Disturbance,
    ticks: int,
    reference: str,
    config: CoreConfig = SIMULATION,
    library: Any = None,
) -> tuple[LockstepMachine, bytes]:
    """The machine once the program has ended or reached `ticks`, and its beams. Raises LockstepMismatch.

    A core without labels runs the program as one that declares none. library: a model in place of the configuration's.
    """
    if not config.label_bits:
        program = replace(program, image=replace(program.image, has_labels=False))
    machine = LockstepMachine(create_reference(reference), disturbance, config, library)
    host = program.host(machine)
    host.run(ticks)
    machine.state()  # compares everything once more
    return machine, machine.drain_beams()


def run_campaign(
    seeds: range,
    ticks: int,
    reference: str,
    on_program: Callable[[int, Coverage], None] = lambda seed, coverage: None,
    config: CoreConfig = SIMULATION,
) -> Coverage:
    """Runs the programs of these seeds. Raises LockstepMismatch at the first difference."""
    coverage = Coverage()
    for seed in seeds:
        machine, beams = run_program(program_of(seed), Disturbance.drawn(seed), ticks, reference, config)
        coverage.add(machine, beams)
        on_program(seed, coverage)
    return coverage


def _report_smallest(seed: int, options: argparse.Namespace, console: Console) -> None:
    """Of a mismatch that is reported already; Ctrl-C leaves it at that."""

    def run(program: Program) -> object:
        return run_program(program, Disturbance.drawn(seed), options.ticks, options.reference, BUILDS[options.core])

    with console.status("looking for a smaller program that differs"):
        found = smallest(program_of(seed), run)
    if found is None:
        print("the program is random bytes: it is not made smaller", file=sys.stderr)
    else:
        print(f"report of a smaller program: {save_smallest(*found, options.out)}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when all agreed, 1 at a mismatch, 2 when it could not run."""
    parser = argparse.ArgumentParser(prog="python -m vac_sim.campaign", description=__doc__)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--ticks", type=int, default=20_000, help="longest run of a program")
    parser.add_argument("--reference", choices=("golden", "fast"), default="golden")
    parser.add_argument("--core", choices=BUILDS, default=SIMULATION.core, help="what is simulated")
    parser.add_argument("--out", type=Path, default=Path("build/verify"), help="folder for the results")
    options = parser.parse_args(arguments)
    if options.programs < 1 or options.ticks < 1:
        parser.error("--programs and --ticks must be at least 1")
    seeds = range(options.first_seed, options.first_seed + options.programs)
    console = Console(stderr=True)
    began = time.monotonic()
    columns = (TextColumn("lockstep"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[what]}"),
               TimeRemainingColumn())  # fmt: skip
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("", total=len(seeds), what="")

            def show(seed: int, coverage: Coverage) -> None:
                progress.update(task, advance=1, what=f"{coverage.instructions:,} instructions")

            coverage = run_campaign(seeds, options.ticks, options.reference, show, BUILDS[options.core])
    except LockstepMismatch as mismatch:
        path = mismatch.save(options.out)
        print(f"{mismatch.report()}\n\nreport: {path}", file=sys.stderr)
        _report_smallest(mismatch.seed, options, console)
        return 1
    except (ToolMissing, BuildFailed, OSError) as error:
        print(f"campaign: {error}", file=sys.stderr)
        return 2
    seconds = time.monotonic() - began
    # `asdict` would rebuild each Counter from its items, and count those.
    results: dict[str, Any] = {each.name: getattr(coverage, each.name) for each in fields(coverage)}
    results["opcodes"] = {
        _OPCODES.get(opcode, hex(opcode)): count for opcode, count in sorted(coverage.opcodes.items())
    }
    results |= {
        "first_seed": options.first_seed,
        "ticks": options.ticks,
        "reference": options.reference,
        "core": options.core,
        "seconds": round(seconds, 1),
        "opcodes_never_met": coverage.opcodes_never_met,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "lockstep.json", results)
    console.print(
        f"{coverage.programs:,} programs, {coverage.instructions:,} instructions and {coverage.checkpoints:,} whole "
        f"states equal; {coverage.evictions:,} evictions, {coverage.hidden_misses:,} page misses, {coverage.events:,} "
        f"host requests; traps met: {len(coverage.traps)} of {len(Trap) - 1}; opcodes never met: "
        f"{', '.join(coverage.opcodes_never_met) or 'none'}",
        highlight=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
