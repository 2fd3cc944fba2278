"""`python -m vac.manual`: the manual on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ..isa.limits import ISA_VERSION
from ..isa.table import INSTRUCTIONS
from . import instructions, machine


def lines() -> Iterator[str]:
    yield "# Instruction set"
    yield ""
    yield "<!-- Written by `python -m vac.manual > docs/isa.md`: change the table, not this page. -->"
    yield ""
    yield (
        f"Version {ISA_VERSION}, {len(INSTRUCTIONS)} instructions. The machine works on 32-bit cells, with a data "
        "stack, a return stack that holds frames of locals, and memory behind windows. An operand nibble names one of "
        "the first 15 locals of the frame (`l0` to `l14`) or the data stack (`s`): pop as a source, push as a "
        "destination. Where both A and B come from the stack, B is popped first. In the examples, `lit` is the "
        "assembler's shortest literal; every example is also a test."
    )
    yield ""
    yield from machine.before_instructions()
    yield from instructions.encoding()
    yield from instructions.opcode_map()
    yield from instructions.entries()
    yield from machine.after_instructions()


def manual() -> str:
    """The whole page, Markdown."""
    return "\n".join(lines()).rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.stdout.write(manual())
