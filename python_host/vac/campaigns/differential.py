"""Differential campaign: the golden model and every other engine through random programs under a random host.

``python -m vac.campaigns.differential --programs 200 --sanitize`` runs seeds 0 to 199, also on a build of the C engine
with address and undefined-behaviour sanitizers, and writes what it did to ``build/campaigns``. With ``--engines`` the
engines under test are chosen; at every hand-over in mid-run another of them takes over. ``rtl`` is slow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from ..assembler.disassembler import disassemble
from ..engines.registry import EngineError, create_machine
from ..fast.compiler import FAST, SANITIZED, EngineBuildError, Flavour, find_compiler
from ..fast.machine import FastMachine, Trace
from ..golden.model import GoldenMachine
from ..image.image import Image
from ..isa.table import INSTRUCTIONS
from ..jit.backend import CompilerMissing
from ..jit.machine import EAGER, JitMachine
from ..machine.protocol import Machine
from ..randomised.program import Program, random_program
from ..randomised.restless import restless_image
from ..randomised.shrink import shrink
from .lockstep import Coverage, Lockstep, Mismatch

_SANITIZED_MARK = "VAC_CAMPAIGN_SANITIZED"
"""Set in the environment of the process that runs under the sanitizers' run-time library."""


_EVERY_ENDING = 4
"""Every fourth program is built to end."""

ENGINES = ("fast", "jit", "golden", "rtl")
SOFTWARE = ("fast", "jit", "golden")


def _maker(engines: Sequence[str], trace: Trace, flavour: Flavour, draw: Random) -> Callable[[], Machine]:
    """Makes a machine on one of the engines, at random."""

    weighted = [*engines, *("jit" for engine in engines if engine == "jit")]

    def make() -> Machine:
        engine = draw.choice(weighted)
        if engine == "fast":
            return FastMachine(trace, flavour)
        if engine == "jit":
            return JitMachine(trace, flavour, EAGER)
        return create_machine(engine)

    return make


def image_of(seed: int) -> Image:
    """Restless programs, every third with labels; every fourth is one with loops and calls that are built to end."""
    if seed % _EVERY_ENDING == 1:
        return random_program(seed).image
    return restless_image(seed, has_labels=seed % 3 == 2)


def run_seed(seed: int, ticks: int, flavour: Flavour = FAST, engines: Sequence[str] = SOFTWARE) -> Coverage:
    """One program, traced and plain. Raises Mismatch; EngineError or CompilerMissing where an engine cannot run."""
    return run_image(image_of(seed), seed, ticks, flavour, engines)


def run_image(image: Image, seed: int, ticks: int, flavour: Flavour, engines: Sequence[str]) -> Coverage:
    """As `run_seed`, of this image with what the seed draws besides."""
    coverage = Coverage()
    for trace in (Trace.BEAMS, Trace.NOTHING):
        has_beams = trace is Trace.BEAMS
        chosen = [engine for engine in engines if has_beams or engine in ("fast", "jit")]
        if chosen:
            make = _maker(chosen, trace, flavour, Random(seed))
            coverage.add(Lockstep(image, seed, GoldenMachine, make, has_beams).run(ticks))
    return coverage


def smallest(seed: int, ticks: int, flavour: Flavour, engines: Sequence[str]) -> Image | None:
    """The smallest image found that still differs; None for a restless program, of which every byte may matter, and
    where the mismatch does not come again."""
    if seed % _EVERY_ENDING != 1:
        return None

    def differs(program: Program) -> bool:
        try:
            run_image(program.image, seed, ticks, flavour, engines)
        except Mismatch:
            return True
        return False

    program = random_program(seed)
    return shrink(program.description, differs).image if program.description and differs(program) else None


def run_campaign(
    first: int, programs: int, ticks: int, flavour: Flavour, engines: Sequence[str]
) -> tuple[Coverage, list[str]]:
    """All seeds; returns what was met and one line for each mismatch."""
    coverage, failures = Coverage(), []
    for seed in range(first, first + programs):
        try:
            coverage.add(run_seed(seed, ticks, flavour, engines))
        except Mismatch as mismatch:
            failures.append(f"seed {seed}: {mismatch}")
            small = smallest(seed, ticks, flavour, engines)
            if small:
                failures[-1] += f"\nsmallest program found that differs:\n{disassemble(small)}"
    return coverage, failures


def _report(options: argparse.Namespace, coverage: Coverage, failures: list[str], seconds: float) -> dict[str, object]:
    missing = sorted({row.opcode for row in INSTRUCTIONS} - coverage.opcodes)
    return {
        "first_seed": options.first,
        "programs": options.programs,
        "engines": options.engines,
        "ticks_each": options.ticks,
        "sanitizers": SANITIZED.sanitizers if _is_sanitized() else "",
        "ticks": coverage.ticks,
        "stops": {reason.name: count for reason, count in sorted(coverage.stops.items(), key=lambda i: i[0].name)},
        "traps": {trap.name: count for trap, count in sorted(coverage.traps.items())},
        "opcodes_not_met": missing,
        "evictions": coverage.evictions,
        "hand_overs": coverage.hand_overs,
        "state_roots": coverage.roots,
        "ticks_in_compiled_code": coverage.compiled_ticks,
        "instructions_by_trap": len(coverage.trapped),
        "failures": failures,
        "seconds": round(seconds, 1),
    }


def _is_sanitized() -> bool:
    return os.environ.get(_SANITIZED_MARK) == "1"


def _run_sanitized(arguments: list[str]) -> int:
    """The same campaign in a process that has the sanitizers' run-time library from its start."""
    compiler = find_compiler()
    runtime = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(runtime):
        raise EngineBuildError(f"{compiler} has no address sanitizer; install its libasan (Debian: libasan8)")
    # The interpreter's own allocations are not the engine's leaks.
    environment = os.environ | {
        _SANITIZED_MARK: "1",
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    command = [sys.executable, "-m", "vac.campaigns.differential", *arguments]
    return subprocess.run(command, env=environment).returncode


def _engines(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    if not found or any(name not in ENGINES for name in found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(ENGINES)}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 all equal, 1 a mismatch, 2 could not run."""
    parser = argparse.ArgumentParser(prog="python -m vac.campaigns.differential", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--programs", type=int, default=100, help="number of seeds")
    parser.add_argument("--ticks", type=int, default=3000, help="ticks of each program")
    parser.add_argument("--sanitize", action="store_true", help="run a second time on a sanitized build")
    parser.add_argument("--output", type=Path, default=Path("build/campaigns"), help="folder of the report")
    parser.add_argument("--engines", type=_engines, default=SOFTWARE, help=f"under test, of {','.join(ENGINES)}")
    parser.add_argument("--name", default="differential", help="of the report")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    try:
        coverage, failures = run_campaign(
            options.first, options.programs, options.ticks, SANITIZED if _is_sanitized() else FAST, options.engines
        )
        report = _report(options, coverage, failures, time.perf_counter() - began)
        options.output.mkdir(parents=True, exist_ok=True)
        name = f"{options.name}{'-sanitized' if _is_sanitized() else ''}.json"
        (options.output / name).write_text(json.dumps(report, indent=1) + "\n")
        print(json.dumps(report))
        status = 1 if failures else 0
        if options.sanitize and not _is_sanitized():
            passed_on = [f"--{key}={getattr(options, key)}" for key in ("first", "programs", "ticks", "output", "name")]
            # Compiled code is not sanitized, and LLVM itself is not what is looked at.
            passed_on.append("--engines=fast,golden")
            status = max(status, 1 if _run_sanitized(passed_on) else 0)
        return status
    except (EngineBuildError, EngineError, CompilerMissing) as error:
        print(f"differential campaign: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
