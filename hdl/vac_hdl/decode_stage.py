"""D: control bits, immediate and branch target of one instruction."""

from typing import Any

from amaranth.hdl import Module, Signal

from vac.isa.limits import STACK_OPERAND

from .bundle import Bundle
from .decoder import CONTROL_FIELDS, OperandFrom
from .pipeline import Pipeline


def decode_stage(p: Pipeline, m: Module) -> None:
    """Takes aligned instructions from the fetch unit and hands decoded ones to the address stage."""
    m.d.comb += [
        p.decoder.word.eq(p.d_word),
        p.fetch.ready.eq(~p.d_valid | p.r_free),
    ]
    with m.If(p.fetch.ready):
        m.d.sync += [
            p.d_valid.eq(p.fetch.valid & p.running),
            p.d_word.eq(p.fetch.instruction),
            p.d_pc.eq(p.fetch.instruction_pc),
            p.d_sequential.eq(p.fetch.sequential_pc),
            p.d_marked.eq(p.fetch.predicted_taken),
        ]
    with m.If(p.r_free):
        m.d.sync += [
            p.r_valid.eq(p.d_valid & ~p.r_redirect),
            *(p.r_control[name].eq(p.decoder.control[name]) for name in CONTROL_FIELDS),
            p.r_word.eq(p.d_word),
            p.r_pc.eq(p.d_pc),
            p.r_sequential.eq(p.d_sequential),
            p.r_marked.eq(p.d_marked),
            p.r_value.eq(p.decoder.value),
            p.r_frame.eq(p.decoder.frame),
            p.r_target.eq(p.d_pc + p.decoder.offset),
            p.r_backward.eq(p.decoder.offset[-1]),
        ]
        for name, operand in p.r_operands.items():
            _resolve_operand(m, p.d_word, p.decoder.control[name], operand)
    with m.If(p.r_redirect | p.flush):
        m.d.sync += p.d_valid.eq(0)
    with m.If(p.flush):
        m.d.sync += p.r_valid.eq(0)


def _resolve_operand(m: Module, word: Signal, kind: Any, operand: Bundle) -> None:
    """Whether an operand is on the data stack or a local, and which local."""
    m.d.sync += [operand.index.eq(word[8:16]), operand.is_stack.eq(0), operand.is_local.eq(0)]
    with m.Switch(kind):
        for code, low in ((OperandFrom.NIBBLE_8, 8), (OperandFrom.NIBBLE_12, 12), (OperandFrom.NIBBLE_16, 16)):
            with m.Case(code):
                nibble = word[low : low + 4]
                m.d.sync += [
                    operand.index.eq(nibble),
                    operand.is_stack.eq(nibble == STACK_OPERAND),
                    operand.is_local.eq(nibble != STACK_OPERAND),
                ]
        with m.Case(OperandFrom.LOCAL_BYTE):
            m.d.sync += operand.is_local.eq(1)
        with m.Case(OperandFrom.LOCAL_OPCODE):
            m.d.sync += [operand.index.eq(word[:3]), operand.is_local.eq(1)]
        with m.Case(OperandFrom.STACK):
            m.d.sync += operand.is_stack.eq(1)
