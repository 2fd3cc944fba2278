"""Every place that a value can lie in or come from as one number, so that arrays can hold them.

| from | what |
|---|---|
| 0 | the stack RAM's 256 cells, then the 17 windows |
| 2**40 | bytes of memory: slot in bits 32 to 39, offset below |
| 2**41 | decisions: which of the branches that decide over an instruction came last, in a frame |
| 2**42 | the host's answers, by index in the input log |
| 2**43 | core registers |
"""

from __future__ import annotations

from ..isa.limits import DATA_STACK_CELLS, STACK_RAM_CELLS, TABLE_WINDOW
from ..isa.ports import CoreRegister

WINDOW = STACK_RAM_CELLS
NEAR = WINDOW + TABLE_WINDOW + 1
"""Numbers of cells and windows end here."""
MEMORY = 1 << 40
CONTROL = 1 << 41
ANSWER = 1 << 42
CORE = 1 << 43
NEVER = -(1 << 50)
"""No place, even with any index added."""


def byte_of(slot: int, offset: int) -> int:
    return MEMORY | slot << 32 | offset


def slot_and_offset(place: int) -> tuple[int, int]:
    return place >> 32 & 0xFF, place & 0xFFFFFFFF


def name_of_place(place: int, length: int = 0) -> str:
    """In the words of the documents. length: bytes, of memory."""
    if place < 0:
        return ""
    if place < DATA_STACK_CELLS:
        return f"data stack {place}"
    if place < WINDOW:
        return f"return stack {place - DATA_STACK_CELLS}"
    if place < NEAR:
        return "function table window" if place == WINDOW + TABLE_WINDOW else f"window {place - WINDOW}"
    if place >= CORE:
        return f"register {CoreRegister(place - CORE).name}"
    if place >= ANSWER:
        return f"input {place - ANSWER}"
    if place >= CONTROL:
        return "decision"
    slot, offset = slot_and_offset(place)
    return f"memory {slot}:{offset:#x}" + (f"+{length}" if length else "")
