"""A frame: a page in RAM, some of its leaves in an engine and the others here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..isa.limits import LEAF_BYTES
from ..machine.protocol import Leaf, Machine
from .address import PageKey, leaves_in
from .page import Page


class Frame:
    """slot, number, first_leaf: where the machine sees the page. key: where the tiers know it. hash: of the version
    that the tiers have; empty where they have none. mapped: indices of the leaves that are in the engine, in that
    order."""

    __slots__ = (
        "_data",
        "_labels",
        "_leaves",
        "_sealed",
        "first_leaf",
        "hash",
        "is_fetched_ahead",
        "key",
        "mapped",
        "number",
        "slot",
    )

    def __init__(self, slot: int, number: int, key: PageKey, page: Page, *, is_current: bool = True) -> None:
        self._leaves = leaves_in(len(page.data))
        self.slot = slot
        self.number = number
        self.first_leaf = number * self._leaves
        self.key = key
        self.hash = page.hash if is_current else b""
        self.is_fetched_ahead = False
        self.mapped: dict[int, None] = {}
        self._data: bytearray | bytes | None = page.data
        self._sealed: Page | None = page
        """The page as it came, as long as no engine has had any of it."""
        self._labels = bytearray(page.labels or bytes(2 * self._leaves))

    def map(self, machine: Machine, index: int) -> None:
        """Gives one leaf to the engine. Raises MachineError, and has changed nothing then."""
        if index not in self.mapped:
            machine.install(self.slot, self.first_leaf + index, self.leaf(machine, index))
            self._sealed = None
            self.mapped[index] = None

    def map_all(self, machine: Machine) -> None:
        """Gives every leaf to the engine and keeps no copy. Raises MachineError; what is mapped by then stays so."""
        install_run: Callable[[int, int, Sequence[Leaf]], int] | None = getattr(machine, "install_run", None)
        if install_run and not self.mapped:  # an engine behind a pipe takes them together
            count = install_run(self.slot, self.first_leaf, [self.leaf(machine, i) for i in range(self._leaves)])
            self.mapped.update(dict.fromkeys(range(count)))
            self._sealed = None if count else self._sealed
        for index in range(self._leaves):
            self.map(machine, index)
        self._data = None

    def unmap(self, machine: Machine, index: int) -> None:
        """Takes one leaf back."""
        leaf = machine.evict(self.slot, self.first_leaf + index)
        del self.mapped[index]
        if self._data is None or isinstance(self._data, bytes):
            self._data = bytearray(self._data or self._leaves * LEAF_BYTES)
        self._data[index * LEAF_BYTES : (index + 1) * LEAF_BYTES] = leaf.data
        self._labels[2 * index : 2 * index + 2] = leaf.labels.to_bytes(2, "little")

    def unmap_all(self, machine: Machine) -> None:
        """Takes every leaf back."""
        if len(self.mapped) == self._leaves:
            evict_run: Callable[[int, int, int], list[Leaf]] | None = getattr(machine, "evict_run", None)
            if evict_run:
                leaves = evict_run(self.slot, self.first_leaf, self._leaves)
            else:
                leaves = [machine.evict(self.slot, self.first_leaf + index) for index in range(self._leaves)]
            self.mapped.clear()
            self._data = b"".join(leaf.data for leaf in leaves)
            self._labels = bytearray(b"".join(leaf.labels.to_bytes(2, "little") for leaf in leaves))
        for index in list(self.mapped):
            self.unmap(machine, index)

    def put(self, machine: Machine, index: int, leaf: Leaf) -> None:
        """Sets what a leaf holds; it is then in no engine."""
        if index in self.mapped:
            self.unmap(machine, index)
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data or self._leaves * LEAF_BYTES)
        self._data[index * LEAF_BYTES : (index + 1) * LEAF_BYTES] = leaf.data
        self._labels[2 * index : 2 * index + 2] = leaf.labels.to_bytes(2, "little")
        self._sealed = None

    def leaf(self, machine: Machine, index: int) -> Leaf:
        """A leaf as it is now, wherever it is."""
        if index in self.mapped:
            return machine.read_leaf(self.slot, self.first_leaf + index)
        assert self._data is not None
        data = bytes(self._data[index * LEAF_BYTES : (index + 1) * LEAF_BYTES])
        return Leaf(data, int.from_bytes(self._labels[2 * index : 2 * index + 2], "little"))

    def page(self, machine: Machine) -> Page:
        """The page as it is now, sealed."""
        if self._sealed is not None:
            return self._sealed
        if not self.mapped and self._data is not None:
            return Page.seal(bytes(self._data), bytes(self._labels))
        leaves = [self.leaf(machine, index) for index in range(self._leaves)]
        labels = b"".join(leaf.labels.to_bytes(2, "little") for leaf in leaves)
        return Page.seal(b"".join(leaf.data for leaf in leaves), labels)
