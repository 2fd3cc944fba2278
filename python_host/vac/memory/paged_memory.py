"""The memory of one machine under a pager: slots bound to shards, leaves in and out of its engine."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..commitment.state_root import StateCommitment
from ..isa.limits import CELL_BITS, LEAF_BITS, LEAF_BYTES, SLOT_BITS
from ..machine.protocol import Leaf, Machine, MachineError
from .address import PageKey, leaves_in
from .errors import ShardError
from .frame import Frame
from .policy import PageId
from .statistics import PagingStatistics

if TYPE_CHECKING:
    from .pager import Pager

_NUMBER_BITS = CELL_BITS - LEAF_BITS
_NEEDED_AT_ONCE = 3
"""Pages, the missing one apart, that one instruction can touch."""


def page_id(machine: int, slot: int, number: int) -> PageId:
    """Neighbours in a slot have neighbouring numbers."""
    return machine, slot << _NUMBER_BITS | number


def split_page_id(page: PageId) -> tuple[int, int, int]:
    """Machine, slot and number of the page in the slot."""
    return page[0], page[1] >> _NUMBER_BITS, page[1] & (1 << _NUMBER_BITS) - 1


class PagedMemory:
    """Made by `Pager.attach`. `number` names the machine in the pager's statistics.

    All pages of a page miss are mapped at once, as long as the engine has room; one that has none left gets single
    leaves, and gives back those that it has had longest.
    """

    def __init__(self, pager: Pager, number: int, machine: Machine) -> None:
        self.number = number
        self.machine = machine
        self.statistics = PagingStatistics()
        self.recent: deque[PageId] = deque(maxlen=_NEEDED_AT_ONCE)
        """The pages missed last: the instruction that misses may need them too."""
        self._pager = pager
        self._leaves = leaves_in(pager.page_bytes)
        self._bound: dict[int, tuple[int, int]] = {}
        """Slot to shard and length in bytes."""
        self._maps_whole_pages = True
        self._single: OrderedDict[tuple[Frame, int], None] = OrderedDict()
        """Leaves in an engine that is short of room, longest there first."""
        self._commitment: StateCommitment | None = None
        self._uncommitted: set[tuple[int, int]] = set()
        self._departed: set[tuple[int, int]] = set()

    # ---- slots -----------------------------------------------------------------------------------------------------

    def bind(self, slot: int, length: int, parent: int | None = None) -> int:
        """Gives a slot a fresh shard over a parent, or over nothing; returns its number.

        length: bytes from the start of the slot that are worth looking for, up to 2**32. Raises ShardError when the
        slot is bound already or the parent does not exist.
        """
        if not 0 <= slot < 1 << SLOT_BITS or slot in self._bound:
            raise ShardError(f"slot {slot} cannot be bound" if slot not in self._bound else f"slot {slot} is bound")
        shard = self._pager.shards.create(parent=parent)
        self._bound[slot] = shard, length
        return shard

    def extend(self, slot: int, length: int) -> None:
        """At least this many bytes of the slot are in use now."""
        shard, before = self._bound[slot]
        self._bound[slot] = shard, max(before, length)

    def key(self, slot: int, number: int) -> PageKey:
        """Where the tiers know a page of a slot. Raises ShardError when the slot is not bound."""
        if slot not in self._bound:
            raise ShardError(f"slot {slot} of machine {self.number} is bound to no shard")
        return PageKey(self._bound[slot][0], number)

    def covers(self, slot: int, number: int) -> bool:
        """Whether a page of a slot lies in what is in use."""
        return slot in self._bound and number * self._pager.page_bytes < self._bound[slot][1]

    def fork(self) -> dict[int, int]:
        """Binds every slot to a fresh shard over the one it was bound to; returns those. For `Pager.fork`."""
        frozen = {slot: shard for slot, (shard, _) in self._bound.items()}
        for slot, (shard, length) in self._bound.items():
            self._bound[slot] = self._pager.shards.fork(shard), length
        return frozen

    def private_shards(self) -> list[int]:
        """The shards that hold what this machine has written."""
        return [shard for shard, _ in self._bound.values()]

    # ---- leaves ----------------------------------------------------------------------------------------------------

    def serve(self, slot: int, number: int) -> None:
        """Puts a leaf that the engine misses into it. Raises PagingError; the miss can be served again later."""
        page, index = divmod(number, self._leaves)
        self.statistics.soft_faults += self._pager.find_frame(self, slot, page) is not None
        self._map(self._pager.frame_of(self, slot, page), index)

    def make_resident(self, ranges: Sequence[tuple[int, int, int]]) -> None:
        """All leaves of these ranges (slot, first, last, both included) are in the engine at the same time.

        Raises PagingError.
        """
        held: list[PageId] = []
        try:
            for slot, first, last in ranges:
                for number in range(first // self._leaves, last // self._leaves + 1):
                    self._pager.frame_of(self, slot, number)
                    held.append(page_id(self.number, slot, number))
                    self._pager.policy.pin(held[-1])
            for slot, first, last in ranges:
                for leaf in range(first, last + 1):
                    self._map(self._pager.frame_of(self, slot, leaf // self._leaves), leaf % self._leaves)
        finally:
            for page in held:
                self._pager.policy.unpin(page)

    def leaf(self, slot: int, number: int) -> Leaf:
        """What a leaf holds now, wherever it is; counts as a use of its page. Zeros in a slot that the machine does not
        use. Raises PagingError."""
        if slot not in self._bound:
            return Leaf(bytes(LEAF_BYTES), 0)
        frame = self._pager.frame_of(self, slot, number // self._leaves)
        return frame.leaf(self.machine, number % self._leaves)

    def put(self, slot: int, number: int, leaf: Leaf) -> None:
        """Sets what a leaf holds, as when a checkpoint is restored. Raises PagingError."""
        if slot not in self._bound:
            self.bind(slot, 0)
        self.extend(slot, (number + 1) << LEAF_BITS)
        page, index = divmod(number, self._leaves)
        frame = self._pager.frame_of(self, slot, page)
        frame.put(self.machine, index, leaf)
        self.note_change(frame)

    def _map(self, frame: Frame, index: int) -> None:
        if self._maps_whole_pages:
            try:
                frame.map_all(self.machine)
                return
            except MachineError:
                if not self._can_make_room(frame):
                    raise
        while index not in frame.mapped:
            try:
                frame.map(self.machine, index)
            except MachineError:
                if not self._unmap_oldest():
                    raise
        self._single[frame, index] = None
        self._single.move_to_end((frame, index))

    def _can_make_room(self, frame: Frame) -> bool:
        """The engine is smaller than the frames: from here on it gets single leaves."""
        self._maps_whole_pages = False
        for other in self._pager.frames_of(self):
            for index in other.mapped:
                self._single[other, index] = None
        return bool(self._single)

    def _unmap_oldest(self) -> bool:
        while self._single:
            (frame, index), _ = self._single.popitem(last=False)
            if index in frame.mapped:
                frame.unmap(self.machine, index)
                self.note_change(frame)
                return True
        return False

    # ---- state root ------------------------------------------------------------------------------------------------

    def note_change(self, frame: Frame) -> None:
        """Leaves of the frame came out of the engine, and may have changed there."""
        self._uncommitted.add((frame.slot, frame.first_leaf // self._leaves))
        self._departed.update((frame.slot, frame.first_leaf + index) for index in range(self._leaves))

    def take_departed(self) -> set[tuple[int, int]]:
        """(slot, leaf) of those that came out of the engine since the last call, and may have changed in it."""
        departed, self._departed = self._departed, set()
        return departed

    def state_root(self) -> bytes:
        """32 bytes that name the machine's state, with all of its memory. Raises PagingError.

        The first call reads all memory that is not zeros; later ones what the engine or the pager may have changed.
        """
        if self._commitment is None:
            self._commitment = StateCommitment()
            for slot, (shard, length) in self._bound.items():
                for number in range(-(-length // self._pager.page_bytes)):
                    if self._pager.shards.is_filled(PageKey(shard, number)):
                        self._uncommitted.add((slot, number))
        for slot, number in sorted(self._uncommitted):
            page = self._pager.current_page(self, slot, number)
            for index in range(self._leaves):
                data = page.data[index << LEAF_BITS : (index + 1) << LEAF_BITS]
                self._commitment.put(slot, number * self._leaves + index, Leaf(data, page.labels_of(index)))
            self._uncommitted.discard((slot, number))
        return self._commitment.take(self.machine)
