"""The functions and conditions of `vac.isa.alu` as LLVM instructions."""

from __future__ import annotations

from collections.abc import Callable

from ..isa.alu import AluFunction as F
from ..isa.alu import Condition

Emit = Callable[[str], str]
"""Appends an instruction and returns the name of its result."""

_PLAIN = {F.ADD: "add", F.SUB: "sub", F.AND: "and", F.OR: "or", F.XOR: "xor", F.MUL: "mul"}
_SHIFTS = {F.SHL: "shl", F.SHRU: "lshr", F.SHRS: "ashr"}
_COMPARISONS = {F.EQ: "eq", F.NE: "ne", F.LTU: "ult", F.LTS: "slt"}
_UNSIGNED_DIVISIONS = {F.DIVU: "udiv", F.REMU: "urem"}
_SIGNED_DIVISIONS = {F.DIVS: "sdiv", F.REMS: "srem"}
_CONDITIONS = {
    Condition.EQ: "eq", Condition.NE: "ne", Condition.LTU: "ult", Condition.LTS: "slt", Condition.GEU: "uge",
    Condition.GES: "sge",
}  # fmt: skip


def function_value(emit: Emit, function: F, a: str, b: str) -> str:
    """Result of a function on two i32 operands; the divisor of a division must not be zero."""
    if function in _PLAIN:
        return emit(f"{_PLAIN[function]} i32 {a}, {b}")
    if function in _SHIFTS:
        count = emit(f"and i32 {b}, 31")
        return emit(f"{_SHIFTS[function]} i32 {a}, {count}")
    if function in _COMPARISONS:
        truth = emit(f"icmp {_COMPARISONS[function]} i32 {a}, {b}")
        return emit(f"zext i1 {truth} to i32")
    if function in (F.MULHU, F.MULHS):
        extension = "zext" if function is F.MULHU else "sext"
        wide = [emit(f"{extension} i32 {operand} to i64") for operand in (a, b)]
        product = emit(f"mul i64 {wide[0]}, {wide[1]}")
        high = emit(f"lshr i64 {product}, 32")
        return emit(f"trunc i64 {high} to i32")
    if function in _UNSIGNED_DIVISIONS:
        return emit(f"{_UNSIGNED_DIVISIONS[function]} i32 {a}, {b}")
    if function in _SIGNED_DIVISIONS:
        # In 64 bits -2**31 / -1 does not overflow.
        wide = [emit(f"sext i32 {operand} to i64") for operand in (a, b)]
        result = emit(f"{_SIGNED_DIVISIONS[function]} i64 {wide[0]}, {wide[1]}")
        return emit(f"trunc i64 {result} to i32")
    if function is F.SUPERPOSE:
        return _superpose(emit, a, b)
    if function is F.REVERSE_SUB:
        return emit(f"sub i32 {b}, {a}")
    if function in (F.SIGN_EXTEND_8, F.SIGN_EXTEND_16):
        bits = 8 if function is F.SIGN_EXTEND_8 else 16
        narrow = emit(f"trunc i32 {a} to i{bits}")
        return emit(f"sext i{bits} {narrow} to i32")
    return a if function is F.PASS_A else b


def _superpose(emit: Emit, a: str, b: str) -> str:
    halves = []
    for shift in (0, 16):
        operands = []
        for cell in (a, b):
            shifted = emit(f"lshr i32 {cell}, {shift}")
            operands.append(emit(f"trunc i32 {shifted} to i16"))
        total = emit(f"call i16 @llvm.sadd.sat.i16(i16 {operands[0]}, i16 {operands[1]})")
        halves.append(emit(f"zext i16 {total} to i32"))
    high = emit(f"shl i32 {halves[1]}, 16")
    return emit(f"or i32 {high}, {halves[0]}")


def condition_value(emit: Emit, condition: Condition, a: str, b: str) -> str:
    """Truth of a condition as an i1."""
    return emit(f"icmp {_CONDITIONS[condition]} i32 {a}, {b}")
