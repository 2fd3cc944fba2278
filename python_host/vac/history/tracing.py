"""Beams of any span of a run, made again when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..checkpoint.point import Point
from ..isa.table import INSTRUCTIONS, lookup
from ..machine.protocol import Machine
from ..recording.playback import Playback

BEAM_DTYPE = np.dtype(
    [("pc", "<u4"), ("opcode", "u1"), ("flags", "u1"), ("labels", "<u2"), ("value", "<u4"), ("aux", "<u4")]
)
"""A beam as `isa.beam` packs it."""

Beams = npt.NDArray[np.void]
CHUNK_TICKS = (1 << 18) - (1 << 8)
"""Beams that stay in the processor's cache from the engine to the search. A little less than what the engine's buffer
holds, which it would give back if it were full."""


class Tracer:
    """playback: on a machine that keeps its beams. nearest: gives a point at or before a tick. check: called now and
    then; what it raises ends the search."""

    def __init__(
        self, playback: Playback, nearest: Callable[[int], Point], check: Callable[[], object] = lambda: None
    ) -> None:
        self._playback = playback
        self._nearest = nearest
        self._check = check
        self._tick = playback.machine.state().tick

    def spans(self, first: int, last: int) -> Iterator[tuple[int, Beams]]:
        """The beams of the ticks from `first` to `last` - 1 in order, in arrays of BEAM_DTYPE with the tick of their
        first. An array is to be read before the next is asked for. Ends early where the run does."""
        if first >= last:
            return
        machine = self._playback.machine
        self._go_to(first)
        while self._tick < last:
            self._check()
            before = self._tick
            self._playback.run(min(last, before + CHUNK_TICKS))
            self._tick = machine.state().tick
            if self._tick == before:
                return
            yield before, drained(machine)

    def _go_to(self, tick: int) -> None:
        point = self._nearest(tick)
        if not point.tick <= self._tick <= tick:
            self._playback.restore(point)
            self._tick = point.tick
        drained(self._playback.machine)
        while self._tick < tick:
            self._check()
            before = self._tick
            self._playback.run(min(tick, before + CHUNK_TICKS))
            drained(self._playback.machine)
            self._tick = self._playback.machine.state().tick
            if self._tick == before:
                return


def drained(machine: Machine) -> Beams:
    """The machine's beams as an array, which the machine may use again when it runs on."""
    held: list[Beams] = []
    if hasattr(machine, "drain_beams_into"):
        # The engine's own buffer, which it writes to again only when it runs on.
        cast(Any, machine).drain_beams_into(lambda view: held.append(np.frombuffer(view, BEAM_DTYPE)))
    else:
        held.append(np.frombuffer(machine.drain_beams(), BEAM_DTYPE))
    return held[0]


def _store_sizes() -> npt.NDArray[np.uint32]:
    sizes = np.zeros(256, np.uint32)
    for row in INSTRUCTIONS:
        if row.unit.value == "store" and row.access:
            sizes[row.opcode] = row.access.size
    return sizes


STORE_SIZES = _store_sizes()
"""Bytes that an opcode stores, 0 for one that does not."""


def name_of(opcode: int) -> str:
    """Mnemonic of an opcode; of the first where sub-operations share it."""
    row = lookup(opcode)
    return row.mnemonic if row else f"{opcode:#04x}"


def stores_overlapping(beams: Beams, offset: int, length: int) -> npt.NDArray[np.intp]:
    """Indices of stores that touch `length` bytes at an offset, of whatever slot."""
    # One comparison: what lies before wraps around to numbers that are too large. A store begins at most three bytes
    # before what it touches.
    low = max(0, offset - 3)
    distance = beams["aux"] - np.uint32(low)
    candidates = np.flatnonzero(distance < offset + length - low)
    if not len(candidates):
        return candidates
    sizes = STORE_SIZES[beams["opcode"][candidates]]
    ends = beams["aux"][candidates].astype(np.uint64) + sizes
    return candidates[(sizes > 0) & (ends > offset)]
