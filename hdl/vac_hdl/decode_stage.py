"""D: control bits, immediate and branch target of one instruction."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.hdl._ast import Assign

from vac.isa.limits import STACK_OPERAND

from .bundle import Bundle
from .decoder import NIBBLES, OperandFrom
from .pipeline import Pipeline


def decode_stage(p: Pipeline, m: Module) -> None:
    """Takes aligned instructions from the fetch unit and hands decoded ones to the address stage."""
    fields = {"valid": 1, "word": 40, "pc": 24, "sequential": 25, "marked": 1}
    fetched = Bundle(fields, "fetched")
    spare = Bundle(fields, "spare")
    m.d.comb += [
        fetched.valid.eq(p.fetch.valid & p.running),
        fetched.word.eq(p.fetch.instruction),
        fetched.pc.eq(p.fetch.instruction_pc),
        fetched.sequential.eq(p.fetch.sequential_pc),
        fetched.marked.eq(p.fetch.predicted_taken),
        # Whether D moves on is known too late for the fetch unit, which learns it a cycle later: one instruction waits.
        p.fetch.ready.eq(~spare.valid),
        p.d_spare.eq(spare.valid),
    ]
    m.d.comb += [
        p.decoder.enable.eq((~p.d_valid | p.r_free_early) | p.r_free_late),
        p.decoder.opcode.eq(Mux(spare.valid, spare.word[:8], fetched.word[:8])),
        p.decoder.word.eq(p.d_word),
    ]
    if p.config.in_words:
        m.d.comb += p.decoder.suboperation.eq(Mux(spare.valid, spare.word[20:24], fetched.word[20:24]))
    with m.If(p.decoder.enable):
        with m.If(spare.valid):
            m.d.sync += _take(p, spare)
        with m.Else():
            m.d.sync += _take(p, fetched)
        m.d.sync += spare.valid.eq(0)
    with m.Elif(p.fetch.ready):
        m.d.sync += spare.eq(fetched)
    with m.If(p.r_free):
        m.d.sync += [
            p.r_valid.eq(p.d_valid & ~p.r_redirect),
            *p.r_control.take(p.decoder.control),
            p.r_word.eq(p.d_word),
            p.r_pc.eq(p.d_pc),
            p.r_sequential.eq(p.d_sequential),
            p.r_marked.eq(p.d_marked),
            p.r_value.eq(p.decoder.value),
            p.r_frame.eq(p.decoder.frame),
            p.r_offset.eq(p.decoder.offset),
            p.r_direct.eq(p.decoder.control.jumps | (p.decoder.control.branches & p.decoder.offset[-1])),
            p.r_backward.eq(p.decoder.offset[-1]),
        ]
        for name, operand in p.r_operands.items():
            m.d.sync += operand.index.eq(getattr(p.decoder, f"{name}_index"))
            _place_operand(m, p.d_word, p.decoder.control[name], operand)
    with m.If(p.r_redirect | p.flush):
        m.d.sync += [p.d_valid.eq(0), spare.valid.eq(0)]
    with m.If(p.flush):
        m.d.sync += p.r_valid.eq(0)


def _take(p: Pipeline, source: Bundle) -> list[Assign]:
    """D takes an instruction over."""
    return [
        p.d_valid.eq(source.valid),
        p.d_word.eq(source.word),
        p.d_pc.eq(source.pc),
        p.d_sequential.eq(source.sequential),
        p.d_marked.eq(source.marked),
    ]


def _place_operand(m: Module, word: Signal, kind: Any, operand: Bundle) -> None:
    """Whether an operand is on the data stack or a local."""
    m.d.sync += [operand.is_stack.eq(0), operand.is_local.eq(0)]
    with m.Switch(kind):
        for low, code in NIBBLES.items():
            with m.Case(code):
                is_stack = word[low : low + 4] == STACK_OPERAND
                m.d.sync += [operand.is_stack.eq(is_stack), operand.is_local.eq(~is_stack)]
        with m.Case(OperandFrom.LOCAL_BYTE, OperandFrom.LOCAL_OPCODE):
            m.d.sync += operand.is_local.eq(1)
        with m.Case(OperandFrom.STACK):
            m.d.sync += operand.is_stack.eq(1)
