"""Residency over a memory map: what a machine does not hold comes out of the map, and the map can be exchanged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..host.residency import LeafRange
from ..machine.protocol import Leaf, Machine, MachineError
from .memory_map import MemoryMap, key_of


class MappedLeaves:
    """Serves one machine, which holds no leaf in the beginning. When the engine has no room for another leaf, the one
    that has been there longest makes way and is kept here. `leaf` and `serve` raise StoreError where the map's source
    fails."""

    def __init__(self, machine: Machine, memory: MemoryMap) -> None:
        self.memory = memory
        self._machine = machine
        self._resident: dict[tuple[int, int], None] = {}
        """Leaves that the machine holds, longest there first."""
        self._away: dict[tuple[int, int], Leaf] = {}
        """Leaves that came out of it and may differ from the map."""

    def serve(self, slot: int, number: int) -> None:
        leaf = self.leaf(slot, number)
        while True:
            try:
                self._machine.install(slot, number, leaf)
                break
            except MachineError:
                if not self._resident:
                    raise
                oldest = next(iter(self._resident))
                del self._resident[oldest]
                self._away[oldest] = self._machine.evict(*oldest)
        self._resident[slot, number] = None

    def leaf(self, slot: int, number: int) -> Leaf:
        if (slot, number) in self._resident:
            return self._machine.read_leaf(slot, number)
        return self._away.get((slot, number)) or self.memory.leaf(key_of(slot, number))

    def make_resident(self, ranges: Sequence[LeafRange]) -> None:
        wanted = [(slot, number) for slot, first, last in ranges for number in range(first, last + 1)]
        for key in wanted:
            if key in self._resident:
                self._resident[key] = self._resident.pop(key)  # now the last to make way
        for key in wanted:
            if key not in self._resident:
                self.serve(*key)

    def take_departed(self) -> set[tuple[int, int]]:
        return set(self._away)

    def settle(self, memory: MemoryMap) -> None:
        """This map holds everything, what the machine changed included."""
        self.memory = memory
        self._away.clear()

    def exchange(self, memory: MemoryMap, stale: Iterable[tuple[int, int]]) -> None:
        """Another map from here on. stale: the leaves that may differ from it; those that the machine holds and that do
        are put into it. What an engine knows of code that stays the same stays."""
        # All is read before anything is changed: a store that fails leaves the machine as it is.
        wanted = [(place, memory.leaf(key_of(*place))) for place in stale if place in self._resident]
        for place, leaf in wanted:
            if self._machine.read_leaf(*place) != leaf:
                self._machine.install(*place, leaf)
        self.settle(memory)
