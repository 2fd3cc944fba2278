"""A machine's memory as its host sees it: leaves that are not there yet, grants of new memory, copies in and out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..image.image import PERMISSION_READ, PERMISSION_WRITE, Image, Segment, Window
from ..isa.limits import (
    CODE_SLOT,
    DISPLACEMENT_MASK,
    LEAF_BITS,
    LEAF_BYTES,
    MAX_WINDOW_BYTES,
    POINTER_DISPLACEMENT_BITS,
    SLOT_BITS,
)
from ..isa.traps import Trap
from ..machine.protocol import Leaf, Machine, MachineError, PageMiss
from ..machine.state import State
from ..memory.image_shards import bind_contents
from ..memory.paged_memory import PagedMemory
from ..memory.pager import Pager
from .residency import HeldLeaves, Residency


class PointerTrap(Exception):
    """A system call's pointer does not allow the access; the call traps as a load or store would."""

    def __init__(self, trap: Trap) -> None:
        super().__init__(trap.name)
        self.trap = trap


@dataclass(frozen=True)
class Shard:
    """Memory that `map` can grant. number: u64. data: at most 4 GiB. permissions: the most that can be had."""

    number: int
    data: bytes
    permissions: int = PERMISSION_READ


class AddressSpace:
    """Serves one machine, which starts without any memory and gets each leaf when it first asks for it.

    A leaf that neither the image nor a shard fills is zero until it is written.
    allocation_limit: bytes that `alloc` may grant in all. pager: keeps what the machine does not hold; without one it
    is kept in this process, all of it. `paged` is the machine's memory under the pager, None without one.
    """

    def __init__(
        self,
        machine: Machine,
        image: Image,
        shards: tuple[Shard, ...],
        allocation_limit: int,
        pager: Pager | None = None,
    ) -> None:
        machine.load(replace(image, segments=()))
        self._machine = machine
        taken = {CODE_SLOT, *(s.slot for s in image.segments), *(w.slot for _, w in image.windows)}
        free = [slot for slot in range(1 << SLOT_BITS) if slot not in taken]
        self._allocation_slot = free.pop() if free else None
        if len(shards) > len(free):
            raise ValueError(f"{len(shards)} shards, but the image leaves only {len(free)} slots free")
        self._shards = {shard.number: (free.pop(), shard) for shard in shards}
        self._segments = [
            *image.segments,
            *(Segment(slot, 0, len(shard.data), shard.data) for slot, shard in self._shards.values()),
        ]
        self._allocated = 0
        self._allocation_limit = allocation_limit
        self.paged: PagedMemory | None = None
        if pager:
            self.paged = pager.attach(machine)
            bind_contents(pager, self.paged, image, {slot: shard.data for slot, shard in self._shards.values()})
            if self._allocation_slot is not None:
                self.paged.bind(self._allocation_slot, 0)
        self.residency: Residency = self.paged or HeldLeaves(machine, self._initial)

    # ---- leaves --------------------------------------------------------------------------------------------------

    def serve(self, miss: PageMiss) -> None:
        """Installs the leaf that the machine stopped for.

        Raises MachineError when nothing gives the machine a right to it: an engine that asks is broken.
        """
        if not _covers(self._machine.state(), miss):
            raise MachineError(f"the engine asks for leaf {miss.number} of slot {miss.slot}, which no window covers")
        self.residency.serve(miss.slot, miss.number)

    def leaf(self, slot: int, number: int) -> Leaf:
        """What a leaf holds now, wherever it is."""
        return self.residency.leaf(slot, number)

    def _initial(self, slot: int, number: int) -> Leaf:
        start = number << LEAF_BITS
        content, labels = bytearray(LEAF_BYTES), 0
        for segment in self._segments:
            if segment.slot == slot and segment.offset < start + LEAF_BYTES and start < segment.offset + segment.length:
                first = max(start, segment.offset)
                part = segment.data[first - segment.offset : start + LEAF_BYTES - segment.offset]
                content[first - start : first - start + len(part)] = part
                labels |= segment.labels
        return Leaf(bytes(content), labels)

    def slot_of_shard(self, number: int) -> int | None:
        """Where a shard that `map` can grant lies in this machine; None when there is none of that number."""
        return self._shards[number][0] if number in self._shards else None

    # ---- copies --------------------------------------------------------------------------------------------------

    def locate(self, state: State, pointer: int, length: int, permission: int) -> tuple[int, int]:
        """Slot and offset of `length` bytes at a pointer. Raises PointerTrap: PERMISSION, then BOUNDS."""
        window = state.windows[pointer >> POINTER_DISPLACEMENT_BITS]
        displacement = pointer & DISPLACEMENT_MASK
        if not window.permissions & permission:
            raise PointerTrap(Trap.PERMISSION)
        if displacement + length > window.length:
            raise PointerTrap(Trap.BOUNDS)
        return window.slot, window.base + displacement

    def read(self, slot: int, offset: int, length: int) -> bytes:
        if not length:
            return b""
        first, last = offset >> LEAF_BITS, offset + length - 1 >> LEAF_BITS
        data = b"".join(self.leaf(slot, number).data for number in range(first, last + 1))
        return data[offset % LEAF_BYTES :][:length]

    # ---- grants --------------------------------------------------------------------------------------------------

    def allocate(self, length: int) -> Window | None:
        """Fresh zeroed memory, or None when that is more than the limit leaves."""
        rounded = -(-length // LEAF_BYTES) * LEAF_BYTES
        if self._allocation_slot is None or not 0 < length <= MAX_WINDOW_BYTES:
            return None
        if self._allocated + rounded > self._allocation_limit:
            return None
        base = self._allocated
        self.take_over(base + rounded)
        return Window(self._allocation_slot, base, length, PERMISSION_READ | PERMISSION_WRITE)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All that fills memory before the first tick: the image's segments and the shards that can be mapped."""
        return tuple(self._segments)

    @property
    def allocated(self) -> int:
        """Bytes that `alloc` has granted so far, in whole leaves."""
        return self._allocated

    def take_over(self, allocated: int) -> None:
        """So much has been granted: by a run that is continued here."""
        if self._allocation_slot is None:
            return
        self._allocated = allocated
        if self.paged:
            self.paged.extend(self._allocation_slot, allocated)

    def note_grant(self, window: Window) -> None:
        """A recording grants this window."""
        if window.slot == self._allocation_slot:
            self.take_over(max(self._allocated, window.base + -(-window.length // LEAF_BYTES) * LEAF_BYTES))

    def map(self, number: int, offset: int, length: int, permissions: int) -> Window | None:
        """A window onto a shard, or None when that was not granted."""
        slot, shard = self._shards.get(number, (0, None))
        if shard is None or offset % 4 or not 0 < length <= MAX_WINDOW_BYTES or offset + length > len(shard.data):
            return None
        if not permissions or permissions & ~shard.permissions:
            return None
        return Window(slot, offset, length, permissions)


def _covers(state: State, miss: PageMiss) -> bool:
    start = miss.number << LEAF_BITS
    if miss.slot == CODE_SLOT and start < state.code_length:
        return True
    return any(
        window.permissions and window.slot == miss.slot and window.base < start + LEAF_BYTES
        and start < window.base + window.length
        for window in state.windows
    )  # fmt: skip
