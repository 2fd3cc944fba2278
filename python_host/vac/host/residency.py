"""Where the leaves are that a machine does not hold, and how they get into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from ..isa.limits import CODE_SLOT, LEAF_BITS
from ..isa.table import BY_MNEMONIC
from ..machine.protocol import Answer, Event, Leaf, Machine, MachineError

_REQUEST_BYTES = max(BY_MNEMONIC[name].length for name in ("in", "out", "sys"))

LeafRange = tuple[int, int, int]
"""Slot, first leaf and last leaf, both included."""


def leaves_of_answer(event: Event, answer: Answer) -> list[LeafRange]:
    """What must be resident when the answer is given: what it writes, and the instruction that then retires."""
    code = (CODE_SLOT, event.pc >> LEAF_BITS, event.pc + _REQUEST_BYTES - 1 >> LEAF_BITS)
    written = [
        (slot, offset >> LEAF_BITS, offset + len(data) - 1 >> LEAF_BITS) for slot, offset, data in answer.writes if data
    ]
    return [*written, code]


class Residency(Protocol):
    """Serves one machine, which holds no leaf in the beginning."""

    def serve(self, slot: int, number: int) -> None:
        """Installs a leaf that the machine stopped for."""
        ...

    def leaf(self, slot: int, number: int) -> Leaf:
        """What a leaf holds now, wherever it is."""
        ...

    def make_resident(self, ranges: Sequence[LeafRange]) -> None:
        """Installs every leaf of these ranges; all of them are there when it returns."""
        ...

    def put(self, slot: int, number: int, leaf: Leaf) -> None:
        """Sets what a leaf holds as when a checkpoint is restored."""
        ...

    def take_departed(self) -> set[tuple[int, int]]:
        """(slot, leaf) of those that came out of the machine since the last call, and may have changed in it."""
        ...


class ResidentLeaves(ABC):
    """Serves one machine, which holds no leaf in the beginning. When the engine has no room for another leaf, the one
    that has been there longest makes way."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._resident: dict[tuple[int, int], None] = {}
        """Leaves that the machine holds, longest there first."""
        self._away: dict[tuple[int, int], Leaf] = {}
        """Leaves that came out of it, or were put here."""
        self._departed: set[tuple[int, int]] = set()
        """Leaves that came out of it since somebody asked."""

    @abstractmethod
    def untouched(self, slot: int, number: int) -> Leaf:
        """A leaf that the machine never held."""

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
                self._departed.add(oldest)
        self._resident[slot, number] = None

    def leaf(self, slot: int, number: int) -> Leaf:
        if (slot, number) in self._resident:
            return self._machine.read_leaf(slot, number)
        return self._away.get((slot, number)) or self.untouched(slot, number)

    def make_resident(self, ranges: Sequence[LeafRange]) -> None:
        wanted = [(slot, number) for slot, first, last in ranges for number in range(first, last + 1)]
        for key in wanted:
            if key in self._resident:
                self._resident[key] = self._resident.pop(key)  # now the last to make way
        for key in wanted:
            if key not in self._resident:
                self.serve(*key)


class HeldLeaves(ResidentLeaves):
    """Everything in this process, a leaf at a time. initial: a leaf that was never written."""

    def __init__(self, machine: Machine, initial: Callable[[int, int], Leaf]) -> None:
        super().__init__(machine)
        self._initial = initial

    def untouched(self, slot: int, number: int) -> Leaf:
        return self._initial(slot, number)

    def serve(self, slot: int, number: int) -> None:
        super().serve(slot, number)
        self._away.pop((slot, number), None)

    def take_departed(self) -> set[tuple[int, int]]:
        departed, self._departed = self._departed, set()
        return departed

    def touched(self) -> list[tuple[int, int]]:
        """(slot, leaf) of everything that may differ from the initial contents, sorted."""
        return sorted({*self._resident, *self._away})

    def put(self, slot: int, number: int, leaf: Leaf) -> None:
        """Sets what a leaf holds as when a checkpoint is restored."""
        if (slot, number) in self._resident:
            self._machine.evict(slot, number)
            del self._resident[slot, number]
        self._away[slot, number] = leaf
        self._departed.add((slot, number))
