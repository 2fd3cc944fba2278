"""Playing a run back: a machine that is put at any point of it and gets the recorded answers from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..checkpoint.capture import MemoryCapture
from ..checkpoint.mapped_leaves import MappedLeaves
from ..checkpoint.memory_map import place_of
from ..checkpoint.point import Point
from ..host.input_log import Entry, ReplayError
from ..host.residency import leaves_of_answer
from ..image.image import Image
from ..machine.protocol import Event, Leaf, Machine, StopReason


class Playback:
    """One machine, driven by an input log. machine: of any engine; it is loaded here. origin: where it begins.

    on_event: called with the index of each entry and the machine's request, before it is answered. Every method that
    runs raises ReplayError when the run asks for something else than was recorded, or more; StoreError where the
    memory of a point cannot be read.
    """

    def __init__(
        self,
        machine: Machine,
        image: Image,
        origin: Point,
        log: Sequence[Entry],
        on_event: Callable[[int, Event], object] | None = None,
    ) -> None:
        machine.load(replace(image, segments=()))
        machine.set_state(origin.state)
        self.machine = machine
        self.log = log
        self.position = origin.position
        """Entries of the log that the machine has had."""
        self._leaves = MappedLeaves(machine, origin.memory)
        self._capture = MemoryCapture(machine, self._leaves, origin.memory)
        self.on_event = on_event
        self._written: frozenset[int] = frozenset()

    def restore(self, point: Point) -> None:
        """The machine as it was then. Costs what differs in memory between here and there."""
        stale = self._capture.changed()
        stale.update(place_of(key) for key in self._capture.memory.differences(point.memory))
        self._leaves.exchange(point.memory, stale)
        self.machine.set_state(point.state)
        self._capture.memory = point.memory
        self._capture.mark_clean()
        self.position = point.position

    def run(self, until_tick: int) -> StopReason:
        """Runs to this tick: TICK; HALTED or TRAPPED when it ends before; EVENT where the recording ends at a request
        that was never answered."""
        while True:
            stop = self.machine.run(until_tick)
            if stop.miss:
                self._leaves.serve(stop.miss.slot, stop.miss.number)
            elif stop.event:
                if self.position >= len(self.log):
                    return StopReason.EVENT
                self._answer(stop.event)
            else:
                return stop.reason

    def _answer(self, event: Event) -> None:
        entry = self.log[self.position]
        if (entry.tick, entry.kind, entry.number) != (event.tick, event.kind, event.number):
            raise ReplayError(
                f"at tick {event.tick} the run asks for {event.kind.value} {event.number}; the recorded run asked at "
                f"tick {entry.tick} for {entry.kind.value} {entry.number}: another image, or another version of it"
            )
        if self.on_event:
            self.on_event(self.position, event)
        self._leaves.make_resident(leaves_of_answer(event, entry.answer))
        self.position += 1
        self.machine.answer(entry.answer)

    def leaf(self, slot: int, number: int) -> Leaf:
        """What a leaf holds now."""
        return self._leaves.leaf(slot, number)

    def make_resident(self, slot: int, number: int) -> None:
        """Puts a leaf into the machine, for whoever reads it there."""
        self._leaves.make_resident([(slot, number, number)])

    def capture(self) -> Point:
        """Where the machine is now. Costs what was stored to since the last `capture` or `restore`."""
        memory, written = self._capture.take()
        self._leaves.settle(memory)
        return Point(self.machine.state(), memory, self.position, written)
