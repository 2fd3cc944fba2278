"""Host port of the core: which word address holds what.

The port moves 32-bit words. It reads and writes the core only while the core is stopped. The RTL, the Verilator
engine and the link driver all take their addresses from here.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

HOST_ADDRESS_BITS = 24

STACK_RAM_BASE = 0x000
"""256 words: the stack RAM."""
LABEL_RAM_BASE = 0x100
"""256 words: the label sets of the stack RAM (read as zero in a build without labels)."""
WINDOW_BASE = 0x200
"""Four words for each of the 17 windows, as `WindowWord`."""
REGISTER_BASE = 0x300
"""One word for each `HostRegister`."""
FRAME_RAM_BASE = 1 << (HOST_ADDRESS_BITS - 1)
"""The frames' memory, 1024 words a frame."""


class WindowWord(IntEnum):
    BASE = 0
    LENGTH = 1
    GRANT = 2
    """Bits 0-3 permissions, bits 8-15 shard slot."""


class HostRegister(IntEnum):
    PC = 0
    TICK_LOW = 1
    TICK_HIGH = 2
    SP = 3
    RP = 4
    FP = 5
    CODE_LENGTH = 6
    FLAGS = 7
    """Bit 0: the image declares labels."""
    BUDGET = 8
    """Instructions to retire before the core stops with `StopCode.LIMIT`."""
    COHERENCE = 9
    ENTROPY = 10
    DRIFT = 11
    MISPREDICTIONS = 12
    DISTANCE = 13
    REFUSALS = 14
    HISTORY = 15
    LAST_EMIT = 16
    CONE_IN_LOW = 17
    CONE_IN_HIGH = 18
    CONE_OUT_LOW = 19
    CONE_OUT_HIGH = 20
    JOINS = 21
    DIGEST_LOW = 22
    DIGEST_HIGH = 23
    STOP = 24
    """Read-only: bits 0-2 `StopCode`, bits 8-12 `Trap`, bits 16-17 `FaultKind`."""
    FAULT_SLOT = 25
    """Read-only: shard slot of a page fault; of an event, its number."""
    FAULT_LEAF = 26
    """Read-only: leaf number of a page fault; of an event, the opcode."""
    ANSWER_VALUE = 27
    ANSWER_FLAGS = 28
    """Writing arms the answer: bit 0 valid, bit 1 refused. The waiting instruction takes it after the next start."""
    TLB_LEAF = 29
    """Latched for the next write to TLB_ENTRY: leaf number in bits 0-19, slot in bits 24-31."""
    TLB_ENTRY = 30
    """Writing fills one TLB entry: `TlbEntryBit`s in bits 0-1, the leaf's label set in bits 8-23. An entry without
    VALID empties it and makes the core forget every translation that it holds elsewhere: to be written before a
    leaf's frame or labels change."""
    TLB_FRAME = 31
    """Latched for the next write to TLB_ENTRY: frame number."""
    BEAM_CONTROL = 32
    """`BeamControlBit`s."""
    BEAMS_LOST = 33
    """Beams that were dropped at a full port since it was last written."""
    IDENTITY = 34
    """Read-only: ISA version in bits 0-7, log2 of frames in 8-15, log2 of TLB entries in 16-23, label bits in 24-31."""
    FAULT_LABELS = 35
    """Read-only: label set of the store that faulted with `FaultKind.LABELS`."""


class TlbEntryBit(IntFlag):
    VALID = 1
    WRITABLE = 2


TLB_LABELS_SHIFT = 8


class BeamControlBit(IntFlag):
    """What the beam port ships. The digest always covers every beam."""

    SHIP_ALL = 1
    SHIP_MARKED = 2
    """Ship beams that carry one of EVENT, EMIT, JOIN, MARK, HALT."""
    LOSSY = 4
    """A full port drops beams and counts them, rather than hold the core back."""


class StopCode(IntEnum):
    NONE = 0
    LIMIT = 1
    PAGE = 2
    EVENT = 3
    HALTED = 4
    TRAPPED = 5
    REQUESTED = 6


class FaultKind(IntEnum):
    """Why a page fault stopped the core."""

    MISSING = 0
    READ_ONLY = 1
    """First store to a leaf that was filled without WRITABLE."""
    LABELS = 2
    """Store of a label set that the TLB entry's does not include."""
