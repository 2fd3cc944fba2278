"""Every way in which an instruction can refuse to happen."""

from __future__ import annotations

from enum import IntEnum


class Trap(IntEnum):
    """A precise trap: nothing of the trapping instruction happened, and it left no beam.

    When one instruction could trap for several reasons, the first in the order of this enumeration
    is the one reported, by every engine.
    """

    NONE = 0
    CODE_BOUNDS = 1
    """pc, or a later byte of the instruction, lies outside the code segment."""
    ILLEGAL = 2
    """Unassigned opcode or sub-operation, reserved wave opcode, unknown register or system call."""
    FRAME = 3
    """An operand names a local beyond the current frame."""
    STACK_UNDERFLOW = 4
    STACK_OVERFLOW = 5
    RETURN_UNDERFLOW = 6
    """Return from the outermost frame."""
    RETURN_OVERFLOW = 7
    """The return stack has no room for the link and the callee's frame."""
    DIVISION_BY_ZERO = 8
    PERMISSION = 9
    """The window does not grant this access, or is empty."""
    MISALIGNED = 10
    """Displacement is no multiple of the access size (narrowing: of four)."""
    BOUNDS = 11
    """The access or the narrowing reaches beyond the window."""
    DENIED = 12
    """The host refused the device access or system call outright."""
    QUOTA = 13
    """The host stopped the machine because a quota was used up."""
