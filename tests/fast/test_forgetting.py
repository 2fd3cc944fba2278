"""Decoded code that is rewritten: what hands over to a forgotten instruction is forgotten with it."""

from __future__ import annotations

from vac.assembler.assemble import assemble
from vac.campaigns.lockstep import Lockstep
from vac.fast.machine import FastMachine
from vac.golden.model import GoldenMachine
from vac.image.image import PERMISSION_READ, PERMISSION_WRITE, Image, Window
from vac.isa.limits import CODE_SLOT


def long_run(instructions: int) -> Image:
    """A loop over a long run of five-byte instructions, whose last constant it rewrites each time."""
    lines = [".frame 15", "li l1, 40", "again:", "nop"]
    lines += [line for number in range(instructions) for line in (f"lit32 {0x10000 + number}", "set 0")]
    lines += [
        "changed:",
        "lit32 0x12345678",
        "set 0",
        "lit32 changed + 1",
        "set 2",
        "st8 l2, l1",
        "djnz l1, again",
        "halt",
    ]
    image = assemble("\n".join(lines) + "\n")
    window = Window(CODE_SLOT, 0, image.code_length, PERMISSION_READ | PERMISSION_WRITE)
    return Image(image.entry, image.frame, image.code_length, image.segments, ((0, window),))


def test_runs_up_to_the_rewritten_byte() -> None:
    for instructions in range(15, 45):
        Lockstep(long_run(instructions), instructions, GoldenMachine, FastMachine).run(1500)
