"""Micro-routines of the functions that take more than one micro-op. A and B are the operands; A becomes the result.

Shifts are multiplications by a power of two: to the left the product's low half, to the right its high half.
"""

from .assembler import Microprogram
from .micro_op import Action, Condition, Function, Operand, Prepared, Write
from .scratch_map import Temporary


def arithmetic_routines(p: Microprogram) -> None:
    p.label("compare")
    p.op(when=Condition.HOLDS, then="result_one", goto="result_zero")
    p.label("result_one")
    p.op(y=Operand.CONSTANT, constant=1, function=Function.PASS_Y, to_a=True, goto="retire")
    p.label("result_zero")
    p.op(y=Operand.ZERO, function=Function.PASS_Y, to_a=True, goto="retire")
    _multiply(p)
    _shift(p)
    _sign_extend(p)
    _divide(p)
    _superpose(p)


def _multiply(p: Microprogram) -> None:
    for half, name in ((Prepared.PRODUCT_LOW, "mul"), (Prepared.PRODUCT_HIGH, "mulhu")):
        p.label(name)
        p.op(link="retire", goto=half.name.lower())
        # Subroutine, called by the micro-op that sets the link: A <- half of A * B.
        p.label(half.name.lower())
        p.op()
        p.op()
        p.op(y=half, function=Function.PASS_Y, to_a=True, when=Condition.RETURN)
    # The unsigned high half exceeds the signed one by b where a is negative, and by a where b is.
    p.label("mulhs")
    p.op(write=Write.FIXED, write_cell=Temporary.VALUE)
    p.op(when=Condition.A_NEGATIVE, then="mulhs_minus_b")
    p.op(link="mulhs_b", goto="product_high")
    p.label("mulhs_minus_b")
    p.op(link="mulhs_negative", goto="product_high")
    p.label("mulhs_negative")
    p.op(y=Operand.B, function=Function.SUBTRACT, to_a=True)
    p.label("mulhs_b")
    p.op(read_cell=Temporary.VALUE, when=Condition.B_NEGATIVE, then="mulhs_minus_a", goto="retire")
    p.label("mulhs_minus_a")
    p.op(y=Operand.CELL, function=Function.SUBTRACT, to_a=True, goto="retire")


def _shift(p: Microprogram) -> None:
    p.label("shl")
    p.op(y=Prepared.FIRST, function=Function.PASS_Y, to_b=True, goto="mul")
    p.label("shru")
    p.op(y=Prepared.FIRST, function=Function.PASS_Y, to_b=True)
    p.op(when=Condition.B_ODD, then="retire", goto="mulhu")  # a shift by 0
    p.label("shrs")
    p.op(y=Prepared.FIRST, function=Function.PASS_Y, to_b=True)
    p.op(when=Condition.B_ODD, then="retire")
    p.op(when=Condition.A_NEGATIVE, then="shrs_negative", goto="mulhu")
    p.label("shrs_negative")
    p.op(link="shrs_sign", goto="product_high")
    p.label("shrs_sign")
    p.op(y=Operand.B, function=Function.SUBTRACT, to_a=True, goto="retire")


def _sign_extend(p: Microprogram) -> None:
    for bits in (8, 16):
        p.label(f"sign_extend_{bits}")
        p.op(y=Operand.CONSTANT, constant=(1 << bits) - 1, function=Function.AND, to_a=True)
        p.op(y=Operand.CONSTANT, constant=1 << (bits - 1), function=Function.XOR, to_a=True)
        p.op(y=Operand.CONSTANT, constant=1 << (bits - 1), function=Function.SUBTRACT, to_a=True, goto="retire")


def _divide(p: Microprogram) -> None:
    """Three micro-ops a quotient bit. VALUE keeps the dividend, OTHER the quotient's sign, PARTIAL the divisor."""
    for name in ("divs", "rems"):
        p.label(name)
        p.op(link=f"{name}_done", goto="divide_signed")
    p.label("divide_signed")
    p.op(y=Operand.B, function=Function.PASS_Y, flags=True)
    p.op(write=Write.FIXED, write_cell=Temporary.VALUE)
    p.op(y=Operand.B, function=Function.XOR, write=Write.FIXED, write_cell=Temporary.OTHER,
         when=Condition.ZERO, then="trap_division_by_zero")  # fmt: skip
    p.op(when=Condition.B_NEGATIVE, then="divide_negate_b")
    p.label("divide_a")
    p.op(when=Condition.A_NEGATIVE, then="divide_negate_a", goto="division")
    p.label("divide_negate_b")
    p.op(y=Operand.ZERO, function=Function.PASS_Y, to_a=True)
    p.op(y=Operand.B, function=Function.SUBTRACT, to_b=True, read_cell=Temporary.VALUE)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, goto="divide_a")
    p.label("divide_negate_a")
    p.op(y=Operand.ZERO, function=Function.REVERSE_SUBTRACT, to_a=True, goto="division")
    p.label("divs_done")
    p.op(read_cell=Temporary.OTHER, goto="divide_sign")
    p.label("rems_done")
    p.op(to_b=True, read_cell=Temporary.VALUE)
    p.label("divide_sign")
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    p.op(when=Condition.A_NEGATIVE, then="divide_negate")
    p.op(y=Operand.B, function=Function.PASS_Y, to_a=True, goto="retire")
    p.label("divide_negate")
    p.op(y=Operand.B, function=Function.PASS_Y, to_a=True)
    p.op(y=Operand.ZERO, function=Function.REVERSE_SUBTRACT, to_a=True, goto="retire")

    p.label("divu")
    p.op(link="divu_done", goto="divide_unsigned")
    p.label("remu")
    p.op(link="retire", goto="divide_unsigned")
    p.label("divu_done")
    p.op(y=Operand.B, function=Function.PASS_Y, to_a=True, goto="retire")
    p.label("divide_unsigned")
    p.op(y=Operand.B, function=Function.PASS_Y, flags=True)
    p.op(when=Condition.ZERO, then="trap_division_by_zero")
    # Subroutine: B <- A / B and A <- A modulo B, unsigned.
    p.label("division")
    p.op(y=Operand.B, function=Function.PASS_Y, write=Write.FIXED, write_cell=Temporary.PARTIAL)
    p.op(to_b=True, action=Action.SET_COUNT)
    p.op(y=Operand.ZERO, function=Function.PASS_Y, to_a=True)
    p.label("quotient_bit")
    p.op(function=Function.SHIFT, to_a=True, action=Action.SHIFT, read_cell=Temporary.PARTIAL)
    p.op(y=Operand.CELL, function=Function.SUBTRACT, flags=True, read_cell=Temporary.PARTIAL)
    p.op(y=Operand.CELL, function=Function.SUBTRACT, action=Action.DIVIDE_STEP, when=Condition.COUNTED,
         then="back", goto="quotient_bit")  # fmt: skip
    p.label("back")
    p.op(when=Condition.RETURN)


def _superpose(p: Microprogram) -> None:
    """The halves are added one after the other at the top of a cell, where the adder sees an overflow."""
    p.label("superpose")
    p.op(write=Write.FIXED, write_cell=Temporary.VALUE)
    p.op(y=Operand.B, function=Function.PASS_Y, write=Write.FIXED, write_cell=Temporary.OTHER)
    p.op(constant=16)
    p.op(y=Prepared.POWER, function=Function.PASS_Y, to_b=True)
    p.op(link="superpose_a", goto="product_low")
    p.label("superpose_a")
    p.op(write=Write.FIXED, write_cell=Temporary.PARTIAL, read_cell=Temporary.OTHER)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    p.op(link="superpose_b", goto="product_low")
    p.label("superpose_b")
    p.op(read_cell=Temporary.PARTIAL)
    p.op(y=Operand.CELL, function=Function.PASS_Y, write=Write.FIXED, write_cell=Temporary.PARTIAL)
    p.op(link="superpose_low", goto="saturating_add")
    # A is the low half's sum, at the top.
    p.label("superpose_low")
    p.op(link="superpose_shifted", goto="product_high")
    p.label("superpose_shifted")
    p.op(write=Write.FIXED, write_cell=Temporary.POINTER, read_cell=Temporary.VALUE)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    p.op(link="superpose_high_a", goto="clear_low")
    p.label("superpose_high_a")
    p.op(write=Write.FIXED, write_cell=Temporary.PARTIAL, read_cell=Temporary.OTHER)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    p.op(link="superpose_high_b", goto="clear_low")
    p.label("superpose_high_b")
    p.op(link="superpose_high", goto="saturating_add")
    p.label("superpose_high")
    p.op(read_cell=Temporary.POINTER)
    p.op(y=Operand.CELL, function=Function.OR, to_a=True, goto="retire")

    # Subroutine: the low half of A becomes zero.
    p.label("clear_low")
    p.op(y=Operand.CONSTANT, constant=0xFFFF, function=Function.OR, to_a=True)
    p.op(y=Operand.CONSTANT, constant=0xFFFF, function=Function.XOR, to_a=True, when=Condition.RETURN)

    # Subroutine: A <- A + PARTIAL; where the exact sum's sign is not the sum's, the nearest half, at the top.
    p.label("saturating_add")
    p.op(read_cell=Temporary.PARTIAL)
    p.op(y=Operand.CELL, function=Function.ADD, to_a=True, flags=True)
    p.op(when=Condition.BELOW_SIGNED, then="sum_positive")
    p.op(when=Condition.A_NEGATIVE, then="back")
    p.op(y=Operand.CONSTANT, constant=0x8000, function=Function.PASS_Y, to_a=True, goto="sum_clipped")
    p.label("sum_positive")
    p.op(when=Condition.A_NEGATIVE, then="sum_above", goto="back")
    p.label("sum_above")
    p.op(y=Operand.CONSTANT, constant=0x7FFF, function=Function.PASS_Y, to_a=True)
    p.label("sum_clipped")
    p.op(goto="product_low")  # B is still 1 << 16
