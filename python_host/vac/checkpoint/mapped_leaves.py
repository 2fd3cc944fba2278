"""Residency over a memory map: what a machine does not hold comes out of the map, and the map can be exchanged."""

from __future__ import annotations

from collections.abc import Iterable

from ..host.residency import ResidentLeaves
from ..machine.protocol import Leaf, Machine
from .memory_map import MemoryMap, key_of


class MappedLeaves(ResidentLeaves):
    """What does not come out of the machine comes out of the map. `leaf` and `serve` raise StoreError where the map's
    source fails."""

    def __init__(self, machine: Machine, memory: MemoryMap) -> None:
        super().__init__(machine)
        self.memory = memory

    def untouched(self, slot: int, number: int) -> Leaf:
        return self.memory.leaf(key_of(slot, number))

    def take_departed(self) -> set[tuple[int, int]]:
        return set(self._away)

    def settle(self, memory: MemoryMap) -> None:
        """This map holds everything, what the machine changed included."""
        self.memory = memory
        self._away.clear()
        self._departed.clear()

    def exchange(self, memory: MemoryMap, stale: Iterable[tuple[int, int]]) -> None:
        """Another map from here on. stale: the leaves that may differ from it; those that the machine holds and that do
        are put into it. What an engine knows of code that stays the same stays."""
        # All is read before anything is changed: a store that fails leaves the machine as it is.
        wanted = [(place, memory.leaf(key_of(*place))) for place in stale if place in self._resident]
        for place, leaf in wanted:
            if self._machine.read_leaf(*place) != leaf:
                self._machine.install(*place, leaf)
        self.settle(memory)
