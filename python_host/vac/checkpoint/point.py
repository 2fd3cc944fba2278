"""A moment of a run: everything that it takes to go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..commitment.state_root import state_root
from ..image.image import Image, Segment
from ..machine.state import State, Status
from .memory_map import MemoryMap


def moment_of(state: State) -> int:
    """Number of states that a run went through before this one: a trap makes a new one without a tick."""
    return state.tick + (state.status is Status.TRAPPED)


@dataclass(frozen=True)
class Point:
    """state, memory: of the machine, before the instruction at `tick`; not to be changed. position: entries of the
    input log that it has had. written: keys of the leaves that were stored to since the point before, maybe more; None
    where nobody looked. host: what the host's devices hold, as JSON values; None where the run was a replay.
    """

    state: State
    memory: MemoryMap
    position: int = 0
    written: frozenset[int] | None = frozenset()
    host: Mapping[str, Any] | None = field(default=None, compare=False)

    @property
    def tick(self) -> int:
        return self.state.tick

    @property
    def moment(self) -> int:
        """Where the point lies in its run: its tick, and one more when the machine has trapped, which takes no tick."""
        return moment_of(self.state)

    def root(self) -> bytes:
        """State root. Costs what of the memory was not hashed before."""
        return state_root(self.state, self.memory.root())

    @staticmethod
    def initial(image: Image, granted: tuple[Segment, ...] = ()) -> Point:
        """Before the first tick. granted: what the image's own segments do not hold, as shards that can be mapped."""
        return Point(State.initial(image), MemoryMap.of_segments((*image.segments, *granted)))
