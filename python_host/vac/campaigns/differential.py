"""Differential campaign: the golden model and the fast engine through random programs under a random host.

``python -m vac.campaigns.differential --programs 200 --sanitize`` runs seeds 0 to 199, also on a build with address and
undefined-behaviour sanitizers, and writes what it did to ``build/campaigns``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ..fast.compiler import FAST, SANITIZED, EngineBuildError, Flavour, find_compiler
from ..fast.machine import FastMachine, Trace
from ..golden.model import GoldenMachine
from ..isa.table import INSTRUCTIONS
from ..machine.protocol import Machine
from ..randomised.restless import restless_image
from .lockstep import Coverage, Lockstep, Mismatch

_SANITIZED_MARK = "VAC_CAMPAIGN_SANITIZED"
"""Set in the environment of the process that runs under the sanitizers' run-time library."""


def _maker(trace: Trace, flavour: Flavour) -> Callable[[], Machine]:
    return lambda: FastMachine(trace, flavour)


def run_seed(seed: int, ticks: int, flavour: Flavour = FAST) -> Coverage:
    """One program, traced and plain. Every third one declares labels. Raises Mismatch."""
    image = restless_image(seed, has_labels=seed % 3 == 2)
    coverage = Coverage()
    for trace in (Trace.BEAMS, Trace.NOTHING):
        has_beams = trace is Trace.BEAMS
        coverage.add(Lockstep(image, seed, GoldenMachine, _maker(trace, flavour), has_beams).run(ticks))
    return coverage


def run_campaign(first: int, programs: int, ticks: int, flavour: Flavour) -> tuple[Coverage, list[str]]:
    """All seeds; returns what was met and one line for each mismatch."""
    coverage, failures = Coverage(), []
    for seed in range(first, first + programs):
        try:
            coverage.add(run_seed(seed, ticks, flavour))
        except Mismatch as mismatch:
            failures.append(f"seed {seed}: {mismatch}")
    return coverage, failures


def _report(options: argparse.Namespace, coverage: Coverage, failures: list[str], seconds: float) -> dict[str, object]:
    missing = sorted({row.opcode for row in INSTRUCTIONS} - coverage.opcodes)
    return {
        "first_seed": options.first,
        "programs": options.programs,
        "ticks_each": options.ticks,
        "sanitizers": SANITIZED.sanitizers if _is_sanitized() else "",
        "ticks": coverage.ticks,
        "stops": {reason.name: count for reason, count in sorted(coverage.stops.items(), key=lambda i: i[0].name)},
        "traps": {trap.name: count for trap, count in sorted(coverage.traps.items())},
        "opcodes_not_met": missing,
        "evictions": coverage.evictions,
        "hand_overs": coverage.hand_overs,
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


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 all equal, 1 a mismatch, 2 could not run."""
    parser = argparse.ArgumentParser(prog="python -m vac.campaigns.differential", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--programs", type=int, default=100, help="number of seeds")
    parser.add_argument("--ticks", type=int, default=3000, help="ticks of each program")
    parser.add_argument("--sanitize", action="store_true", help="run a second time on a sanitized build")
    parser.add_argument("--output", type=Path, default=Path("build/campaigns"), help="folder of the report")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    try:
        coverage, failures = run_campaign(
            options.first, options.programs, options.ticks, SANITIZED if _is_sanitized() else FAST
        )
        report = _report(options, coverage, failures, time.perf_counter() - began)
        options.output.mkdir(parents=True, exist_ok=True)
        name = "differential-sanitized.json" if _is_sanitized() else "differential.json"
        (options.output / name).write_text(json.dumps(report, indent=1) + "\n")
        print(json.dumps(report))
        status = 1 if failures else 0
        if options.sanitize and not _is_sanitized():
            passed_on = [f"--{key}={getattr(options, key)}" for key in ("first", "programs", "ticks", "output")]
            status = max(status, 1 if _run_sanitized(passed_on) else 0)
        return status
    except EngineBuildError as error:
        print(f"differential campaign: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
