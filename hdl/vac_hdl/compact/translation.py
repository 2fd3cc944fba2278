"""The translation look-aside buffer of the compact core: direct-mapped, filled by the host, in block RAM."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from vac.isa.limits import CELL_BITS, LEAF_BITS, SLOT_BITS

from ..config import NEVER_COLLIDES

LEAF_NUMBER_BITS = CELL_BITS - LEAF_BITS


class Translation(wiring.Component):
    """Attributes: slot: In(8), leaf: In(20), looked up every cycle; hit, writable: Out(1), frame: Out(frame_bits), one
    cycle later, for a slot and leaf that are still there.
    write: In(1): the entry that `write_slot`: In(8), `write_leaf`: In(20) maps to becomes `write_frame`,
    `write_writable`, `write_valid`.
    """

    def __init__(self, tlb_bits: int, frame_bits: int) -> None:
        self._bits = tlb_bits
        self._layout = data.StructLayout(
            {"valid": 1, "writable": 1, "frame": frame_bits, "slot": SLOT_BITS, "leaf": LEAF_NUMBER_BITS - tlb_bits}
        )
        super().__init__(
            {
                "slot": In(SLOT_BITS), "leaf": In(LEAF_NUMBER_BITS), "hit": Out(1), "writable": Out(1),
                "frame": Out(frame_bits), "write": In(1), "write_slot": In(SLOT_BITS),
                "write_leaf": In(LEAF_NUMBER_BITS), "write_frame": In(frame_bits), "write_writable": In(1),
                "write_valid": In(1),
            }
        )  # fmt: skip

    def _entry(self, slot: Any, leaf: Any) -> Any:
        """Low leaf bits, turned by the slot so that equal leaves of two slots do not collide."""
        return (leaf ^ (slot << (self._bits - 2)))[: self._bits]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.entries = entries = Memory(
            shape=self._layout, depth=1 << self._bits, init=[], attrs=NEVER_COLLIDES
        )
        read, write = entries.read_port(), entries.write_port()
        found: Any = read.data
        stored: Any = write.data
        m.d.comb += [
            read.addr.eq(self._entry(self.slot, self.leaf)),
            self.hit.eq(found.valid & (found.slot == self.slot) & (found.leaf == self.leaf[self._bits :])),
            self.writable.eq(found.writable),
            self.frame.eq(found.frame),
            write.addr.eq(self._entry(self.write_slot, self.write_leaf)),
            write.en.eq(self.write),
            stored.valid.eq(self.write_valid),
            stored.writable.eq(self.write_writable),
            stored.frame.eq(self.write_frame),
            stored.slot.eq(self.write_slot),
            stored.leaf.eq(self.write_leaf[self._bits :]),
        ]
        return m
