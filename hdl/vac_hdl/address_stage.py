"""R: stack RAM addresses, stack depths, the traps that they decide, static prediction."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from vac.isa.alu import AluFunction
from vac.isa.beam import BeamFlag
from vac.isa.limits import (
    DATA_STACK_CELLS,
    RETURN_STACK_CELLS,
)
from vac.isa.traps import Trap

from .arithmetic import ALU_LAYOUT, alu_control
from .decoder import FIRST_STEP_FLAGS, PLAIN_CONTROL, Peek, UnitCode
from .micro_op import Step
from .pipeline import Pipeline


def address_stage(p: Pipeline, m: Module) -> None:
    """Resolves operands to stack RAM addresses; an instruction with two results leaves in two steps."""
    control = p.r_control
    op = p.r_op
    fire = p.r_fire
    in_words = p.config.in_words
    swaps, tables, returns, calls_direct = control.swaps, control.tables, control.returns, control.calls
    legal = Signal()
    two_steps = Signal()
    ends = Signal(name="r_ends")
    m.d.comb += [
        # A pointer that grows is a local.
        legal.eq(control.legal & ~(control.post_increment & p.r_operands["a"].is_stack)),
        two_steps.eq(legal & control.two_steps),
        # Whether O stalls is known last.
        ends.eq(~p.r_blocked & (~two_steps | p.r_second)),
        fire.eq(p.r_valid & ~p.r_blocked & (~p.o_valid | ~p.o_stalls)),
        p.r_free_early.eq(~p.r_valid | (ends & ~p.o_valid)),
        p.r_free_late.eq(ends & ~p.o_stalls),
        p.r_free.eq(p.r_free_early | p.r_free_late),
    ]
    frame_base = Signal(8)
    m.d.comb += frame_base.eq(p.spec_fp + DATA_STACK_CELLS)
    a, b, destination = p.r_operands["a"], p.r_operands["b"], p.r_operands["destination"]
    beyond_frame = Signal()
    m.d.comb += beyond_frame.eq(
        (a.is_local & (a.index >= p.spec_frame))
        | (b.is_local & (b.index >= p.spec_frame))
        | (destination.is_local & (destination.index >= p.spec_frame))
    )

    sp_popped = Signal(8)
    needed = Signal(4)
    sp_top = Signal(8)
    sp_under = Signal(8)
    m.d.comb += [
        sp_top.eq(p.spec_sp - 1),
        sp_under.eq(p.spec_sp - 2),
        sp_popped.eq(p.spec_sp - a.is_stack - b.is_stack - control.arguments),
        needed.eq(a.is_stack + b.is_stack + control.arguments),
    ]
    with m.If(control.peek == Peek.TOP):
        m.d.comb += needed.eq(1)
    with m.If((control.peek == Peek.SECOND) | swaps):
        m.d.comb += needed.eq(2)

    callee_fp = Signal(9)
    callee_rp = Signal(10)
    m.d.comb += [callee_fp.eq(p.spec_rp + 1), callee_rp.eq(callee_fp + p.r_frame)]
    caller_rp = Signal(8)
    m.d.comb += caller_rp.eq(p.spec_fp - 1)

    m.d.comb += [
        op.unit.eq(control.unit),
        op.opcode.eq(p.r_word[:8]),
        op.pc.eq(p.r_pc),
        op.sequential_pc.eq(p.r_sequential),
        op.target.eq(p.r_pc + p.r_offset),
        *([op.group("plain").eq(control.group("plain"))] if in_words else [op.length.eq(control.length)]),
        op.backward.eq(p.r_backward),
        op.marked.eq(p.r_marked),
        op.function.eq(control.function),
        op.alu.eq(control.alu),
        *(op[field].eq(control[field]) for field in PLAIN_CONTROL[1:5] if not in_words),
        op.a_used.eq(a.is_stack | a.is_local | (control.peek != Peek.NONE) | swaps | returns),
        op.a_cell.eq(Mux(a.is_local, frame_base + a.index, Mux(b.is_stack, sp_under, sp_top))),
        op.b_used.eq(b.is_stack | b.is_local | swaps),
        op.b_cell.eq(Mux(b.is_local, frame_base + b.index, sp_top)),
        op.b_value.eq(control.b_is_value),
        op.value.eq(p.r_value),
        op.writes.eq(destination.is_stack | destination.is_local),
        op.pushes.eq(destination.is_stack),
        op.cell.eq(Mux(destination.is_local, frame_base + destination.index, sp_popped)),
        op.sp.eq(sp_popped + destination.is_stack),
        op.rp.eq(p.spec_rp),
        op.fp.eq(p.spec_fp),
        op.size_log2.eq(control.size_log2),
        *([] if in_words else [op.is_signed.eq(control.is_signed)]),
        op.index_scale.eq(Mux(control.indexed, 1 << control.size_log2, 0)),
        op.operand_bytes.eq(p.r_word[8:16]),
        op.flags.eq(control.flags | Mux(op.pushes, BeamFlag.PUSH.value, 0)),
        op.prepares.eq(tables & ~p.r_second),
        op.enters.eq(tables & p.r_second),
        op.reads_memory.eq((control.is_load | tables) & ~p.r_second),
        op.is_memory.eq((control.is_load | control.is_store | tables) & ~p.r_second),
        *(
            [
                op.group("first_step").eq(
                    control.group("first_step").as_value() & ~p.r_second.replicate(len(FIRST_STEP_FLAGS))
                )
            ]
            if in_words
            else (op[flag].eq(control[flag] & ~p.r_second) for flag in FIRST_STEP_FLAGS)
        ),
        op.serializes.eq(control.serializes | op.enters),
    ]
    with m.If((control.peek == Peek.SECOND) | swaps):
        m.d.comb += op.a_cell.eq(sp_under)
    with m.If(swaps):
        m.d.comb += [op.writes.eq(1), op.pushes.eq(1), op.cell.eq(sp_top)]
    with m.If(control.advances):
        m.d.comb += [op.writes.eq(1), op.cell.eq(frame_base + a.index)]
    link = Cat(p.r_sequential[:24], p.spec_frame)
    with m.If(control.links):
        m.d.comb += [
            op.value.eq(link),
            op.b_value.eq(1),
            op.function.eq(AluFunction.PASS_B),
            op.alu.eq(ALU_LAYOUT.const(alu_control(AluFunction.PASS_B))),
            op.writes.eq(1),
            op.cell.eq(p.spec_rp + DATA_STACK_CELLS),
            op.fp.eq(callee_fp),
            op.rp.eq(callee_rp),
        ]
    with m.If(returns):
        m.d.comb += [op.a_cell.eq(frame_base - 1), op.rp.eq(caller_rp)]
    with m.If(tables):
        with m.If(~p.r_second):
            # The entry is loaded as from an array: its index is scaled and added to nothing else.
            m.d.comb += [
                op.step.eq(Step.PREPARE),
                op.writes.eq(0),
                op.size_log2.eq(2),
                op.index_scale.eq(0b100),
                op.value.eq(0),
                op.a_used.eq(0),
                op.b_value.eq(0),
                op.b_used.eq(1),
                op.b_cell.eq(op.a_cell),
            ]
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
            op.alu.eq(
                Mux(
                    swaps,
                    ALU_LAYOUT.const(alu_control(AluFunction.PASS_A)).as_value(),
                    ALU_LAYOUT.const(alu_control(AluFunction.ADD)).as_value(),
                )
            ),
            op.value.eq(Const(1) << control.size_log2),
            op.writes.eq(1),
            op.pushes.eq(0),
            op.cell.eq(Mux(swaps, sp_under, frame_base + a.index)),
            op.sp.eq(p.spec_sp),
        ]

    # The first of several reasons to trap, in the order of `Trap`.
    overflow = Signal(name="r_overflow")
    m.d.comb += overflow.eq(destination.is_stack & (sp_popped == DATA_STACK_CELLS))
    with m.If(~p.r_second):
        with m.If(p.r_sequential > p.code_length):
            m.d.comb += op.trap.eq(Trap.CODE_BOUNDS)
        with m.Elif(~legal):
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

    # Backward branches are predicted taken, and what the branch target buffer marked. A redirect does not wait for the
    # stages ahead.
    m.d.comb += [
        op.predicted_taken.eq(p.r_marked | p.r_direct),
        op.redirects.eq(op.returns | op.enters | (p.r_marked & ~(control.branches | control.jumps))),
        p.r_redirect.eq(p.r_valid & p.r_direct & ~p.r_marked & ~p.r_blocked & ~p.r_redirected),
    ]
    m.d.sync += p.r_redirected.eq((p.r_redirected | p.r_redirect) & ~p.r_free)
    with m.If(fire):
        m.d.sync += p.r_second.eq(two_steps & ~p.r_second & (op.trap == Trap.NONE))
        with m.If(op.step != Step.PREPARE):
            m.d.sync += [
                p.spec_sp.eq(op.sp),
                p.spec_rp.eq(op.rp),
                p.spec_fp.eq(op.fp),
                # Where the frame comes from a cell, nothing is decoded until the operation has redirected.
                p.spec_frame.eq(Mux(calls_direct, p.r_frame, p.spec_frame)),
                p.r_blocked.eq(returns | tables | (op.trap != Trap.NONE)),
            ]
        m.d.sync += [p.o.eq(op)]
    with m.If(p.o_free):
        m.d.sync += p.o_valid.eq(fire)
    with m.If(p.flush):
        m.d.sync += [p.r_second.eq(0), p.r_blocked.eq(0), p.r_redirected.eq(0), p.o_valid.eq(0)]
