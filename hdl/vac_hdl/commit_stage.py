"""M: judges each operation; what commits here has happened."""

from contextlib import nullcontext
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed

from vac.isa.beam import BeamFlag
from vac.isa.limits import (
    CODE_SLOT,
    LEAF_BITS,
)
from vac.isa.traps import Trap

from .micro_op import LOADED_PART_LAYOUT, Step
from .pipeline import Mode, Pipeline


def commit_stage(p: Pipeline, m: Module) -> None:
    c = p.m
    is_tail = Signal()
    is_prepare = Signal()
    m.d.comb += [is_tail.eq(c.step == Step.TAIL), is_prepare.eq(c.step == Step.PREPARE)]
    narrows = c.narrows
    margin = Signal(signed(36))
    outside = Signal()
    m.d.comb += [
        # An access ends before the window does (bound < length); a narrowing may end with it (bound <= length).
        margin.eq(
            Cat(narrows, p.m_window_length, Const(0, 1)).as_signed()
            - Cat(Const(1, 1), p.m_bound, Const(0, 1)).as_signed()
        ),
        outside.eq(margin < 0),
    ]
    trap = Signal(Trap)
    checked = p.m_is_memory | narrows
    with m.If(c.trap != Trap.NONE):
        m.d.comb += trap.eq(c.trap)
    with m.Elif(checked & p.m_permission_bad):
        m.d.comb += trap.eq(Trap.PERMISSION)
    with m.Elif(checked & p.m_misaligned):
        m.d.comb += trap.eq(Trap.MISALIGNED)
    with m.Elif(checked & outside):
        m.d.comb += trap.eq(Trap.BOUNDS)

    at = p.m_translation.at
    labels_held = Signal()
    page_bad = Signal()
    waits = Signal()
    if p.config.in_words:
        found = p.m_translation_valid & (p.m_translation.leaf == c.aux[LEAF_BITS:])
        held = ~(c.labels & ~at.labels).any() if p.config.label_bits else Const(1, 1)
        with m.If(p.m_is_memory):
            m.d.comb += page_bad.eq(~found)
            with m.If(c.is_store):
                m.d.comb += page_bad.eq(~(found & at.writable & held))
        m.d.comb += waits.eq(c.is_event & ~p.answer_valid)
    else:
        m.d.comb += [
            labels_held.eq(~(c.labels & ~at.labels).any() if p.config.label_bits else 1),
            page_bad.eq(
                p.m_is_memory
                & ~(
                    p.m_translation_valid
                    & (p.m_translation.leaf == c.aux[LEAF_BITS:])
                    & (~c.is_store | (at.writable & labels_held))
                )
            ),
            waits.eq(c.is_event & ~p.answer_valid),
        ]
    p.m_trap, p.m_waits, p.m_page_bad = trap, waits, page_bad

    exhausted = Signal()
    trapped = Signal()
    p.may_commit = Signal()
    m.d.comb += [
        exhausted.eq(p.budget_spent | p.host_in.halt_request),
        # After a failure nothing commits; else a tail always does, for its first step has.
        p.may_commit.eq(p.m_valid & p.running & ~p.failed & (is_tail | ~(exhausted | p.code_changed | p.halting))),
        trapped.eq((c.trap != Trap.NONE) | (checked & (p.m_permission_bad | p.m_misaligned | outside))),
        p.commit.eq(p.may_commit & ~(trapped | page_bad | waits)),
    ]
    p.exhausted = exhausted
    retires = Signal()
    m.d.comb += retires.eq(p.commit & ~is_tail & ~is_prepare)
    p.retires = retires

    m.d.comb += p.multiplier.is_signed.eq(c.multiply_signed)

    # A store writes in this stage. Its address is there even where it has been dropped, which is known late.
    m.d.comb += [
        p.bus_taken.eq(p.m_takes_bus | (p.mode == Mode.STOPPED)),
        p.bus_taken_address.eq(Mux(p.mode == Mode.STOPPED, p.host_in.address, Cat(c.aux[2:LEAF_BITS], at.frame))),
    ]
    with m.If(p.m_valid & c.is_store):
        m.d.comb += [
            p.data_bus.read.eq(0),
            p.data_bus.write_mask.eq(c.store_mask & p.commit.replicate(4)),
        ]
    with m.If(p.m_takes_bus) if p.config.in_words else nullcontext():
        m.d.comb += p.data_bus.write_data.eq(
            Mux(
                c.size_log2 == 2,
                c.store_data,
                Mux(c.size_log2 == 1, c.store_data[:16].replicate(2), c.store_data[:8].replicate(4)),
            )
        )

    with m.If(retires):
        m.d.sync += [p.budget.eq(p.budget - 1), p.budget_spent.eq(p.budget == 1)]
    m.d.sync += [
        p.window_write.eq(retires & p.m_narrow),
        p.window_write_index.eq(c.number[:4]),
        p.window_written.eq(Mux(p.m_window.permissions == 0, 0, p.m_window.as_value())),
        p.code_changed.eq(p.commit & c.is_store & (p.m_window.slot == CODE_SLOT)),
    ]
    m.d.comb += [
        p.windows.write.eq(p.window_write),
        p.windows.write_index.eq(p.window_write_index),
        p.windows.write_window.eq(p.window_written),
    ]

    # Where this instruction goes on differs from what was fetched behind it.
    m.d.comb += [
        # Whether it commits need not be waited for: where it does not, the core stops or restarts, from the program
        # counter as it is.
        p.redirect.eq(p.m_valid & c.redirect),
        p.redirect_pc.eq(c.next_pc),
        # Whatever it was that got here, it is a branch that stands there.
        p.fetch.learn.eq(p.w_learns),
        p.fetch.learn_last.eq(p.w.pc + (p.w.length - 1)[:3]),
        p.fetch.learn_pc.eq(p.w.pc),
        p.fetch.learn_next_pc.eq(c.pc),
        p.fetch.learn_target.eq(p.w.next_pc),
        p.fetch.forget.eq(p.w_forgets),
        p.fetch.forget_all.eq(p.code_changed | p.restart),
    ]

    w = p.w
    result = Signal(32, name="m_result")
    with m.If(c.brings_value):
        m.d.comb += result.eq(p.answer_value)
    with m.Else():
        m.d.comb += result.eq(c.result & (~(c.is_load | c.is_multiply)).replicate(32))
    part = Signal(LOADED_PART_LAYOUT)
    if not p.config.in_words:
        _place_load(p, m, part)
    m.d.sync += [
        p.w_part.eq(part),
        p.w_writes_late.eq(p.m_will_write_late),
        p.w_writes_cell.eq(p.m_valid & c.writes),
        p.w_learns.eq(p.m_valid & p.running & c.learn),
        p.w_forgets.eq(p.m_valid & p.running & c.forget),
    ]
    m.d.comb += p.m_will_write_late.eq(p.m_valid & c.writes & c.is_multiply)
    refused = c.is_event & p.answer_refused
    m.d.sync += [
        p.w_valid.eq(p.commit),
        p.w_loaded_word.eq(p.data_bus.read_data),
        w.eq(c),
        w.result.eq(result),
        w.flags.eq(c.flags | Mux(refused, BeamFlag.REFUSED.value, 0)),
    ]
    if p.config.label_bits:
        with m.If(c.is_load & p.has_labels):
            m.d.sync += [w.labels.eq(c.labels | at.labels), w.cell_labels.eq(c.labels | at.labels)]
    m.d.sync += p.w_retires.eq(retires)


def _place_load(p: Pipeline, m: Module, part: Any) -> None:
    """Of the loaded word, which bytes make the value."""
    c = p.m
    at_byte = Signal(4)
    m.d.comb += at_byte.eq(1 << c.aux[:2])
    with m.If(c.is_load):
        with m.Switch(c.size_log2):
            with m.Case(0):
                m.d.comb += [part.byte.eq(at_byte), part.extends_byte.eq(1)]
            with m.Case(1):
                m.d.comb += [
                    part.byte.eq(Mux(c.aux[1], 0b0100, 0b0001)),
                    part.second_byte.eq(Mux(c.aux[1], 0b1000, 0b0010)),
                ]
            with m.Default():
                m.d.comb += [part.byte.eq(0b0001), part.second_byte.eq(0b0010), part.whole.eq(1)]
        with m.If(c.is_signed & (c.size_log2 == 0)):
            m.d.comb += part.sign_of.eq(part.byte)
        with m.If(c.is_signed & (c.size_log2 == 1)):
            m.d.comb += part.sign_of.eq(part.second_byte)
