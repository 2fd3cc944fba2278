"""Micro-routines of the quality registers: branch history, emitted values, and the fold at the end of an epoch."""

from vac.isa import sqi
from vac.isa.beam import BeamFlag
from vac.isa.state_map import HostRegister as H

from .assembler import Microprogram
from .micro_op import Action, Condition, Function, Operand, Prepared, Write
from .scratch_map import Temporary, register_cell


def sqi_routines(p: Microprogram) -> None:
    p.label("tail_branch")
    p.op(y=Prepared.HISTORY_BIT, function=Function.PASS_Y, to_a=True)
    p.op(read_cell=register_cell(H.HISTORY))
    p.op(y=Operand.CELL, function=Function.AND, flags=True, read_cell=register_cell(H.HISTORY))
    p.op(y=Operand.CELL, function=Function.XOR, to_a=True, read_cell=register_cell(H.TICK_LOW),
         when=Condition.MISPREDICTED, then="mispredicted", goto="count")  # fmt: skip
    p.label("mispredicted")
    p.op(write=Write.FIXED, write_cell=register_cell(H.HISTORY), read_cell=register_cell(H.MISPREDICTIONS))
    p.op(y=Operand.CELL, function=Function.INCREMENT_Y, write=Write.FIXED, write_cell=register_cell(H.MISPREDICTIONS),
         read_cell=register_cell(H.TICK_LOW), goto="count")  # fmt: skip

    # A is the emitted value.
    p.label("emit")
    p.op(write=Write.FIXED, write_cell=Temporary.VALUE, read_cell=register_cell(H.LAST_EMIT))
    p.op(y=Operand.CELL, function=Function.SUBTRACT, flags=True, to_b=True, read_cell=register_cell(H.LAST_EMIT))
    p.op(read_cell=register_cell(H.LAST_EMIT), when=Condition.CARRY, then="emit_below", goto="emit_distance")
    p.label("emit_below")
    p.op(y=Operand.CELL, function=Function.REVERSE_SUBTRACT, to_b=True)
    p.label("emit_distance")
    p.op(link="emit_moved", goto="clip")
    p.label("emit_moved")
    p.op(read_cell=register_cell(H.DISTANCE))
    p.op(y=Operand.CELL, function=Function.ADD, to_b=True)
    p.op(link="emit_near", goto="clip")
    p.label("emit_near")
    p.op(write=Write.FIXED, write_cell=register_cell(H.DISTANCE), read_cell=Temporary.VALUE)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, write=Write.FIXED,
         write_cell=register_cell(H.LAST_EMIT))  # fmt: skip
    p.op(constant=BeamFlag.EMIT, action=Action.FLAGS, goto="retire")
    _epoch(p)


def _epoch(p: Microprogram) -> None:
    """The tick count's low byte has become zero; ZERO tells whether all of its low cell has."""
    p.label("epoch")
    p.op(read_cell=register_cell(H.TICK_HIGH), when=Condition.ZERO, then="epoch_carry", goto="fold")
    p.label("epoch_carry")
    p.op(y=Operand.CELL, function=Function.INCREMENT_Y, write=Write.FIXED, write_cell=register_cell(H.TICK_HIGH))
    p.label("fold")
    # Disorder, clipped; the target of coherence is what it leaves of FULL.
    p.op(read_cell=register_cell(H.REFUSALS))
    _scale(p, "refusals", sqi.REFUSAL_SHIFT)
    p.op(write=Write.FIXED, write_cell=Temporary.VALUE, read_cell=register_cell(H.MISPREDICTIONS))
    _scale(p, "mispredictions", sqi.COHERENCE_SHIFT)
    p.op(read_cell=Temporary.VALUE)
    p.op(y=Operand.CELL, function=Function.ADD, to_b=True)
    p.op(link="disorder", goto="clip")
    p.label("disorder")
    p.op(to_b=True)
    p.op(y=Operand.CONSTANT, constant=sqi.FULL, function=Function.PASS_Y, to_a=True)
    p.op(y=Operand.B, function=Function.SUBTRACT, to_a=True)
    _approach(p, H.COHERENCE)
    p.op(read_cell=register_cell(H.MISPREDICTIONS))
    _scale(p, "uncertainty", sqi.ENTROPY_SHIFT)
    p.op(to_b=True)
    p.op(link="uncertain", goto="clip")
    p.label("uncertain")
    _approach(p, H.ENTROPY)
    p.op(read_cell=register_cell(H.DISTANCE))
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    _approach(p, H.DRIFT)
    for register in (H.MISPREDICTIONS, H.DISTANCE, H.REFUSALS):
        p.op(y=Operand.ZERO, function=Function.PASS_Y, write=Write.FIXED, write_cell=register_cell(register))
    p.op(read_cell=register_cell(H.BUDGET), goto="retired")

    # Subroutine: A <- B, at most FULL.
    p.label("clip")
    p.op(y=Operand.CONSTANT, constant=sqi.FULL, function=Function.PASS_Y, to_a=True)
    p.op(y=Operand.B, function=Function.SUBTRACT, flags=True)
    p.op(when=Condition.CARRY, then="back")
    p.op(y=Operand.B, function=Function.PASS_Y, to_a=True, when=Condition.RETURN)

    # Subroutine: A <- (A - the cell) >> SMOOTHING_SHIFT, rounded down. The high half of a product with a power of two
    # is short of the sign where the difference is negative.
    p.label("smooth")
    p.op(y=Operand.CELL, function=Function.SUBTRACT, to_a=True)
    p.op(constant=32 - sqi.SMOOTHING_SHIFT)
    p.op(y=Prepared.POWER, function=Function.PASS_Y, to_b=True)
    p.op(when=Condition.A_NEGATIVE, then="smooth_negative", goto="product_high")
    p.label("smooth_negative")
    p.op()
    p.op()
    p.op(y=Prepared.PRODUCT_HIGH, function=Function.PASS_Y, to_a=True)
    p.op(y=Operand.B, function=Function.SUBTRACT, to_a=True, when=Condition.RETURN)


def _scale(p: Microprogram, name: str, shift: int) -> None:
    """A <- the cell << shift"""
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    p.op(y=Operand.CONSTANT, constant=1 << shift, function=Function.PASS_Y, to_b=True)
    p.op(link=f"scaled_{name}", goto="product_low")
    p.label(f"scaled_{name}")


def _approach(p: Microprogram, register: H) -> None:
    """register <- register + (A - register) >> SMOOTHING_SHIFT"""
    p.op(link=f"smoothed_{register.name}")
    p.op(read_cell=register_cell(register), goto="smooth")
    p.label(f"smoothed_{register.name}")
    p.op(read_cell=register_cell(register))
    p.op(y=Operand.CELL, function=Function.ADD, write=Write.FIXED, write_cell=register_cell(register))
