"""Cells: the places that events are about, as numbers of 64 bits and as text.

The low 32 bits are an address, the bits above name the space that it lies in.

| text | address |
|---|---|
| `mem:<slot>:<address>` | byte of a shard slot; what loads and stores touch |
| `mem:?:<address>` | the same where the slot is not known: a beam does not hold it |
| `site:<pc>` | what the instruction at this pc wrote, in all its executions |
| `reg:<n>`, `dev:<n>`, `sys:<n>`, `mark:<n>` | core register, device register, system call, milestone |
| `stack:<n>` | cell of the stack RAM, where a replay said which |
| anything else | a name of its own, such as a cell of a sheet |
"""

from __future__ import annotations

import re
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from ..isa.instruction import Unit
from ..isa.limits import CELL_MASK, SLOT_BITS
from ..isa.table import INSTRUCTIONS

ADDRESS_BITS = 32
_SLOTS = 1 << SLOT_BITS


class Space(IntEnum):
    """Spaces beside the slots, which are 0 to 255."""

    UNKNOWN_SLOT = 256
    SITE = 257
    REGISTER = 258
    DEVICE = 259
    CALL = 260
    MARK = 261
    STACK = 262
    NAMED = 263
    """The address is the number of a name of the run."""


CELL_BITS = 9 + ADDRESS_BITS
"""Bits that a cell needs at most."""

_PREFIXES = {
    "site": Space.SITE,
    "reg": Space.REGISTER,
    "dev": Space.DEVICE,
    "sys": Space.CALL,
    "mark": Space.MARK,
    "stack": Space.STACK,
}
_WORDS = {space: word for word, space in _PREFIXES.items()}
_MEMORY = re.compile(r"mem:(\?|[0-9]{1,3}):0x([0-9a-f]{1,8})")
_OTHER = re.compile(r"([a-z]+):(0x[0-9a-f]{1,8}|[0-9]{1,10})")
_IN_HEXADECIMAL = {Space.SITE, Space.DEVICE}


def cell(space: int, address: int) -> int:
    """The cell's number."""
    return space << ADDRESS_BITS | address


def cell_text(number: int) -> str:
    """Text of a cell that is not named; the inverse of `parse_cell`."""
    space, address = number >> ADDRESS_BITS, number & CELL_MASK
    if space < _SLOTS:
        return f"mem:{space}:{address:#x}"
    if space == Space.UNKNOWN_SLOT:
        return f"mem:?:{address:#x}"
    word = _WORDS[Space(space)]
    return f"{word}:{address:#x}" if space in _IN_HEXADECIMAL else f"{word}:{address}"


def parse_cell(text: str) -> int | None:
    """Number of a cell of a machine; None for text that is a name."""
    if found := _MEMORY.fullmatch(text):
        space = Space.UNKNOWN_SLOT if found[1] == "?" else int(found[1])
        number = cell(space, int(found[2], 16))
        return number if (found[1] == "?" or space < _SLOTS) and cell_text(number) == text else None
    found = _OTHER.fullmatch(text)
    if not found or found[1] not in _PREFIXES:
        return None
    address = int(found[2], 16 if found[2].startswith("0x") else 10)
    if address > CELL_MASK:
        return None
    number = cell(_PREFIXES[found[1]], address)
    return number if cell_text(number) == text else None


def _spaces() -> npt.NDArray[np.uint64]:
    """Space of each opcode's beams, times 2**32."""
    units = {
        Unit.LOAD: Space.UNKNOWN_SLOT,
        Unit.STORE: Space.UNKNOWN_SLOT,
        Unit.READ_REGISTER: Space.REGISTER,
        Unit.DEVICE_IN: Space.DEVICE,
        Unit.DEVICE_OUT: Space.DEVICE,
        Unit.SYSTEM_CALL: Space.CALL,
        Unit.MARK: Space.MARK,
    }
    spaces = np.full(256, Space.SITE, np.uint64)
    for row in INSTRUCTIONS:
        spaces[row.opcode] = units.get(row.unit, Space.SITE)
    return spaces << np.uint64(ADDRESS_BITS)


SPACE_OF_OPCODE = _spaces()
"""Cell of address 0 in the space that a beam of this opcode is about, by opcode."""


def _sites() -> npt.NDArray[np.bool_]:
    return np.uint64(cell(Space.SITE, 0)) == SPACE_OF_OPCODE


IS_SITE = _sites()
"""Whether the address is the beam's pc, by opcode; else it is `aux`."""
