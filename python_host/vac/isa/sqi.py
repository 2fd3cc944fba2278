"""Symbolic Quality Index: four unsigned Q0.16 registers computed from architectural events alone.

Events only count; every 256 ticks the counts fold into the registers by shifts and adds.
"""

from __future__ import annotations

from dataclasses import dataclass

EPOCH_TICKS = 256
FULL = 0xFFFF
"""Q0.16 value nearest to one; also the saturation bound of every register and of the distance counter."""

ENTROPY_SHIFT = 10
COHERENCE_SHIFT = 9
REFUSAL_SHIFT = 12
SMOOTHING_SHIFT = 3
HISTORY_BITS = 16


def history_index(pc: int) -> int:
    """Entry (0 to 15) of the one-bit branch history that the branch at `pc` uses."""
    return (pc ^ (pc >> 4)) & (HISTORY_BITS - 1)


@dataclass(slots=True)
class Sqi:
    """The registers (u16 each) and the counts of the current epoch.

    mispredictions: 0 to 256. distance: saturating u16. refusals: saturating u8. history: one bit for each of 16
    entries, the last direction of a branch. last_emit: the last emitted cell.
    """

    coherence: int = FULL
    entropy: int = 0
    drift: int = 0
    mispredictions: int = 0
    distance: int = 0
    refusals: int = 0
    history: int = 0
    last_emit: int = 0

    @property
    def score(self) -> int:
        """qscore: half coherence, a quarter each for low entropy and low drift."""
        return (2 * self.coherence + (FULL - self.entropy) + (FULL - self.drift)) >> 2

    def branch(self, pc: int, taken: bool) -> None:
        """A conditional branch retired."""
        bit = 1 << history_index(pc)
        if bool(self.history & bit) != taken:
            self.mispredictions += 1
        self.history = self.history | bit if taken else self.history & ~bit

    def emit(self, value: int) -> None:
        """A cell was emitted: the distance moved since the last one counts, at most 0xFFFF for each."""
        moved = min(abs(value - self.last_emit), FULL)
        self.distance = min(self.distance + moved, FULL)
        self.last_emit = value

    def refuse(self) -> None:
        """The host declined a request."""
        self.refusals = min(self.refusals + 1, 0xFF)

    def fold(self) -> None:
        """End of an epoch: each register moves an eighth of the way to its target, rounded down."""
        disorder = (self.mispredictions << COHERENCE_SHIFT) + (self.refusals << REFUSAL_SHIFT)
        coherence_target = FULL - min(disorder, FULL)
        entropy_target = min(self.mispredictions << ENTROPY_SHIFT, FULL)
        self.coherence += (coherence_target - self.coherence) >> SMOOTHING_SHIFT
        self.entropy += (entropy_target - self.entropy) >> SMOOTHING_SHIFT
        self.drift += (self.distance - self.drift) >> SMOOTHING_SHIFT
        self.mispredictions = self.distance = self.refusals = 0
