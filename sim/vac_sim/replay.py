"""`python -m vac_sim.replay CASE`: does a lockstep case again, with a waveform around a tick."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .case import Case, CaseError
from .model import BuildFailed
from .reference import create_reference
from .span import FST_NAME, PNG_NAME, record_span
from .toolchain import ToolMissing
from .trace import TraceError

BEFORE, AFTER = 150, 50
"""Ticks of the waveform around the one in its middle."""


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when the case ran through, 1 when reference and RTL differ, 2 when it could not be run."""
    parser = argparse.ArgumentParser(prog="python -m vac_sim.replay", description=__doc__)
    parser.add_argument("case", type=Path, help="file that a mismatch or `make sim` left")
    parser.add_argument("--around", type=int, default=0, metavar="TICK", help="tick in the middle of the waveform")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to put the waveform; beside the case by default"
    )
    parser.add_argument("--reference", choices=("golden", "fast"), default="golden")
    options = parser.parse_args(arguments)
    if options.around < 0:
        parser.error(f"--around {options.around}: ticks count from 0")
    folder = options.out or options.case.with_suffix("").with_suffix("")
    first = max(0, options.around - BEFORE)
    try:
        case = Case.load(options.case)
        title = f"{case.image.name or options.case.name}, around tick {options.around}"
        middle = options.around - first if options.around else None
        span = record_span(
            case,
            create_reference(options.reference),
            first,
            options.around + AFTER - first,
            folder,
            title,
            middle=middle,
        )
    except (CaseError, OSError, ToolMissing, BuildFailed, TraceError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2
    print(f"waveform of {span.cycles} cycles from tick {span.first}: {folder / FST_NAME}, picture {folder / PNG_NAME}")
    if span.mismatch:
        print(span.mismatch.report())
        return 1
    print("reference and RTL agree as far as this case goes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
