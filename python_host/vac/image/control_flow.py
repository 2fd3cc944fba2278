"""Where control can go in an image: instructions reached from its entry and its function table."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ..isa.instruction import Unit
from ..isa.limits import CODE_ADDRESS_BITS
from .decode import Decoded, decode
from .image import Image


def table_entries(image: Image) -> list[tuple[int, int]]:
    """Target and frame size of each entry of the function table, as the image holds it at the start."""
    cells = struct.iter_unpack("<I", image.code[image.table_base : image.table_base + 4 * image.table_entries])
    mask = (1 << CODE_ADDRESS_BITS) - 1
    return [(cell & mask, cell >> CODE_ADDRESS_BITS) for (cell,) in cells]


def reached(code: bytes, starts: Iterable[int]) -> dict[int, Decoded]:
    """Every instruction, by pc, that control can reach from `starts` through branches, calls and returns.

    What is not a legal instruction ends the search there. Jumps through the table add nothing: `starts` should
    hold its targets.
    """
    found: dict[int, Decoded] = {}
    open_pcs = list(starts)
    while open_pcs:
        pc = open_pcs.pop()
        if pc in found:
            continue
        instruction = decode(code, pc)
        if not instruction:
            continue
        found[pc] = instruction
        open_pcs += successors(instruction)
        if instruction.row.unit is Unit.CALL and instruction.target is not None:
            open_pcs.append(instruction.target)
    return found


def successors(instruction: Decoded) -> list[int]:
    """Where control can go on inside the same frame: behind a call, and to both sides of a branch."""
    unit, target = instruction.row.unit, instruction.target
    after = [] if unit.ends_block else [instruction.next_pc]
    if unit in (Unit.BRANCH, Unit.JUMP) and target is not None:
        after.append(target)
    return after
