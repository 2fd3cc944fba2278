"""Programs and results that several tests of the simulation share."""

from __future__ import annotations

import pytest

from vac.assembler.assemble import assemble
from vac.image.image import Image

SUMMING = """
.name "summing"
.memory 16384
.frame 4
.local pointer, sum, count, value
        li      pointer, 0
        li      sum, 7
        li      count, 300
again:  xori    value, sum, 0x35
        st32p   pointer, value
        addi    pointer, pointer, 40
        add3    sum, sum, value
        djnz    count, again
        get1
        emit
        get1
        halt
"""
"""300 turns over three leaves of memory; leaves the sum on the stack."""


@pytest.fixture(scope="session")
def summing() -> Image:
    return assemble(SUMMING, "summing.vasm")
