"""Operand values that find faults: corners, neighbours of corners, small numbers, and anything."""

from __future__ import annotations

from random import Random

from ..isa.encoding import Field
from ..isa.limits import CELL_MASK

CORNERS = (0, 1, CELL_MASK, 0x80000000, 0x7FFFFFFF, 2, 0x80, 0x7F, 0xFF, 0x8000, 0x7FFF, 0xFFFF, 0x7FFF8000, 31, 32)


def random_cell(rng: Random) -> int:
    kind = rng.random()
    if kind < 0.5:
        return CORNERS[int(rng.random() * len(CORNERS))]
    if kind < 0.65:
        return CORNERS[int(rng.random() * len(CORNERS))] + int(rng.random() * 5) - 2 & CELL_MASK
    return rng.getrandbits(32)


def random_field(rng: Random, field: Field) -> int:
    """A value that fits."""
    kind = rng.random()
    if kind < 0.15:
        return field.minimum
    if kind < 0.3:
        return field.maximum
    if kind < 0.5:
        return max(field.minimum, int(rng.random() * 5) - 2)
    return field.minimum + int(rng.random() * (field.maximum - field.minimum + 1))
