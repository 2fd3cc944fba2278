"""Windows and translation: from a pointer to a frame of memory."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from vac.isa.limits import CELL_BITS, LEAF_BITS, SLOT_BITS, WINDOWS

from .config import NEVER_COLLIDES, CoreConfig

LEAF_NUMBER_BITS = CELL_BITS - LEAF_BITS
WINDOW_INDEX_BITS = 5
WINDOW_LENGTH_BITS = 29

WINDOW_LAYOUT = data.StructLayout({"base": 32, "length": WINDOW_LENGTH_BITS, "permissions": 2, "slot": SLOT_BITS})
"""A capability: see `vac.image.image.Window`. An empty one is all zeros."""


def translation_layout(config: CoreConfig) -> data.StructLayout:
    """Where a leaf lies: its frame, whether stores may go ahead, and its label set."""
    return data.StructLayout({"frame": config.frame_bits, "writable": 1, "labels": config.label_bits})


def window_translation_layout(config: CoreConfig) -> data.StructLayout:
    """Translation of the leaf that a window was last used for."""
    return data.StructLayout({"leaf": LEAF_NUMBER_BITS, "at": translation_layout(config)})


class WindowFile(wiring.Component):
    """The window registers, each with the translations of a few leaves that it was last used for.

    A window has 2**window_way_bits translations; `way` picks one. Which pointers share a way is the caller's choice: a
    translation names its leaf, so that the choice decides speed alone.

    Attributes: index: In(5) and way: In(2), looked up every cycle in which `enable`: In(1). window: Out, translation:
    Out, translation_valid: Out(1), of these from the next cycle on.
    write: In(1), `write_index`: In(5), `write_window`: In: sets a window and forgets its translations.
    fill: In(1), `fill_index`: In(5), `fill_way`: In(2), `fill_translation`: In: gives a window a translation.
    forget: In(1), forgets all translations. A look-up in the cycle of a write sees the old window.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._translation = window_translation_layout(config)
        self._way_bits = config.window_way_bits
        self._in_lut_ram = config.has_lut_ram
        super().__init__(
            {
                "index": In(WINDOW_INDEX_BITS),
                "way": In(2),
                "enable": In(1),
                "window": Out(WINDOW_LAYOUT),
                "translation": Out(self._translation),
                "translation_valid": Out(1),
                "write": In(1),
                "write_index": In(WINDOW_INDEX_BITS),
                "write_window": In(WINDOW_LAYOUT),
                "fill": In(1),
                "fill_index": In(WINDOW_INDEX_BITS),
                "fill_way": In(2),
                "fill_translation": In(self._translation),
                "forget": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Reads and writes never meet: windows are written while nothing is in the pipeline behind.
        m.submodules.windows = windows = Memory(shape=WINDOW_LAYOUT, depth=32, init=[], attrs=NEVER_COLLIDES)
        ways = 1 << self._way_bits
        m.submodules.translations = translations = Memory(
            shape=self._translation, depth=32 * ways, init=[], attrs=NEVER_COLLIDES
        )
        # In block RAM the look-up takes the cycle in which the index comes; in LUT-RAM, the one after, which is faster
        # where the index comes late. Outside, both look the same.
        domain = "comb" if self._in_lut_ram else "sync"
        window_read, window_write = windows.read_port(domain=domain), windows.write_port()
        translation_read, translation_write = translations.read_port(domain=domain), translations.write_port()
        valid = Signal((WINDOWS + 1) * ways)
        looked_up = Signal(WINDOW_INDEX_BITS + self._way_bits)
        asked = Cat(self.way[: self._way_bits], self.index)
        filled = Cat(self.fill_way[: self._way_bits], self.fill_index)
        m.d.comb += [
            window_read.addr.eq(looked_up[self._way_bits :] if self._in_lut_ram else self.index),
            translation_read.addr.eq(looked_up if self._in_lut_ram else asked),
            self.window.eq(window_read.data),
            self.translation.eq(translation_read.data),
            self.translation_valid.eq(valid.bit_select(looked_up, 1)),
            window_write.addr.eq(self.write_index),
            window_write.en.eq(self.write),
            window_write.data.eq(self.write_window),
            translation_write.addr.eq(filled),
            translation_write.en.eq(self.fill),
            translation_write.data.eq(self.fill_translation),
        ]
        if not self._in_lut_ram:
            m.d.comb += [window_read.en.eq(self.enable), translation_read.en.eq(self.enable)]
        with m.If(self.enable):
            m.d.sync += looked_up.eq(asked)
        # A translation comes long before the next look-up, and whether it does is known late.
        fills, forgets, filled_before = Signal(), Signal(), Signal(len(filled))
        m.d.sync += [fills.eq(self.fill), forgets.eq(self.forget), filled_before.eq(filled)]
        with m.If(forgets):
            m.d.sync += valid.eq(0)
        with m.Else():
            with m.If(fills):
                m.d.sync += valid.bit_select(filled_before, 1).eq(1)
            with m.If(self.write):
                m.d.sync += valid.word_select(self.write_index, ways).eq(0)
        return m


class Tlb(wiring.Component):
    """Shared translation look-aside buffer, direct-mapped, filled by the host.

    Attributes: slot: In(8), leaf: In(20), looked up every cycle. hit: Out(1), translation: Out, two cycles later,
    where the core is written in words one cycle later.
    write: In(1), `write_slot`, `write_leaf`, `write_valid`: In(1), `write_translation`: fills or empties the entry that
    (slot, leaf) maps to.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._bits = config.tlb_bits
        self._in_words = config.in_words
        self._translation = translation_layout(config)
        super().__init__(
            {
                "slot": In(SLOT_BITS),
                "leaf": In(LEAF_NUMBER_BITS),
                "hit": Out(1),
                "translation": Out(self._translation),
                "write": In(1),
                "write_slot": In(SLOT_BITS),
                "write_leaf": In(LEAF_NUMBER_BITS),
                "write_valid": In(1),
                "write_translation": In(self._translation),
            }
        )

    def _entry(self, slot, leaf):
        """Entry number: low leaf bits, turned by the slot so that equal leaves of two slots do not collide."""
        return (leaf ^ (slot << (self._bits - 2)))[: self._bits]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = data.StructLayout({"valid": 1, "slot": SLOT_BITS, "leaf": LEAF_NUMBER_BITS, "at": self._translation})
        # Written only while the core is stopped.
        m.submodules.entries = entries = Memory(shape=layout, depth=1 << self._bits, init=[], attrs=NEVER_COLLIDES)
        read, write = entries.read_port(), entries.write_port()
        asked_slot = Signal(SLOT_BITS)
        asked_leaf = Signal(LEAF_NUMBER_BITS)
        m.d.sync += [asked_slot.eq(self.slot), asked_leaf.eq(self.leaf)]
        # The memory answers late: what is compared with its answer is put together in the next cycle. A simulator is
        # quicker where its user keeps the answer only when there is one.
        found = read.data
        pieces = [
            found.valid & (found.slot == asked_slot),
            *(found.leaf[low : low + 5] == asked_leaf[low : low + 5] for low in range(0, LEAF_NUMBER_BITS, 5)),
        ]
        alike = Signal(len(pieces))
        answers = [alike.eq(Cat(*pieces)), self.translation.eq(found.at)]
        if self._in_words:
            m.d.comb += answers
        else:
            m.d.sync += answers
        m.d.comb += [
            read.addr.eq(self._entry(self.slot, self.leaf)),
            read.en.eq(1),
            self.hit.eq(alike.all()),
            write.addr.eq(self._entry(self.write_slot, self.write_leaf)),
            write.en.eq(self.write),
            write.data.valid.eq(self.write_valid),
            write.data.slot.eq(self.write_slot),
            write.data.leaf.eq(self.write_leaf),
            write.data.at.eq(self.write_translation),
        ]
        return m
