"""Run control: starting, stopping, translation misses."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from vac.isa.limits import (
    CODE_SLOT,
    LEAF_BITS,
)
from vac.isa.state_map import (
    FaultKind,
    StopCode,
)
from vac.isa.traps import Trap

from .pipeline import Mode, Pipeline

_DRAIN_CYCLES = 4
"""The last committed instruction reaches the beam port and the SQI settles in fewer cycles than this."""


def control(p: Pipeline, m: Module) -> None:
    c = p.m
    drain = Signal(range(_DRAIN_CYCLES + 1))
    m.d.sync += [
        p.failed.eq(p.may_commit & ~p.commit),
        p.halting.eq(p.retires & c.halts),
    ]
    if p.config.in_words:
        with m.If(p.code_page_asked | (p.mode == Mode.WALKED)):
            m.d.sync += [p.walk_hit.eq(p.tlb.hit), p.walk_at.eq(p.tlb.translation)]
    else:
        m.d.comb += [p.walk_hit.eq(p.tlb.hit), p.walk_at.eq(p.tlb.translation)]
    m.d.comb += [
        p.restart.eq(p.mode == Mode.RESTART),
        p.flush.eq(p.redirect | p.restart),
        p.fetch.redirect.eq(p.redirect | p.restart | p.r_redirect),
        p.fetch.redirect_pc.eq(Mux(p.restart, p.pc, Mux(p.redirect, p.redirect_pc, p.r_op.target))),
        p.host.stopped.eq(p.mode == Mode.STOPPED),
    ]
    with m.If(p.restart):
        m.d.sync += [
            p.spec_sp.eq(p.sp),
            p.spec_rp.eq(p.rp),
            p.spec_fp.eq(p.fp),
            p.spec_frame.eq(p.rp - p.fp),
        ]
    with m.Elif(p.redirect):
        m.d.sync += [
            p.spec_sp.eq(c.sp),
            p.spec_rp.eq(c.rp),
            p.spec_fp.eq(c.fp),
            p.spec_frame.eq(c.rp - c.fp),
        ]

    code_page_missing = _code_page_missing(p, m)
    walk_fills_window = Signal()

    def stop(code: StopCode) -> None:
        m.d.sync += [p.stop_code.eq(code), p.mode.eq(Mode.DRAIN), drain.eq(_DRAIN_CYCLES)]

    # Held from the cycle on in which an operation failed to commit.
    with m.If(p.running & ~p.failed):
        m.d.sync += [
            p.fault_waits.eq(p.m_waits),
            p.fault_is_data.eq(1),
            p.stop_trap.eq(p.m_trap),
            p.fault_slot.eq(Mux(p.m_is_memory, p.m_window.slot, c.number)),
            p.fault_leaf.eq(Mux(p.m_is_memory, c.aux[LEAF_BITS:], c.opcode)),
            p.fault_window.eq(p.m_window_index),
            p.fault_way.eq(p.m_way),
            p.fault_store.eq(c.is_store),
            p.fault_labels.eq(c.labels),
        ]

    with m.Switch(p.mode):
        with m.Case(Mode.STOPPED):
            with m.If(p.host_in.start):
                m.d.sync += [p.mode.eq(Mode.RESTART), p.stop_code.eq(StopCode.NONE)]
        with m.Case(Mode.RESTART):
            m.d.sync += p.mode.eq(Mode.RUN)
        with m.Case(Mode.RUN):
            with m.If(p.halting):
                stop(StopCode.HALTED)
            with m.Elif(p.code_changed):
                m.d.sync += p.mode.eq(Mode.RESTART)
            with m.Elif(p.exhausted):
                stop(StopCode.LIMIT)
            with m.Elif(p.failed):
                with m.If(p.stop_trap != Trap.NONE):
                    stop(StopCode.TRAPPED)
                with m.Elif(p.fault_waits):
                    stop(StopCode.EVENT)
                with m.Else():
                    m.d.sync += p.mode.eq(Mode.WALK)
            with m.Elif(code_page_missing):
                m.d.sync += [
                    p.fault_slot.eq(CODE_SLOT),
                    p.fault_leaf.eq(p.fetch.wanted_page),
                    p.fault_kind.eq(FaultKind.MISSING),
                    p.fault_is_data.eq(0),
                ]
                stop(StopCode.PAGE)
        with m.Case(Mode.WALK):
            m.d.sync += p.mode.eq(Mode.WALKED)
        with m.Case(Mode.WALKED):
            m.d.sync += p.mode.eq(Mode.JUDGE)
        with m.Case(Mode.JUDGE):
            at = p.walk_at
            labels_held = ~(p.fault_labels & ~at.labels).any() if p.config.label_bits else Const(1, 1)
            with m.If(~p.walk_hit):
                m.d.sync += p.fault_kind.eq(FaultKind.MISSING)
                stop(StopCode.PAGE)
            with m.Elif(p.fault_store & ~at.writable):
                m.d.sync += p.fault_kind.eq(FaultKind.READ_ONLY)
                stop(StopCode.PAGE)
            with m.Elif(p.fault_store & ~labels_held):
                m.d.sync += p.fault_kind.eq(FaultKind.LABELS)
                stop(StopCode.PAGE)
            with m.Else():
                m.d.comb += walk_fills_window.eq(1)
                m.d.sync += p.mode.eq(Mode.RESTART)
        with m.Case(Mode.DRAIN):
            m.d.sync += drain.eq(drain - 1)
            with m.If(drain == 0):
                m.d.sync += p.mode.eq(Mode.STOPPED)
        with m.Default():
            m.d.sync += p.mode.eq(Mode.STOPPED)
    m.d.comb += [
        p.windows.fill_index.eq(p.fault_window),
        p.windows.fill_way.eq(p.fault_way),
        p.windows.fill_translation.leaf.eq(p.fault_leaf),
        p.windows.fill.eq(walk_fills_window | p.host_fills_window),
        p.windows.fill_translation.at.eq(
            Mux(p.host_fills_window, p.tlb.write_translation.as_value(), p.walk_at.as_value())
        ),
    ]


def _code_page_missing(p: Pipeline, m: Module) -> Signal:
    """1 when nothing is left to execute and the next instruction's page has no TLB entry."""
    missing = Signal(name="code_page_missing")
    occupied = p.fetch.valid | p.d_valid | p.d_spare | p.r_valid | p.o_valid | p.x_valid | p.m_valid
    # Nothing changes any more once this holds, so that it may be acted on a cycle later.
    m.d.sync += missing.eq(p.running & p.code_page_unknown & p.fetch.page_wanted & ~occupied)
    return missing


def code_translation(p: Pipeline, m: Module) -> None:
    """Looks up the frame of the code page that fetching waits for."""
    asked = p.code_page_asked
    answered = Signal()
    beyond = Signal()
    asked_page = Signal(24 - LEAF_BITS)
    answered_page = Signal(24 - LEAF_BITS)
    page_valid = Signal()
    page = Signal(24 - LEAF_BITS)
    frame = Signal(p.config.frame_bits)
    walking = (p.mode == Mode.WALK) | (p.mode == Mode.WALKED)
    m.d.comb += [
        p.tlb.slot.eq(Mux(walking, p.fault_slot, CODE_SLOT)),
        p.tlb.leaf.eq(Mux(walking, p.fault_leaf, p.fetch.wanted_page)),
        p.fetch.page_valid.eq(page_valid),
        p.fetch.page.eq(page),
        p.fetch.frame.eq(frame),
    ]
    m.d.sync += [
        p.fetch.page_changed.eq(0),
        asked.eq(p.running & p.fetch.page_wanted & ~asked & ~answered),
        asked_page.eq(p.fetch.wanted_page),
        answered.eq(asked & p.running),
        answered_page.eq(asked_page),
        # Pages behind the code are as good as any: no instruction that reaches them ever retires.
        beyond.eq(Cat(Const(0, LEAF_BITS), asked_page) >= p.code_length),
    ]
    with m.If(answered & p.running):
        with m.If(p.walk_hit | beyond):
            m.d.sync += [
                page_valid.eq(1),
                page.eq(answered_page),
                frame.eq(p.walk_at.frame),
                p.fetch.page_changed.eq(1),
            ]
        m.d.sync += p.code_page_unknown.eq(~(p.walk_hit | beyond) & (answered_page == p.fetch.wanted_page))
    with m.If(p.fetch.redirect | (p.fetch.wanted_page != answered_page)):
        m.d.sync += p.code_page_unknown.eq(0)
    with m.If(p.mode == Mode.STOPPED):
        m.d.sync += p.code_page_unknown.eq(0)
    with m.If(p.code_page_forget):
        m.d.sync += page_valid.eq(0)
