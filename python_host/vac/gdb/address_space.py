"""One flat address space of 64 bits over everything that a client can read.

| from | what |
|---|---|
| slot << 32 | byte `offset` of a shard slot (0 to 255) at slot << 32 plus offset: code, slot 0, begins at address 0 |
| 0x100_0000_0000 | the stack RAM, 1 KiB: 64 cells of the data stack, then 192 of the return stack |
| 0x200_0000_0000 | the program's own pointers, 4 GiB: what a pointer of 32 bits names through its window at this tick |

Bytes of a cell stand with the lowest first. Anything else is no memory.
"""

from __future__ import annotations

import struct

from ..debugger.places import Bytes
from ..debugger.session import Session
from ..history.errors import HistoryError
from ..isa.limits import DATA_STACK_CELLS, DISPLACEMENT_MASK, POINTER_DISPLACEMENT_BITS, STACK_RAM_CELLS

OFFSET_BITS = 32
SLOTS_END = 1 << 40
STACK_BASE = 1 << 40
STACK_BYTES = 4 * STACK_RAM_CELLS
POINTER_BASE = 1 << 41
POINTER_END = POINTER_BASE + (1 << 32)
MOST_BYTES = 1 << 14
"""Read at once at most."""


class NoMemory(Exception):
    """Nothing can be read at this address."""


def stack_address(cell: int) -> int:
    """Address of a cell of the stack RAM, 0 to 255."""
    return STACK_BASE + 4 * cell


def return_address(cell: int) -> int:
    """Address of a cell of the return stack, counted from its bottom."""
    return stack_address(DATA_STACK_CELLS + cell)


def flat(place: Bytes) -> int:
    """Address of the first of these bytes."""
    return place.slot << OFFSET_BITS | place.offset


def place_of(session: Session, address: int, length: int) -> Bytes:
    """Bytes of memory at an address of the first or third region. Raises NoMemory."""
    if POINTER_BASE <= address < POINTER_END:
        pointer = address - POINTER_BASE
        room = (1 << POINTER_DISPLACEMENT_BITS) - (pointer & DISPLACEMENT_MASK)
        try:
            slot, offset = session.history.place(pointer)
        except HistoryError as error:
            raise NoMemory(str(error)) from error
    elif 0 <= address < SLOTS_END:
        slot, offset = divmod(address, 1 << OFFSET_BITS)
        room = length
    else:
        raise NoMemory(f"there is nothing at {address:#x}")
    if length < 1 or offset >= 1 << OFFSET_BITS:
        raise NoMemory(f"no bytes at {address:#x}")
    return Bytes(slot, offset, min(length, room, (1 << OFFSET_BITS) - offset))


def read(session: Session, address: int, length: int) -> bytes:
    """Up to `length` bytes, at most MOST_BYTES: fewer where the memory ends. Raises NoMemory where there are none."""
    length = min(length, MOST_BYTES)
    if STACK_BASE <= address < STACK_BASE + STACK_BYTES:
        ram = struct.pack(f"<{STACK_RAM_CELLS}I", *session.state.cells)
        return ram[address - STACK_BASE :][:length]
    return session.read(place_of(session, address, length)) if length else b""
