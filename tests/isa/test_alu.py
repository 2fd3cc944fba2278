"""Every arithmetic function against a formulation that shares nothing with it: numpy's fixed-width types."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.isa.alu import (
    CONDITIONS,
    DIVIDING,
    FUNCTIONS,
    AluFunction,
    Condition,
    divide_signed,
    sign_extend,
    to_cell,
    to_signed,
)

CORNERS = (0, 1, 2, 31, 32, 0x7F, 0x80, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 1 << 31, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF)
cells = st.one_of(st.sampled_from(CORNERS), st.integers(0, 0xFFFFFFFF))


def unsigned(cell: int) -> np.ndarray:
    return np.array([cell], dtype=np.uint32)


def signed(cell: int) -> np.ndarray:
    return unsigned(cell).view(np.int32)


def halves(cell: int) -> np.ndarray:
    """The two int16 halves, low first."""
    return unsigned(cell).view(np.int16)


def first(array: np.ndarray) -> int:
    """The first 32 bits of an array of any type, as a cell."""
    return int(array.view(np.uint32)[0])


def saturated_halves(a: int, b: int) -> np.ndarray:
    return np.clip(halves(a).astype(np.int32) + halves(b), -0x8000, 0x7FFF).astype(np.int16)


def truncated_divide(a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
    """C's division in 64 bits: math.fmod and trunc are exact below 2**53."""
    x, y = int(signed(a)[0]), int(signed(b)[0])
    quotient, remainder = math.trunc(x / y), int(math.fmod(x, y))
    return np.array([quotient], np.int64).astype(np.int32), np.array([remainder], np.int64).astype(np.int32)


REFEREES: dict[AluFunction, Callable[[int, int], np.ndarray]] = {
    AluFunction.ADD: lambda a, b: unsigned(a) + unsigned(b),
    AluFunction.SUB: lambda a, b: unsigned(a) - unsigned(b),
    AluFunction.AND: lambda a, b: unsigned(a) & unsigned(b),
    AluFunction.OR: lambda a, b: unsigned(a) | unsigned(b),
    AluFunction.XOR: lambda a, b: unsigned(a) ^ unsigned(b),
    AluFunction.SHL: lambda a, b: unsigned(a) << (unsigned(b) % 32),
    AluFunction.SHRU: lambda a, b: unsigned(a) >> (unsigned(b) % 32),
    AluFunction.SHRS: lambda a, b: signed(a) >> (signed(b) & 31),
    AluFunction.MUL: lambda a, b: unsigned(a) * unsigned(b),
    AluFunction.MULHU: lambda a, b: (unsigned(a).astype(np.uint64) * unsigned(b)).view(np.uint32)[1:],
    AluFunction.MULHS: lambda a, b: (signed(a).astype(np.int64) * signed(b)).view(np.uint32)[1:],
    AluFunction.EQ: lambda a, b: (unsigned(a) == unsigned(b)).astype(np.uint32),
    AluFunction.NE: lambda a, b: (unsigned(a) != unsigned(b)).astype(np.uint32),
    AluFunction.LTU: lambda a, b: (unsigned(a) < unsigned(b)).astype(np.uint32),
    AluFunction.LTS: lambda a, b: (signed(a) < signed(b)).astype(np.uint32),
    AluFunction.SUPERPOSE: saturated_halves,
    AluFunction.DIVU: lambda a, b: unsigned(a) // unsigned(b),
    AluFunction.DIVS: lambda a, b: truncated_divide(a, b)[0],
    AluFunction.REMU: lambda a, b: unsigned(a) % unsigned(b),
    AluFunction.REMS: lambda a, b: truncated_divide(a, b)[1],
    AluFunction.REVERSE_SUB: lambda a, b: unsigned(b) - unsigned(a),
    AluFunction.SIGN_EXTEND_8: lambda a, b: unsigned(a).view(np.int8)[:1].astype(np.int32),
    AluFunction.SIGN_EXTEND_16: lambda a, b: halves(a)[:1].astype(np.int32),
    AluFunction.PASS_A: lambda a, b: unsigned(a),
    AluFunction.PASS_B: lambda a, b: unsigned(b),
}

CONDITION_REFEREES: dict[Condition, Callable[[int, int], np.ndarray]] = {
    Condition.EQ: lambda a, b: unsigned(a) == unsigned(b),
    Condition.NE: lambda a, b: unsigned(a) != unsigned(b),
    Condition.LTU: lambda a, b: unsigned(a) < unsigned(b),
    Condition.LTS: lambda a, b: signed(a) < signed(b),
    Condition.GEU: lambda a, b: unsigned(a) >= unsigned(b),
    Condition.GES: lambda a, b: signed(a) >= signed(b),
}


@pytest.mark.parametrize("function", AluFunction)
@given(a=cells, b=cells)
def test_function(function: AluFunction, a: int, b: int) -> None:
    if function in DIVIDING and b == 0:
        with pytest.raises(ZeroDivisionError):
            FUNCTIONS[function](a, b)
    else:
        assert FUNCTIONS[function](a, b) == first(REFEREES[function](a, b))


@pytest.mark.parametrize("function", AluFunction)
def test_function_on_every_pair_of_corners(function: AluFunction) -> None:
    for a in CORNERS:
        for b in CORNERS:
            if b or function not in DIVIDING:
                assert FUNCTIONS[function](a, b) == first(REFEREES[function](a, b)), (hex(a), hex(b))


@pytest.mark.parametrize("condition", Condition)
@given(a=cells, b=cells)
def test_condition(condition: Condition, a: int, b: int) -> None:
    assert CONDITIONS[condition](a, b) == bool(CONDITION_REFEREES[condition](a, b)[0])


@given(cell=cells)
def test_signed_reading_round_trips(cell: int) -> None:
    assert to_signed(cell) == int(signed(cell)[0])
    assert to_cell(to_signed(cell)) == cell


@given(a=cells, b=cells.filter(bool))
def test_quotient_and_remainder_make_up_the_dividend(a: int, b: int) -> None:
    quotient, remainder = divide_signed(a, b)
    assert to_cell(quotient * b + remainder) == a
    assert abs(to_signed(remainder)) < abs(to_signed(b))
    assert remainder == 0 or (to_signed(remainder) < 0) == (to_signed(a) < 0)


def test_the_one_division_that_overflows_wraps() -> None:
    assert divide_signed(0x80000000, 0xFFFFFFFF) == (0x80000000, 0)


@given(cell=cells)
def test_sign_extension_keeps_the_low_bits(cell: int) -> None:
    for bits in (8, 16):
        extended = sign_extend(cell, bits)
        assert extended % (1 << bits) == cell % (1 << bits)
        assert -(1 << (bits - 1)) <= to_signed(extended) < 1 << (bits - 1)
