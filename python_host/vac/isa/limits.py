"""Widths and depths of the machine: the numbers every other statement of it is built from.

The cell width is a parameter; this release fixes it at 32 bits.
"""

from __future__ import annotations

from typing import Final

ISA_VERSION: Final = 1
"""Version of the instruction set. Images name the version that they were assembled for."""

CELL_BITS: Final = 32
CELL_MASK: Final = (1 << CELL_BITS) - 1
SIGN_BIT: Final = 1 << (CELL_BITS - 1)

DATA_STACK_CELLS: Final = 64
"""Depth of the data stack in cells. A push onto a full stack traps."""

RETURN_STACK_CELLS: Final = 192
"""Cells for call links and frame locals together."""

STACK_RAM_CELLS: Final = DATA_STACK_CELLS + RETURN_STACK_CELLS
"""Both stacks share one on-chip RAM: data stack first, return stack above it."""

WINDOWS: Final = 16
"""Capability registers. The top four bits of a pointer name one."""

TABLE_WINDOW: Final = 16
"""Index of the hidden window over the function table; no pointer can name it."""

POINTER_DISPLACEMENT_BITS: Final = CELL_BITS - 4
DISPLACEMENT_MASK: Final = (1 << POINTER_DISPLACEMENT_BITS) - 1
MAX_WINDOW_BYTES: Final = 1 << POINTER_DISPLACEMENT_BITS

LEAF_BITS: Final = 12
LEAF_BYTES: Final = 1 << LEAF_BITS
"""Granule of translation, of labels and of the Merkle tree, in bytes."""

CODE_ADDRESS_BITS: Final = 24
MAX_CODE_BYTES: Final = 1 << CODE_ADDRESS_BITS
"""A call link packs the return address and the frame size into one cell, which bounds the code segment."""

CODE_SLOT: Final = 0
"""Shard slot that holds the code segment; pc is an offset into it."""

SLOT_BITS: Final = 8

LABEL_BITS: Final = 16
"""Information-flow labels on each stack cell (a build may leave them out)."""

STACK_OPERAND: Final = 15
"""Operand nibble that names the data stack; 0 to 14 name frame locals."""
