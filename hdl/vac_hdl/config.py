"""Build-time choices of the QPU."""

from dataclasses import dataclass
from typing import Any

from vac.isa.limits import LABEL_BITS

NEVER_COLLIDES: Any = {"no_rw_check": 1}
"""Attribute of a memory whose cells are never read and written in one cycle: it needs no bypass logic."""


CORES = ("pipelined", "compact")


@dataclass(frozen=True)
class CoreConfig:
    """What one build of the core has.

    core: which micro-architecture, "pipelined" or "compact". The compact one has no use for window_way_bits,
    branch_target_bits and has_lut_ram, and has no labels.
    frame_bits: log2 of the 4 KiB frames of memory, 3 to 16. tlb_bits: log2 of the entries of the shared TLB, 2 to 12.
    window_way_bits: log2 of the translations that each window caches, 0 to 2. label_bits: width of the
    information-flow labels, 16, or 0 to leave them out. beam_fifo: depth of the beam port's buffer in records, at
    least 8. branch_target_bits: log2 of the entries of the branch target buffer, or -1 to leave it out. has_lut_ram:
    small memories can be read without a clock; false for iCE40. has_retire_port: brings out what lockstep compares;
    boards leave it out. in_words: written for a simulator, which takes a step a word and skips what is not wanted;
    boards say False and get gates. Both are the same machine, cycle for cycle. The compact core has one form only.
    """

    core: str = "pipelined"
    frame_bits: int = 8
    tlb_bits: int = 6
    window_way_bits: int = 2
    label_bits: int = LABEL_BITS
    beam_fifo: int = 16
    branch_target_bits: int = 5
    has_lut_ram: bool = True
    has_retire_port: bool = True
    in_words: bool = True

    def __post_init__(self) -> None:
        if self.core not in CORES:
            raise ValueError(f"core is {self.core!r}; {' and '.join(CORES)} are possible")
        if self.core == "compact" and self.label_bits:
            raise ValueError(f"label_bits is {self.label_bits}; the compact core has no labels: 0 is possible")
        if not 3 <= self.frame_bits <= 16:
            raise ValueError(f"frame_bits is {self.frame_bits}; 3 to 16 are possible")
        if not 2 <= self.tlb_bits <= 12:
            raise ValueError(f"tlb_bits is {self.tlb_bits}; 2 to 12 are possible")
        if not 0 <= self.window_way_bits <= 2:
            raise ValueError(f"window_way_bits is {self.window_way_bits}; 0 to 2 are possible")
        if self.label_bits not in (0, LABEL_BITS):
            raise ValueError(f"label_bits is {self.label_bits}; 0 or {LABEL_BITS} are possible")
        if self.beam_fifo < 8:
            raise ValueError(f"beam_fifo is {self.beam_fifo}; the pipeline needs at least 8")


SIMULATION = CoreConfig()
"""The build that the Verilator engine and lockstep use."""

GATES_SIMULATION = CoreConfig(in_words=False)
"""The pipelined core as boards have it, but with labels and the port that lockstep compares."""

COMPACT_SIMULATION = CoreConfig(core="compact", label_bits=0)
"""The compact core as the Verilator engine and lockstep use it."""
