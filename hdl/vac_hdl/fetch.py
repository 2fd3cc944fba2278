"""Fetch unit: reads code words ahead, follows predicted branches, and hands out one aligned instruction a cycle.

A branch target buffer is looked up with every word that is requested. On a hit the word is marked with the end of its
branch, and the next word requested is the target's: a predicted taken branch costs no cycle. A mark names the
branch's first byte, hence one instruction; where the instruction stream runs over a mark without meeting
it (code that overlaps itself), the mark is dropped and fetching starts again there.
"""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from vac.isa.encoding import LENGTH_BY_GROUP
from vac.isa.limits import CODE_ADDRESS_BITS, LEAF_BITS

from .bundle import Bundle
from .config import NEVER_COLLIDES, CoreConfig
from .signatures import InstructionBus

WORD_ADDRESS_BITS = CODE_ADDRESS_BITS - 2
PAGE_WORD_BITS = LEAF_BITS - 2
PAGE_BITS = CODE_ADDRESS_BITS - LEAF_BITS

MARK_LAYOUT = data.StructLayout({"present": 1, "first_byte": 2, "spans": 1, "target_byte": 2})
"""A predicted branch that ends in a word: where its first byte lies, in this word or (`spans`) in the one before, and
where the target lies in its word."""

_LENGTHS = Array(LENGTH_BY_GROUP)

QUEUE_WORDS = 4

_ARRIVING = 3
"""Source of a place in the queue: the word that arrives, not one that moves up by 0, 1 or 2 places."""

_QUICK_TAG_BITS = 5
"""So many bits of an address decide at once whether a branch is known there."""

_WORD_FIELDS: dict[str, Any] = {"data": 32, "word": WORD_ADDRESS_BITS, "mark": MARK_LAYOUT}


def _queue_entry(name: str, in_words: bool) -> Bundle:
    """One word of code."""
    return Bundle(_WORD_FIELDS, name, {"entry": tuple(_WORD_FIELDS)} if in_words else {})


class FetchUnit(wiring.Component):
    """Fetch, branch target buffer, queue and aligner.

    Attributes
    bus: InstructionBus, Out.
    redirect: In(1), fetch goes on at `redirect_pc`: In(24); what was fetched before is dropped.
    instruction: Out(40), `instruction_pc`: Out(24), `sequential_pc`: Out(25) the address behind it,
    `predicted_taken`: Out(1), valid while `valid`: Out(1); taken by `ready`: In(1).
    page_valid, page: code page whose frame is known, In(1), In(12); frame: In(frame_bits). page_changed: In(1), in the
    first cycle of new values.
    page_wanted: Out(1), fetching waits for page `wanted_page`: Out(12); `page` and `frame` may change then.
    learn: In(1), enters a taken branch: `learn_pc`: In(24) its address, `learn_last`: In(24) that of its last byte,
    `learn_target`: In(24); `learn_next_pc`: In(24), what `learn_pc` will be in the next cycle.
    forget: In(1), drops the entry of `learn_last`. forget_all: In(1).
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "bus": Out(InstructionBus(config.frame_bits + PAGE_WORD_BITS)),
                "redirect": In(1),
                "redirect_pc": In(CODE_ADDRESS_BITS),
                "instruction": Out(40),
                "instruction_pc": Out(CODE_ADDRESS_BITS),
                "sequential_pc": Out(CODE_ADDRESS_BITS + 1),
                "predicted_taken": Out(1),
                "valid": Out(1),
                "ready": In(1),
                "page_valid": In(1),
                "page": In(PAGE_BITS),
                "page_changed": In(1),
                "frame": In(config.frame_bits),
                "page_wanted": Out(1),
                "wanted_page": Out(PAGE_BITS),
                "learn": In(1),
                "learn_last": In(CODE_ADDRESS_BITS),
                "learn_pc": In(CODE_ADDRESS_BITS),
                "learn_next_pc": In(CODE_ADDRESS_BITS),
                "learn_target": In(CODE_ADDRESS_BITS),
                "forget": In(1),
                "forget_all": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        resync = Signal()
        resync_pc = Signal(CODE_ADDRESS_BITS)
        entry = _queue_entry("arriving", self._config.in_words)
        entry_valid = Signal()
        accept = Signal()
        hit = Signal()
        mistaken = Signal()
        hit_target = Signal(CODE_ADDRESS_BITS)
        dropping = Signal()
        m.d.comb += dropping.eq(self.redirect | resync)

        word = Signal(WORD_ADDRESS_BITS)
        byte = Signal(2)
        requested = Signal()
        requested_word = Signal(WORD_ADDRESS_BITS)
        requested_byte = Signal(2)
        strayed = Signal()
        refetch = Signal()
        waiting = Signal(CODE_ADDRESS_BITS)
        next_word = Signal(WORD_ADDRESS_BITS)
        following = Signal(WORD_ADDRESS_BITS)
        m.d.comb += next_word.eq(requested_word + 1)
        previous = Signal(CODE_ADDRESS_BITS)
        m.d.sync += [following.eq(next_word), previous.eq(waiting)]
        with m.If(self.redirect):
            m.d.comb += Cat(byte, word).eq(self.redirect_pc)
        with m.Elif(resync):
            m.d.comb += Cat(byte, word).eq(resync_pc)
        with m.Elif(refetch):
            m.d.comb += Cat(byte, word).eq(Mux(strayed, previous, Cat(Const(0, 2), following)))
        with m.Elif(hit):
            m.d.comb += Cat(byte, word).eq(hit_target)
        with m.Else():
            m.d.comb += Cat(byte, word).eq(Mux(requested, Cat(Const(0, 2), next_word), waiting))

        request = Signal()
        m.d.comb += [
            waiting.eq(Cat(requested_byte, requested_word)),
            request.eq((accept | dropping) & self.bus.ready),
            self.bus.address.eq(Cat(word[:PAGE_WORD_BITS], self.frame)),
            self.bus.request.eq(accept | dropping),
            refetch.eq(strayed | mistaken),
        ]
        # Whether the frame was the right one is known when the word is in the queue; if not, the word leaves it again
        # and is asked for once more.
        in_page = self.page_valid & (requested_word[PAGE_WORD_BITS:] == self.page)
        m.d.sync += [
            strayed.eq(entry_valid & (~in_page | self.page_changed) & ~dropping),
            self.page_wanted.eq(entry_valid & ~in_page & ~dropping),
        ]
        with m.If(entry_valid):
            m.d.sync += self.wanted_page.eq(requested_word[PAGE_WORD_BITS:])
        m.d.sync += [
            requested.eq(request),
            requested_word.eq(word),
            requested_byte.eq(byte),
        ]
        mark = Signal(MARK_LAYOUT)
        other_branch = Signal()
        self._branch_target_buffer(
            m, word, requested_word, requested_byte, mark, other_branch, hit_target, resync, resync_pc
        )
        # A word behind a mark that turns out to be another branch's is dropped, and fetching goes on as without it.
        m.d.sync += mistaken.eq(entry_valid & mark.present & other_branch & ~dropping)
        m.d.comb += [
            hit.eq(requested & mark.present),
            entry_valid.eq(requested & ~refetch),
            entry.data.eq(self.bus.data),
            entry.word.eq(requested_word),
            entry.mark.eq(mark),
        ]
        start_byte = Mux(self.redirect, self.redirect_pc[:2], resync_pc[:2])
        self._align(
            m, entry, entry_valid, mistaken, strayed, requested, dropping, start_byte, accept, resync, resync_pc
        )
        return m

    def _branch_target_buffer(
        self, m, word, requested_word, requested_byte, mark, other_branch, target, resync, resync_pc
    ) -> None:
        """Looks `word` up; one cycle later `mark` and `target` tell of `requested_word`.

        `mark` judges by the low bits of the address alone; `other_branch`, which comes later, by all.
        """
        bits = self._config.branch_target_bits
        if bits < 0:
            return
        tag_bits = WORD_ADDRESS_BITS - bits
        layout = data.StructLayout(
            {"valid": 1, "tag": tag_bits, "last_byte": 2, "first_byte": 2, "spans": 1, "target": CODE_ADDRESS_BITS}
        )
        m.submodules.targets = memory = Memory(shape=layout, depth=1 << bits, init=[], attrs=NEVER_COLLIDES)
        read, write = memory.read_port(), memory.write_port()
        learned_word = self.learn_last[2:]
        # A tight loop could else learn its branch in just the cycle in which it is looked up, for ever.
        latest = Signal(CODE_ADDRESS_BITS)
        latest_valid = Signal()
        is_latest = Signal()
        known = Signal()
        m.d.sync += is_latest.eq(latest == self.learn_next_pc)
        # Forgetting everything takes a cycle an entry; nothing is found meanwhile.
        forgotten = Signal(bits + 1, init=1 << bits)
        forgetting = Signal()
        m.d.comb += [
            forgetting.eq(~forgotten[bits]),
            known.eq(latest_valid & is_latest),
            read.addr.eq(word[:bits]),
            read.en.eq(1),
            write.data.tag.eq(learned_word[bits:]),
            write.data.last_byte.eq(self.learn_last[:2]),
            write.data.first_byte.eq(self.learn_pc[:2]),
            write.data.spans.eq(self.learn_pc[2:4] != learned_word[:2]),
            write.data.target.eq(self.learn_target),
            write.addr.eq(learned_word[:bits]),
        ]
        with m.If(forgetting):
            m.d.comb += [write.en.eq(1), write.addr.eq(forgotten[:bits])]
            m.d.sync += forgotten.eq(forgotten + 1)
        with m.Elif(self.learn):
            m.d.comb += [write.en.eq(~known), write.data.valid.eq(1)]
            m.d.sync += [latest.eq(self.learn_pc), latest_valid.eq(1)]
        with m.Elif(self.forget | resync):
            m.d.comb += write.en.eq(1)
            with m.If(~self.forget):
                m.d.comb += write.addr.eq(resync_pc[2 : 2 + bits])
            m.d.sync += latest_valid.eq(0)
        with m.If(self.forget_all):
            m.d.sync += [forgotten.eq(0), latest_valid.eq(0)]
        # An entry that is being replaced while it is read is skipped this once.
        collided = Signal()
        m.d.sync += collided.eq(write.en & (write.addr == word[:bits]))
        m.d.comb += [
            mark.present.eq(
                read.data.valid
                & ~(collided | forgetting)
                & (read.data.tag[:_QUICK_TAG_BITS] == requested_word[bits : bits + _QUICK_TAG_BITS])
                & (requested_byte <= read.data.last_byte)
            ),
            other_branch.eq(read.data.tag[_QUICK_TAG_BITS:] != requested_word[bits + _QUICK_TAG_BITS :]),
            mark.first_byte.eq(read.data.first_byte),
            mark.spans.eq(read.data.spans),
            mark.target_byte.eq(read.data.target[:2]),
            target.eq(read.data.target),
        ]

    def _align(
        self, m, entry, entry_valid, mistaken, strayed, requested, dropping, start_byte, accept, resync, resync_pc
    ) -> None:
        """Queue of words, and the instruction at its head."""
        in_words = self._config.in_words
        stored = [_queue_entry(f"queue_{index}", in_words) for index in range(QUEUE_WORDS)]
        queue = [_queue_entry(f"judged_{index}", in_words) for index in range(QUEUE_WORDS)]
        occupied = Signal(QUEUE_WORDS)
        newest = occupied & ~(occupied >> 1)
        filled = Signal(QUEUE_WORDS)
        m.d.comb += filled.eq(occupied & ~(newest & strayed.replicate(QUEUE_WORDS)))
        for index in range(QUEUE_WORDS):
            dropped = mistaken & newest[index]
            if in_words:
                present = data.StructLayout(_WORD_FIELDS)["mark"].offset + MARK_LAYOUT["present"].offset
                kept = ~Cat(
                    Const(0, present), dropped, Const(0, len(stored[index].group("entry").as_value()) - present - 1)
                )
                m.d.comb += queue[index].group("entry").eq(stored[index].group("entry").as_value() & kept)
                continue
            m.d.comb += queue[index].eq(stored[index])
            with m.If(dropped):
                m.d.comb += queue[index].mark.present.eq(0)
        offset = Signal(2)
        first, second = queue[0], queue[1]
        window = Cat(first.data, second.data)
        aligned = Signal(40)
        end = Signal(4)
        spans = Signal()
        if in_words:
            m.d.comb += [
                aligned.eq(window >> Cat(Const(0, 3), offset)),
                end.eq(_LENGTHS[aligned[5:8]] + offset),
                spans.eq(end > 4),
            ]
        else:
            # Where an instruction that starts in a given byte of the word would end. A word that arrives is not
            # asked: the memory answers late.
            ends = [
                Array(Const(byte + length, 4) for length in LENGTH_BY_GROUP)[first.data[8 * byte + 5 : 8 * byte + 8]]
                for byte in range(4)
            ]
            with m.Switch(offset):
                for value in range(4):
                    with m.Case(value):
                        m.d.comb += [
                            aligned.eq(window[8 * value : 8 * value + 40]),
                            end.eq(ends[value]),
                            spans.eq(ends[value] > 4),
                        ]

        met_first = Signal()
        met_second = Signal()
        met = Signal()
        for word, is_met, spanning in ((first, met_first, 0), (second, met_second, 1)):
            m.d.comb += is_met.eq(word.mark.present & (word.mark.spans == spanning) & (word.mark.first_byte == offset))
        # A marked first word is followed by its target's word, not by the next one.
        broken = Signal()
        m.d.comb += [
            met.eq(met_first | (met_second & ~first.mark.present & filled[1])),
            broken.eq(first.mark.present & ~met_first & (end >= 4)),
        ]
        enough = Signal()
        m.d.comb += enough.eq(Mux(spans, filled[1], filled[0]))
        must_resync = Signal()
        m.d.comb += [
            must_resync.eq(broken & filled[0]),
            self.valid.eq(enough & ~broken & ~resync),
            self.instruction.eq(aligned),
            self.instruction_pc.eq(Cat(offset, first.word)),
            self.sequential_pc.eq(Cat(end[:2], first.word + end[2:4])),
            self.predicted_taken.eq(met),
        ]
        m.d.sync += [
            resync.eq(must_resync & ~self.redirect & ~resync),
            resync_pc.eq(self.instruction_pc),
        ]
        taken = Signal()
        # When a mark was run over, the queue is dropped in the next cycle: what leaves it now does not matter.
        m.d.comb += taken.eq(enough & self.ready)
        passed = Signal(2)  # words that the instruction leaves behind
        m.d.comb += passed.eq(Mux(met, Mux(met_first, 1, 2), end[2:4]))
        with m.If(taken):
            with m.If(met):
                m.d.sync += offset.eq(Mux(met_first, first.mark.target_byte, second.mark.target_byte))
            with m.Else():
                m.d.sync += offset.eq(end[:2])
        left = Signal(QUEUE_WORDS)
        m.d.comb += left.eq(Mux(taken, filled >> passed, filled))
        # A word requested now arrives in the next cycle, behind the one that may be arriving. That words may leave
        # meanwhile is not counted on: it is known too late.
        m.d.comb += accept.eq(~(occupied[-1] | (occupied[-2] & requested)))
        m.d.sync += occupied.eq(Mux(entry_valid, Cat(Const(1, 1), left), left))
        for index in range(QUEUE_WORDS):
            # A place is filled from the one that the words move up from, or, where that is empty, by what arrives.
            moved_up = [
                Mux(filled[index + by], by, _ARRIVING) if index + by < QUEUE_WORDS else _ARRIVING for by in range(3)
            ]
            source = Signal(2, name=f"source_{index}")
            m.d.comb += source.eq(moved_up[0])
            for by in range(1, 3):
                with m.If(taken & (passed == by)):
                    m.d.comb += source.eq(moved_up[by])
            with m.Switch(source):
                for by in range(3):
                    with m.Case(by):
                        m.d.sync += stored[index].eq(queue[index + by] if index + by < QUEUE_WORDS else entry)
                with m.Default():
                    m.d.sync += stored[index].eq(entry)
        with m.If(dropping):
            m.d.sync += [occupied.eq(0), offset.eq(start_byte)]
