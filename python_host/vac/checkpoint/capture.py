"""Following a machine's memory: a map of it again and again, each at the cost of what changed."""

from __future__ import annotations

from typing import Protocol, cast

from ..host.residency import Residency
from ..machine.protocol import Leaf, Machine
from .memory_map import MemoryMap, key_of


class _KnowsChanges(Protocol):
    def dirty_leaves(self) -> list[tuple[int, int]]: ...

    def mark_clean(self) -> None: ...


class MemoryCapture:
    """memory: what the machine's memory holds when this is made.

    Where the engine knows which leaves changed (`dirty_leaves`, `mark_clean`) only those are read, of other engines all
    resident ones; and those that the residency has taken out of the engine. Only one of these may follow a machine, and
    no `StateCommitment` beside it: both count from `mark_clean`.
    """

    def __init__(self, machine: Machine, residency: Residency, memory: MemoryMap) -> None:
        self.memory = memory
        self._machine = machine
        self._residency = residency
        self._engine = cast(_KnowsChanges, machine) if hasattr(machine, "dirty_leaves") else None

    def changed(self) -> set[tuple[int, int]]:
        """(slot, leaf) of all that may have been stored to since the last `take`: these, maybe more."""
        keys = self._engine.dirty_leaves() if self._engine else self._machine.leaves()
        return {*keys, *self._residency.take_departed()}

    def take(self) -> tuple[MemoryMap, frozenset[int]]:
        """The map as it is now, and the keys of what may have been stored to since the last call.

        Raises what the residency raises, and can be called again then.
        """
        before = self.memory
        written: list[int] = []
        leaves: dict[int, Leaf] = {}
        for slot, number in self.changed():
            key, leaf = key_of(slot, number), self._residency.leaf(slot, number)
            is_same = leaf == before.leaf(key)
            if not is_same:
                leaves[key] = leaf
            if self._engine or not is_same:
                written.append(key)
        self.memory = before.with_leaves(leaves)
        self.mark_clean()
        return self.memory, frozenset(written)

    def mark_clean(self) -> None:
        if self._engine:
            self._engine.mark_clean()
