"""A random program on which RTL and reference differ, made small: what is left of it is what the difference needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vac.assembler.disassembler import disassemble
from vac.files.durable import write_whole
from vac.randomised.program import Program
from vac.randomised.shrink import shrink

from .mismatch import LockstepMismatch

Run = Callable[[Program], object]
"""Runs a program in lockstep; raises LockstepMismatch where the two differ."""


def smallest(program: Program, run: Run) -> tuple[Program, LockstepMismatch] | None:
    """The smallest program found that still makes them differ, and how; None for one that no description stands behind.

    A random program has some thousand instructions and takes a few hundred runs. Raises ValueError where it does not
    make them differ.
    """
    if program.description is None:
        return None
    found: list[LockstepMismatch] = []

    def differs(candidate: Program) -> bool:
        try:
            run(candidate)
        except LockstepMismatch as mismatch:
            found[:] = [mismatch]
            return True
        return False

    small = shrink(program.description, differs)
    differs(small)
    return small, found[0]


def save_smallest(small: Program, mismatch: LockstepMismatch, folder: Path) -> Path:
    """Writes report, case and source text into `folder`; returns the report's path. Raises OSError."""
    report = mismatch.save(folder, "-small")
    write_whole(report.with_suffix(".vasm"), disassemble(small.image).encode())
    return report
