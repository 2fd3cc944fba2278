"""Handlers of the fast engine, generated from the instruction table.

An operand that the encoding leaves open is settled when an instruction is decoded: each row has a handler for every
combination of operand places. "Last" is the result of the instruction before, handed on in a register; it stands in
for reading back the local or the top of the stack that this result was written to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from ..isa.alu import DIVIDING
from ..isa.encoding import FieldKind
from ..isa.instruction import Destination, Instruction, Source, Unit
from .operations import CONDITION_EXPRESSIONS, FUNCTION_EXPRESSIONS


class APlace(IntEnum):
    NONE = 0
    LOCAL = 1
    STACK = 2
    LAST_LOCAL = 3
    LAST_STACK = 4
    PEEK = 5
    PEEK_SECOND = 6


class BPlace(IntEnum):
    IMMEDIATE = 0
    LOCAL = 1
    STACK = 2
    LAST_LOCAL = 3
    LAST_STACK = 4


class DPlace(IntEnum):
    NONE = 0
    LOCAL = 1
    STACK = 2


VARIANTS_PER_ROW = len(APlace) * len(BPlace) * len(DPlace)


def variant_index(a: APlace, b: BPlace, d: DPlace) -> int:
    """Place of a combination in a row's part of the variant table."""
    return (a * len(BPlace) + b) * len(DPlace) + d


@dataclass(frozen=True)
class Variant:
    """One combination of operand places of a row, and the C statements that execute it."""

    a: APlace
    b: BPlace
    d: DPlace
    body: str


_A_PLACES: dict[Source, tuple[APlace, ...]] = {
    Source.NONE: (APlace.NONE,),
    Source.CONSTANT: (APlace.NONE,),
    Source.NIBBLE: (APlace.LOCAL, APlace.STACK, APlace.LAST_LOCAL, APlace.LAST_STACK),
    Source.LOCAL: (APlace.LOCAL, APlace.LAST_LOCAL),
    Source.POP: (APlace.STACK, APlace.LAST_STACK),
    Source.PEEK: (APlace.PEEK,),
    Source.PEEK_SECOND: (APlace.PEEK_SECOND,),
}
_B_PLACES: dict[Source, tuple[BPlace, ...]] = {
    Source.NONE: (BPlace.IMMEDIATE,),
    Source.IMMEDIATE: (BPlace.IMMEDIATE,),
    Source.CONSTANT: (BPlace.IMMEDIATE,),
    Source.NIBBLE: (BPlace.LOCAL, BPlace.STACK, BPlace.LAST_LOCAL, BPlace.LAST_STACK),
    Source.POP: (BPlace.STACK, BPlace.LAST_STACK),
}
_D_PLACES: dict[Destination, tuple[DPlace, ...]] = {
    Destination.NONE: (DPlace.NONE,),
    Destination.NIBBLE: (DPlace.LOCAL, DPlace.STACK),
    Destination.PUSH: (DPlace.STACK,),
    Destination.LOCAL: (DPlace.LOCAL,),
    Destination.POINTER: (DPlace.NONE,),
}
_A_LAST = (APlace.LAST_LOCAL, APlace.LAST_STACK)
_B_LAST = (BPlace.LAST_LOCAL, BPlace.LAST_STACK)
_A_POPS = (APlace.STACK, APlace.LAST_STACK)
_B_POPS = (BPlace.STACK, BPlace.LAST_STACK)


def _is_possible(a: APlace, b: BPlace) -> bool:
    if a in _A_LAST and b in _B_LAST:
        return False
    # B is popped first: where both pop, only B can be the last result.
    return not (a is APlace.LAST_STACK and b in _B_POPS)


def _read_a(a: APlace, b: BPlace) -> str:
    return {
        APlace.NONE: "0",
        APlace.LOCAL: "locals[r->a]",
        APlace.STACK: "sp[-2]" if b in _B_POPS else "sp[-1]",
        APlace.LAST_LOCAL: "last",
        APlace.LAST_STACK: "last",
        APlace.PEEK: "sp[-1]",
        APlace.PEEK_SECOND: "sp[-2]",
    }[a]


def _read_b(b: BPlace, immediate: str) -> str:
    return {BPlace.IMMEDIATE: immediate, BPlace.LOCAL: "locals[r->b]", BPlace.STACK: "sp[-1]"}.get(b, "last")


def _label_a(a: APlace, b: BPlace) -> str:
    """Label set of operand A; it stands beside the cell even where the cell's value is handed on."""
    if a in (APlace.LOCAL, APlace.LAST_LOCAL):
        return "LABEL_AT(locals + r->a)"
    depth = {APlace.NONE: 0, APlace.PEEK: 1, APlace.PEEK_SECOND: 2}.get(a, 2 if b in _B_POPS else 1)
    return f"LABEL_AT(sp - {depth})" if depth else "0"


def _label_b(b: BPlace) -> str:
    if b in (BPlace.LOCAL, BPlace.LAST_LOCAL):
        return "LABEL_AT(locals + r->b)"
    return "LABEL_AT(sp - 1)" if b in _B_POPS else "0"


def _labels(a: APlace, b: BPlace, *more: str) -> str:
    """Declares the label set of the result, before anything is written."""
    parts = [part for part in (_label_a(a, b), _label_b(b), *more) if part != "0"]
    return f"LABELS({' | '.join(parts) or '0'}); "


def _moved(offset: int) -> str:
    return "sp" if offset == 0 else f"sp {'+' if offset > 0 else '-'} {abs(offset)}"


def _declare(name: str, expression: str, *uses: str) -> str:
    """Declares an operand where one of the C texts mentions it."""
    return f"const uint32_t {name} = {expression}; " if any(re.search(rf"\b{name}\b", use) for use in uses) else ""


def _alu(row: Instruction, a: APlace, b: BPlace, d: DPlace) -> str:
    pops = (a in _A_POPS) + (b in _B_POPS)
    value = FUNCTION_EXPRESSIONS[row.function]
    text = _declare("a", _read_a(a, b), value) + _declare("b", _read_b(b, "r->immediate"), value)
    if row.function in DIVIDING:
        text += "if (UNLIKELY(b == 0)) STEP; "
    text += f"const uint32_t v = {value}; " + _labels(a, b) + _write(d, pops)
    return text + f"RETIRE(r->beam, v, 0); NEXT({row.length}, {_moved((d is DPlace.STACK) - pops)}, v);"


def _write(d: DPlace, pops: int) -> str:
    return {
        DPlace.NONE: "",
        DPlace.LOCAL: "locals[r->d] = v; SET_LABEL(locals + r->d); ",
        DPlace.STACK: f"sp[{-pops}] = v; SET_LABEL(sp - {pops}); ",
    }[d]


def _branch(row: Instruction, a: APlace, b: BPlace) -> str | None:
    pops = (a in _A_POPS) + (b in _B_POPS)
    condition = CONDITION_EXPRESSIONS[row.condition]
    constant = f"{row.constant}u" if row.b is Source.CONSTANT else "(uint32_t)(int32_t)(int8_t)r->b"
    text = f"const uint32_t a = {_read_a(a, b)}; const uint32_t b = {_read_b(b, constant)}; "
    value, write = "a", "(void)0"
    if row.destination is Destination.POINTER:
        if a in _A_POPS:
            return None
        text += f"const uint32_t v = {FUNCTION_EXPRESSIONS[row.function]}; "
        value, write = "v", "do { locals[r->a] = v; SET_LABEL(locals + r->a); } while (0)"
    text += _labels(a, b)
    return text + f"BRANCH({row.length}, {_moved(-pops)}, {condition}, {write}, {value});"


def _load(row: Instruction, a: APlace, b: BPlace, d: DPlace) -> str | None:
    access = row.access
    assert access
    if row.post_increments and a in _A_POPS:
        return None
    pops = (a in _A_POPS) + (b in _B_POPS)
    bits = 8 * access.size
    text = f"const uint32_t a = {_read_a(a, b)}; "
    pointer = _pointer(row)
    if row.is_indexed:
        text += f"const uint32_t b = {_read_b(b, '0')}; "
        pointer += f" + (b << {access.size_log2})"
    text += f"REACH(read, {access.size_log2}, {pointer}) "
    text += f"uint{bits}_t cell; memcpy(&cell, PLACE({access.size_log2}), {access.size}); "
    text += f"const uint32_t v = {f'(uint32_t)(int32_t)(int{bits}_t)cell' if access.is_signed else 'cell'}; "
    text += _labels(a, b, f"LEAF_LABELS({access.size_log2})") + _write(d, pops) + _increment(row)
    text += f"RETIRE(r->beam, v, PLACE_ADDRESS({access.size_log2})); "
    return text + f"NEXT({row.length}, {_moved((d is DPlace.STACK) - pops)}, v);"


def _store(row: Instruction, a: APlace, b: BPlace) -> str | None:
    access = row.access
    assert access
    if row.post_increments and a in _A_POPS:
        return None
    pops = (a in _A_POPS) + (b in _B_POPS)
    text = f"const uint32_t a = {_read_a(a, b)}; "
    text += f"REACH(write, {access.size_log2}, {_pointer(row)}) "
    text += f"const uint32_t b = {_read_b(b, '0')}; "
    text += _labels(a, b) + f"LABEL_LEAF({access.size_log2}); "
    text += f"memcpy(PLACE({access.size_log2}), &b, {access.size}); " + _increment(row)
    text += f"RETIRE(r->beam, b, PLACE_ADDRESS({access.size_log2})); "
    return text + f"NEXT({row.length}, {_moved(-pops)}, last);"


def _pointer(row: Instruction) -> str:
    has_displacement = row.field(FieldKind.SCALED) is not None
    return "a + r->immediate" if has_displacement else "a"


def _increment(row: Instruction) -> str:
    return f"locals[r->a] += {row.access.size}; " if row.post_increments and row.access else ""


def _body(row: Instruction, a: APlace, b: BPlace, d: DPlace) -> str | None:
    """C statements of one combination, or None where the exact step executes it."""
    if row.unit is Unit.ALU:
        return _alu(row, a, b, d)
    if row.unit is Unit.BRANCH:
        return _branch(row, a, b)
    if row.unit is Unit.LOAD:
        return _load(row, a, b, d)
    if row.unit is Unit.STORE:
        return _store(row, a, b)
    if row.unit in (Unit.TABLE_CALL, Unit.TABLE_JUMP):
        macro = "TABLE_CALL" if row.unit is Unit.TABLE_CALL else "TABLE_JUMP"
        return f"const uint32_t a = {_read_a(a, b)}; {macro}({row.length});"
    operands = f"const uint32_t a = {_read_a(a, b)}; "
    if row.unit is Unit.EMIT:
        return operands + _labels(a, b) + f"EMIT({row.length});"
    if row.unit is Unit.JOIN:
        name = "1u << m->joins % LABEL_BITS"
        text = _labels(a, b, name) + "const uint32_t v = ++m->joins; " + _write(d, 2)
        return text + f"JOIN({row.length}, v);"
    if row.unit is Unit.WINDOW_NARROW:
        return operands + f"const uint32_t b = {_read_b(b, '0')}; " + _labels(a, b) + f"WINDOW_NARROW({row.length});"
    if row.unit is Unit.WINDOW_LENGTH:
        text = "const uint32_t v = m->windows[r->a].length; LABELS(0); " + _write(d, 0)
        return text + f"RETIRE(r->beam, v, 0); NEXT({row.length}, {_moved(int(d is DPlace.STACK))}, v);"
    if row.unit in (Unit.MARK, Unit.READ_REGISTER, Unit.WINDOW_RESTRICT):
        return f"{row.unit.name}({row.length});"
    if row.unit in (Unit.NOP, Unit.JUMP, Unit.CALL, Unit.RETURN, Unit.SWAP):
        return f"{row.unit.name}({row.length});"
    return None


def variants(row: Instruction) -> list[Variant]:
    """Every combination of places that has a handler of its own."""
    found: list[Variant] = []
    for a in _A_PLACES[row.a]:
        for b in _B_PLACES[row.b]:
            if not _is_possible(a, b):
                continue
            for d in _D_PLACES[row.destination]:
                body = _body(row, a, b, d)
                if body is not None:
                    found.append(Variant(a, b, d, body))
    return found
