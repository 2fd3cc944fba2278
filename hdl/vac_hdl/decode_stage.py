"""R: decode, stack RAM addresses, stack depths, branch target and static prediction."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from vac.isa.alu import AluFunction
from vac.isa.limits import (
    DATA_STACK_CELLS,
    RETURN_STACK_CELLS,
    STACK_OPERAND,
)
from vac.isa.traps import Trap

from .bundle import Bundle
from .decoder import OperandFrom, Peek, UnitCode
from .fetch import instruction_length
from .micro_op import MICRO_OP_FIELDS, Step
from .pipeline import DIRECT, TABLES, Pipeline, is_any


def decode_stage(p: Pipeline, m: Module) -> None:
    word, control = p.r_word, p.decoder.control
    length, length_rule = instruction_length(word[:8])
    m.d.comb += [p.decoder.word.eq(word), length_rule]
    op = Bundle(MICRO_OP_FIELDS, "r")
    p.r_op = op
    fire = Signal(name="r_fire")
    two_steps = Signal()
    unit = control.unit
    swaps = Signal()
    tables = Signal()
    m.d.comb += [
        swaps.eq(unit == UnitCode.SWAP),
        tables.eq(is_any(unit, *TABLES)),
        two_steps.eq(control.legal & (swaps | control.post_increment | tables)),
        fire.eq(p.r_valid & p.o_free & ~p.r_blocked & p.running),
    ]
    frame_base = Signal(8)
    m.d.comb += frame_base.eq(p.spec_fp + DATA_STACK_CELLS)

    operands = {}
    beyond_frame: Value = Const(0, 1)
    for name in ("a", "b", "destination"):
        kind = control[name]
        index = Signal(8, name=f"{name}_index")
        is_stack = Signal(name=f"{name}_is_stack")
        is_local = Signal(name=f"{name}_is_local")
        with m.Switch(kind):
            for code, low, width in (
                (OperandFrom.NIBBLE_8, 8, 4),
                (OperandFrom.NIBBLE_12, 12, 4),
                (OperandFrom.NIBBLE_16, 16, 4),
                (OperandFrom.LOCAL_BYTE, 8, 8),
                (OperandFrom.LOCAL_OPCODE, 0, 3),
            ):
                with m.Case(code):
                    m.d.comb += index.eq(word[low : low + width])
                    stack_named = index == STACK_OPERAND if width == 4 else Const(0, 1)
                    m.d.comb += [is_stack.eq(stack_named), is_local.eq(~stack_named)]
            with m.Case(OperandFrom.STACK):
                m.d.comb += is_stack.eq(1)
        operands[name] = (index, is_stack, is_local)
        beyond_frame = beyond_frame | (is_local & (index >= p.spec_frame))
    (a_index, a_stack, a_local), (b_index, b_stack, b_local) = operands["a"], operands["b"]
    d_index, d_stack, d_local = operands["destination"]

    sp_popped = Signal(8)
    needed = Signal(4)
    sp_top = Signal(8)
    sp_under = Signal(8)
    m.d.comb += [
        sp_top.eq(p.spec_sp - 1),
        sp_under.eq(p.spec_sp - 2),
        sp_popped.eq(p.spec_sp - a_stack - b_stack - control.arguments),
        needed.eq(a_stack + b_stack + control.arguments),
    ]
    with m.If(control.peek == Peek.TOP):
        m.d.comb += needed.eq(1)
    with m.If((control.peek == Peek.SECOND) | swaps):
        m.d.comb += needed.eq(2)

    returns = Signal()
    m.d.comb += returns.eq(unit == UnitCode.RETURN)
    calls_direct = Signal()
    m.d.comb += calls_direct.eq(unit == UnitCode.CALL)
    callee_fp = Signal(9)
    callee_rp = Signal(10)
    m.d.comb += [callee_fp.eq(p.spec_rp + 1), callee_rp.eq(callee_fp + p.decoder.frame)]
    caller_rp = Signal(8)
    m.d.comb += caller_rp.eq(p.spec_fp - 1)

    m.d.comb += [
        op.unit.eq(unit),
        op.opcode.eq(word[:8]),
        op.pc.eq(p.r_pc),
        op.sequential_pc.eq(p.r_sequential),
        op.target.eq(p.r_pc + p.decoder.offset),
        op.length.eq(length),
        op.backward.eq(p.decoder.offset[-1]),
        op.marked.eq(p.r_marked),
        op.function.eq(control.function),
        op.condition.eq(control.condition),
        op.a_used.eq(a_stack | a_local | (control.peek != Peek.NONE) | swaps | returns),
        op.a_cell.eq(Mux(a_local, frame_base + a_index, Mux(b_stack, sp_under, sp_top))),
        op.b_used.eq(b_stack | b_local | swaps),
        op.b_cell.eq(Mux(b_local, frame_base + b_index, sp_top)),
        op.b_value.eq(control.b == OperandFrom.VALUE),
        op.value.eq(p.decoder.value),
        op.writes.eq(d_stack | d_local),
        op.pushes.eq(d_stack),
        op.cell.eq(Mux(d_local, frame_base + d_index, sp_popped)),
        op.sp.eq(sp_popped + d_stack),
        op.rp.eq(p.spec_rp),
        op.fp.eq(p.spec_fp),
        op.size_log2.eq(control.size_log2),
        op.is_signed.eq(control.is_signed),
        op.indexed.eq(control.indexed),
        op.operand_bytes.eq(word[8:16]),
    ]
    with m.If((control.peek == Peek.SECOND) | swaps):
        m.d.comb += op.a_cell.eq(sp_under)
    with m.If(swaps):
        m.d.comb += [op.writes.eq(1), op.pushes.eq(1), op.cell.eq(sp_top)]
    link = Cat(p.r_sequential[:24], p.spec_frame)
    with m.If(calls_direct | (unit == UnitCode.TABLE_CALL)):
        m.d.comb += [
            op.value.eq(link),
            op.b_value.eq(1),
            op.function.eq(AluFunction.PASS_B),
            op.writes.eq(1),
            op.cell.eq(p.spec_rp + DATA_STACK_CELLS),
            op.fp.eq(callee_fp),
            op.rp.eq(callee_rp),
        ]
    with m.If(returns):
        m.d.comb += [op.a_cell.eq(frame_base - 1), op.rp.eq(caller_rp)]
    with m.If(tables):
        with m.If(~p.r_second):
            m.d.comb += [op.step.eq(Step.PREPARE), op.writes.eq(0), op.size_log2.eq(2)]
        with m.Else():
            m.d.comb += op.a_used.eq(0)
    with m.If(p.r_second & ~tables):
        m.d.comb += [
            op.step.eq(Step.TAIL),
            op.unit.eq(UnitCode.ALU),
            op.a_used.eq(0),
            op.a_previous.eq(1),
            op.b_used.eq(0),
            op.b_value.eq(1),
            op.function.eq(Mux(swaps, AluFunction.PASS_A, AluFunction.ADD)),
            op.value.eq(Const(1) << control.size_log2),
            op.writes.eq(1),
            op.pushes.eq(0),
            op.cell.eq(Mux(swaps, sp_under, frame_base + a_index)),
            op.sp.eq(p.spec_sp),
        ]

    # The first of several reasons to trap, in the order of `Trap`.
    overflow = Signal(name="r_overflow")
    m.d.comb += overflow.eq(d_stack & (sp_popped == DATA_STACK_CELLS))
    with m.If(~p.r_second):
        with m.If(p.r_sequential > p.code_length):
            m.d.comb += op.trap.eq(Trap.CODE_BOUNDS)
        with m.Elif(~control.legal):
            m.d.comb += op.trap.eq(Trap.ILLEGAL)
        with m.Elif(beyond_frame):
            m.d.comb += op.trap.eq(Trap.FRAME)
        with m.Elif(needed > p.spec_sp):
            m.d.comb += op.trap.eq(Trap.STACK_UNDERFLOW)
        with m.Elif(overflow):
            m.d.comb += op.trap.eq(Trap.STACK_OVERFLOW)
        with m.Elif(returns & (p.spec_fp == 0)):
            m.d.comb += op.trap.eq(Trap.RETURN_UNDERFLOW)
        with m.Elif(calls_direct & (callee_rp > RETURN_STACK_CELLS)):
            m.d.comb += op.trap.eq(Trap.RETURN_OVERFLOW)

    # Backward branches are predicted taken, and what the branch target buffer marked.
    direct = Signal()
    redirects = Signal()
    m.d.comb += [
        direct.eq(is_any(unit, *DIRECT) | ((unit == UnitCode.BRANCH) & p.decoder.offset[-1])),
        op.predicted_taken.eq(p.r_marked | (direct & (op.trap == Trap.NONE))),
        redirects.eq(direct & ~p.r_marked & (op.trap == Trap.NONE)),
        p.fetch.ready.eq(~p.r_valid | (fire & (~two_steps | p.r_second))),
    ]
    p.r_redirect = Signal()
    m.d.comb += p.r_redirect.eq(fire & redirects)

    with m.If(p.fetch.ready):
        m.d.sync += [
            p.r_valid.eq(p.fetch.valid & p.running),
            p.r_word.eq(p.fetch.instruction),
            p.r_pc.eq(p.fetch.instruction_pc),
            p.r_sequential.eq(p.fetch.sequential_pc),
            p.r_marked.eq(p.fetch.predicted_taken),
        ]
    with m.If(fire):
        m.d.sync += p.r_second.eq(two_steps & ~p.r_second & (op.trap == Trap.NONE))
        with m.If(op.step != Step.PREPARE):
            m.d.sync += [
                p.spec_sp.eq(op.sp),
                p.spec_rp.eq(op.rp),
                p.spec_fp.eq(op.fp),
                # Where the frame comes from a cell, nothing is decoded until the operation has redirected.
                p.spec_frame.eq(Mux(calls_direct, p.decoder.frame, p.spec_frame)),
                p.r_blocked.eq(returns | tables | (op.trap != Trap.NONE)),
            ]
        m.d.sync += [p.o.eq(op)]
    with m.If(p.o_free):
        m.d.sync += p.o_valid.eq(fire)
    with m.If(p.r_redirect | p.flush):
        m.d.sync += p.r_valid.eq(0)
    with m.If(p.flush):
        m.d.sync += [p.r_second.eq(0), p.r_blocked.eq(0), p.o_valid.eq(0)]
