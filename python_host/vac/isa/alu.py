"""Arithmetic of the stack core on 32-bit cells: every function bit-exact, none undefined."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from .limits import CELL_BITS, CELL_MASK, SIGN_BIT


class AluFunction(IntEnum):
    """Two-operand functions. The first sixteen are also the sub-operations of the three-operand format."""

    ADD = 0
    SUB = 1
    AND = 2
    OR = 3
    XOR = 4
    SHL = 5
    SHRU = 6
    SHRS = 7
    MUL = 8
    MULHU = 9
    MULHS = 10
    EQ = 11
    NE = 12
    LTU = 13
    LTS = 14
    SUPERPOSE = 15
    DIVU = 16
    DIVS = 17
    REMU = 18
    REMS = 19
    REVERSE_SUB = 20
    SIGN_EXTEND_8 = 21
    SIGN_EXTEND_16 = 22
    PASS_A = 23
    PASS_B = 24


class Condition(IntEnum):
    """Branch conditions on operands A and B."""

    EQ = 0
    NE = 1
    LTU = 2
    LTS = 3
    GEU = 4
    GES = 5


def to_signed(cell: int) -> int:
    """Two's complement reading of a cell: -2**31 to 2**31 - 1."""
    return cell - (1 << CELL_BITS) if cell & SIGN_BIT else cell


def to_cell(value: int) -> int:
    """The cell that holds `value` modulo 2**32."""
    return value & CELL_MASK


def _saturate_half(value: int) -> int:
    return max(-0x8000, min(0x7FFF, value))


def superpose(a: int, b: int) -> int:
    """⊕: a cell is a complex Q1.15 pair (real in the low half); the halves are added with saturation."""

    def half(cell: int, shift: int) -> int:
        value = (cell >> shift) & 0xFFFF
        return value - 0x10000 if value & 0x8000 else value

    real = _saturate_half(half(a, 0) + half(b, 0)) & 0xFFFF
    imaginary = _saturate_half(half(a, 16) + half(b, 16)) & 0xFFFF
    return imaginary << 16 | real


def divide_signed(a: int, b: int) -> tuple[int, int]:
    """Quotient rounded towards zero, and the remainder with the sign of the dividend.

    The one overflow, -2**31 / -1, wraps: quotient -2**31, remainder 0. Divisor zero raises ZeroDivisionError.
    """
    x, y = to_signed(a), to_signed(b)
    quotient = abs(x) // abs(y)
    if (x < 0) != (y < 0):
        quotient = -quotient
    return to_cell(quotient), to_cell(x - quotient * y)


def sign_extend(cell: int, bits: int) -> int:
    """Cell whose low `bits` are read as two's complement."""
    cell &= (1 << bits) - 1
    return to_cell(cell - (1 << bits) if cell >> (bits - 1) else cell)


FUNCTIONS: dict[AluFunction, Callable[[int, int], int]] = {
    AluFunction.ADD: lambda a, b: to_cell(a + b),
    AluFunction.SUB: lambda a, b: to_cell(a - b),
    AluFunction.AND: lambda a, b: a & b,
    AluFunction.OR: lambda a, b: a | b,
    AluFunction.XOR: lambda a, b: a ^ b,
    AluFunction.SHL: lambda a, b: to_cell(a << (b & 31)),
    AluFunction.SHRU: lambda a, b: a >> (b & 31),
    AluFunction.SHRS: lambda a, b: to_cell(to_signed(a) >> (b & 31)),
    AluFunction.MUL: lambda a, b: to_cell(a * b),
    AluFunction.MULHU: lambda a, b: (a * b) >> CELL_BITS,
    AluFunction.MULHS: lambda a, b: to_cell((to_signed(a) * to_signed(b)) >> CELL_BITS),
    AluFunction.EQ: lambda a, b: int(a == b),
    AluFunction.NE: lambda a, b: int(a != b),
    AluFunction.LTU: lambda a, b: int(a < b),
    AluFunction.LTS: lambda a, b: int(to_signed(a) < to_signed(b)),
    AluFunction.SUPERPOSE: superpose,
    AluFunction.DIVU: lambda a, b: a // b,
    AluFunction.DIVS: lambda a, b: divide_signed(a, b)[0],
    AluFunction.REMU: lambda a, b: a % b,
    AluFunction.REMS: lambda a, b: divide_signed(a, b)[1],
    AluFunction.REVERSE_SUB: lambda a, b: to_cell(b - a),
    AluFunction.SIGN_EXTEND_8: lambda a, b: sign_extend(a, 8),
    AluFunction.SIGN_EXTEND_16: lambda a, b: sign_extend(a, 16),
    AluFunction.PASS_A: lambda a, b: a,
    AluFunction.PASS_B: lambda a, b: b,
}
"""Result cell of each function of operand cells A and B. The dividing ones raise ZeroDivisionError when B is 0."""

DIVIDING = frozenset({AluFunction.DIVU, AluFunction.DIVS, AluFunction.REMU, AluFunction.REMS})

IGNORES_A = frozenset({AluFunction.PASS_B})
IGNORES_B = frozenset({AluFunction.PASS_A, AluFunction.SIGN_EXTEND_8, AluFunction.SIGN_EXTEND_16})
"""Functions whose result is the same whatever that operand is."""

CONDITIONS: dict[Condition, Callable[[int, int], bool]] = {
    Condition.EQ: lambda a, b: a == b,
    Condition.NE: lambda a, b: a != b,
    Condition.LTU: lambda a, b: a < b,
    Condition.LTS: lambda a, b: to_signed(a) < to_signed(b),
    Condition.GEU: lambda a, b: a >= b,
    Condition.GES: lambda a, b: to_signed(a) >= to_signed(b),
}
"""Truth of each condition on operand cells A and B."""
