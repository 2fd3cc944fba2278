"""The beam: a trace record of 16 bytes for each retired instruction.

Little-endian, fields in this order. The tick of a beam is its position in the stream.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag


class BeamFlag(IntFlag):
    TAKEN = 1
    """Control went somewhere else than to the next instruction."""
    EVENT = 2
    """The host answered: device access or system call."""
    EMIT = 4
    JOIN = 8
    MARK = 16
    REFUSED = 32
    """The host declined the request; the program saw the refusal."""
    HALT = 64
    PUSH = 128
    """`value` is the new top of the data stack."""


BEAM_FIELDS = (("pc", 32), ("opcode", 8), ("flags", 8), ("labels", 16), ("value", 32), ("aux", 32))
"""Name and width in bits of each field, from bit 0 of the 128-bit record upwards."""

BEAM_BYTES = sum(width for _, width in BEAM_FIELDS) // 8
_BEAM = struct.Struct("<IBBHII")
assert _BEAM.size == BEAM_BYTES


@dataclass(frozen=True, slots=True)
class Beam:
    """One trace record.

    pc: address of the instruction. labels: label set of `value`.
    value: the cell that the instruction wrote to a stack, a local or memory; where it writes none, the cell
    that it consumed; 0 where it neither writes nor consumes one.
    aux: for loads and stores the address inside the shard slot; for `rd`, `in`, `out`, `sys` and `mark` the number
    that they name; otherwise 0.
    """

    pc: int
    opcode: int
    flags: int
    labels: int
    value: int
    aux: int

    def pack(self) -> bytes:
        """The record's 16 bytes."""
        return _BEAM.pack(self.pc, self.opcode, self.flags, self.labels, self.value, self.aux)

    @staticmethod
    def unpack(record: bytes) -> Beam:
        """Inverse of `pack`. Raises struct.error unless given exactly 16 bytes."""
        return Beam(*_BEAM.unpack(record))
