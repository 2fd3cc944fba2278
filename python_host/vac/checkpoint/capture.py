"""Following a machine's memory: a map of it again and again, each at the cost of what changed."""

from __future__ import annotations

from typing import Protocol, cast

from ..machine.protocol import Leaf, Machine
from .memory_map import MemoryMap, key_of


class _KnowsChanges(Protocol):
    def dirty_leaves(self) -> list[tuple[int, int]]: ...

    def read_dirty(self) -> list[tuple[tuple[int, int], Leaf]]: ...

    def mark_clean(self) -> None: ...


class _Followed(Protocol):
    """What of a `Residency` it takes to follow a memory."""

    def leaf(self, slot: int, number: int) -> Leaf: ...

    def take_departed(self) -> set[tuple[int, int]]: ...


class MemoryCapture:
    """memory: what the machine's memory holds when this is made.

    Where the engine knows which leaves changed (`read_dirty`, `mark_clean`) only those are read, of other engines all
    resident ones; and those that the residency has taken out of the engine. Only one of these may follow a machine, and
    no `StateCommitment` beside it: both count from `mark_clean`.
    """

    def __init__(self, machine: Machine, residency: _Followed, memory: MemoryMap) -> None:
        self.memory = memory
        self._machine = machine
        self._residency = residency
        self._departed: set[tuple[int, int]] = set()
        self._engine = cast(_KnowsChanges, machine) if hasattr(machine, "read_dirty") else None

    def changed(self) -> set[tuple[int, int]]:
        """(slot, leaf) of all that may have been stored to since the last `take`: these, maybe more."""
        keys = self._engine.dirty_leaves() if self._engine else self._machine.leaves()
        self._departed |= self._residency.take_departed()
        return {*keys, *self._departed}

    def take(self) -> tuple[MemoryMap, frozenset[int]]:
        """The map as it is now, and the keys of what may have been stored to since the last call.

        Raises what the residency raises, and can be called again then.
        """
        leaves: dict[int, Leaf] = {}
        if self._engine:
            leaves = {key_of(*place): leaf for place, leaf in self._engine.read_dirty()}
            self._departed |= self._residency.take_departed()
            places = self._departed
        else:
            places = self.changed()
        for place in places:
            leaves.setdefault(key_of(*place), self._residency.leaf(*place))
        memory, changed = self.memory.after(leaves)
        self.memory = memory
        self.mark_clean()
        # An engine that does not know what was stored to may hold leaves that never were.
        return memory, frozenset(leaves if self._engine else changed)

    def mark_clean(self) -> None:
        self._departed = set()
        if self._engine:
            self._engine.mark_clean()
