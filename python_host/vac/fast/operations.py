"""C expressions of the arithmetic functions and branch conditions.

The operands are `a` and `b`, of type uint32_t; shift counts and results are reduced as `vac.isa.alu` states it.
"""

from __future__ import annotations

from ..isa.alu import AluFunction, Condition

FUNCTION_EXPRESSIONS: dict[AluFunction, str] = {
    AluFunction.ADD: "a + b",
    AluFunction.SUB: "a - b",
    AluFunction.AND: "a & b",
    AluFunction.OR: "a | b",
    AluFunction.XOR: "a ^ b",
    AluFunction.SHL: "a << (b & 31)",
    AluFunction.SHRU: "a >> (b & 31)",
    AluFunction.SHRS: "(uint32_t)((int32_t)a >> (b & 31))",
    AluFunction.MUL: "a * b",
    AluFunction.MULHU: "(uint32_t)((uint64_t)a * b >> 32)",
    AluFunction.MULHS: "(uint32_t)((uint64_t)((int64_t)(int32_t)a * (int32_t)b) >> 32)",
    AluFunction.EQ: "a == b",
    AluFunction.NE: "a != b",
    AluFunction.LTU: "a < b",
    AluFunction.LTS: "(int32_t)a < (int32_t)b",
    AluFunction.SUPERPOSE: "superpose(a, b)",
    AluFunction.DIVU: "a / b",
    AluFunction.DIVS: "b == UINT32_MAX ? 0u - a : (uint32_t)((int32_t)a / (int32_t)b)",
    AluFunction.REMU: "a % b",
    AluFunction.REMS: "b == UINT32_MAX ? 0u : (uint32_t)((int32_t)a % (int32_t)b)",
    AluFunction.REVERSE_SUB: "b - a",
    AluFunction.SIGN_EXTEND_8: "(uint32_t)(int32_t)(int8_t)a",
    AluFunction.SIGN_EXTEND_16: "(uint32_t)(int32_t)(int16_t)a",
    AluFunction.PASS_A: "a",
    AluFunction.PASS_B: "b",
}
"""Dividing functions are evaluated only where b is not 0."""

CONDITION_EXPRESSIONS: dict[Condition, str] = {
    Condition.EQ: "a == b",
    Condition.NE: "a != b",
    Condition.LTU: "a < b",
    Condition.LTS: "(int32_t)a < (int32_t)b",
    Condition.GEU: "a >= b",
    Condition.GES: "(int32_t)a >= (int32_t)b",
}
