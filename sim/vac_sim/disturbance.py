"""What a lockstep run does to the RTL beside running it."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Disturbance:
    """What happens to the RTL beside the run itself. None of it may change a beam.

    seed: of everything drawn. slice_ticks: longest span between two compares of stack RAM and memory; each span's
    length is drawn, short ones as often as long ones. resident_leaves: leaves in frames at most, 0 for no limit,
    else at least 4 (an instruction may need three). evict_256: chance / 256 that a stop takes a random leaf away.
    ready_256: chance / 256 that the beam port is ready in a cycle. stall_256: chance / 256 that the instruction bus is
    not. delay_cycles: the host takes up to this many cycles for an answer or a leaf.
    """

    seed: int = 1
    slice_ticks: int = 1 << 16
    resident_leaves: int = 0
    evict_256: int = 0
    ready_256: int = 256
    stall_256: int = 0
    delay_cycles: int = 0

    def __post_init__(self) -> None:
        if 0 < self.resident_leaves < 4:
            raise ValueError(f"resident_leaves is {self.resident_leaves}; 0 or 4 and more are possible")
        if self.slice_ticks < 1:
            raise ValueError(f"slice_ticks is {self.slice_ticks}; 1 and more are possible")

    @staticmethod
    def drawn(seed: int) -> Disturbance:
        """A random mixture; the same for the same seed."""
        draw = random.Random(seed)
        return Disturbance(
            seed=seed,
            slice_ticks=draw.choice((1, 16, 256, 4096)),
            resident_leaves=draw.choice((0, 4, 5, 8)),
            evict_256=draw.choice((0, 64, 255)),
            ready_256=draw.choice((256, 256, 200, 64, 16)),
            delay_cycles=draw.choice((0, 3, 40)),
            stall_256=draw.choice((0, 0, 16, 128, 230)),
        )
