"""Generic mnemonics: each stands for the shortest sequence of exact instructions that does its work here.

No generic mnemonic is a mnemonic of the instruction table, so an exact mnemonic always means its one encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..isa.alu import AluFunction, Condition
from ..isa.instruction import Destination, Instruction, Source, Unit
from ..isa.limits import STACK_OPERAND
from ..isa.table import BY_MNEMONIC, CONDITION_NAMES, INSTRUCTIONS
from .diagnostics import SourceError
from .expressions import Expression, Here, TokenReader
from .layout import ExactInstruction
from .operands import FrameOf, expect_register, note_local, read_register
from .source import Span
from .symbols import Routine

Sequences = Sequence[Sequence[ExactInstruction]]
"""Sequences that do the same, shortest first."""

_CONSTANT_PUSHES = [
    row
    for row in INSTRUCTIONS
    if not row.fields
    and row.unit is Unit.ALU
    and row.function is AluFunction.PASS_B
    and row.b is Source.CONSTANT
    and row.destination is Destination.PUSH
]

_INVERSE = {
    Condition.EQ: Condition.NE,
    Condition.NE: Condition.EQ,
    Condition.LTU: Condition.GEU,
    Condition.GEU: Condition.LTU,
    Condition.LTS: Condition.GES,
    Condition.GES: Condition.LTS,
}
_BRANCH_NAME = {condition: name for name, condition, _ in CONDITION_NAMES}


def _exact(mnemonic: str | Instruction, span: Span, *operands: int | Expression) -> ExactInstruction:
    row = BY_MNEMONIC[mnemonic] if isinstance(mnemonic, str) else mnemonic
    spans = tuple(span if isinstance(operand, int) else operand.span for operand in operands)
    return ExactInstruction(row, operands, spans)


def _shortest_first(sequences: list[list[ExactInstruction]]) -> Sequences:
    return sorted(sequences, key=lambda sequence: sum(instruction.row.length for instruction in sequence))


def _push_constant(span: Span, value: Expression) -> list[list[ExactInstruction]]:
    short = [[ExactInstruction(row, (), (), only_for=(value, row.constant))] for row in _CONSTANT_PUSHES]
    return [*short, [_exact("lit8", span, value)], *_set_constant(span, STACK_OPERAND, value)]


def _set_constant(span: Span, register: int, value: Expression) -> list[list[ExactInstruction]]:
    long = [_exact("lit32", span, value)]
    if register != STACK_OPERAND:
        long.append(_pop(span, register))
    return [[_exact("li", span, register, value)], [_exact("liw", span, register, value)], long]


def _push(span: Span, local: int) -> ExactInstruction:
    short = BY_MNEMONIC.get(f"get{local}")
    return _exact(short, span) if short else _exact("get", span, local)


def _pop(span: Span, local: int) -> ExactInstruction:
    short = BY_MNEMONIC.get(f"set{local}")
    return _exact(short, span) if short else _exact("set", span, local)


def _lit(span: Span, reader: TokenReader, routine: Routine) -> Sequences:
    return _push_constant(span, reader.expression())


def _let(span: Span, reader: TokenReader, routine: Routine) -> Sequences:
    register = expect_register(reader, routine)
    reader.expect_sign(",")
    value = reader.expression()
    return _push_constant(span, value) if register == STACK_OPERAND else _set_constant(span, register, value)


def _local(reader: TokenReader, routine: Routine) -> int:
    span = reader.span
    local = expect_register(reader, routine)
    if local == STACK_OPERAND:
        raise SourceError("a local is expected here, not the data stack", span)
    return local


def _generic_push(span: Span, reader: TokenReader, routine: Routine) -> Sequences:
    return [[_push(span, _local(reader, routine))]]


def _generic_pop(span: Span, reader: TokenReader, routine: Routine) -> Sequences:
    return [[_pop(span, _local(reader, routine))]]


def _move(span: Span, reader: TokenReader, routine: Routine) -> Sequences:
    destination = expect_register(reader, routine)
    reader.expect_sign(",")
    source = expect_register(reader, routine)
    if source == STACK_OPERAND and destination == STACK_OPERAND:
        raise SourceError("move from the data stack to the data stack does nothing", span)
    if source == STACK_OPERAND:
        return [[_pop(span, destination)]]
    if destination == STACK_OPERAND:
        return [[_push(span, source)]]
    return [[ExactInstruction(BY_MNEMONIC["addi"], (destination, source, 0), (span, span, span))]]


def _goto(span: Span, reader: TokenReader, routine: Routine) -> Sequences:
    target = reader.expression()
    return [[_exact(name, span, target)] for name in ("jmps", "jmp", "jmpf")]


def _invoke(span: Span, reader: TokenReader, routine: Routine) -> Sequences:
    target = reader.expression()
    frame = reader.expression() if reader.take_sign(",") else FrameOf(target.span, target)
    return [[_exact(name, span, target, frame)] for name in ("call", "callf")]


def _around(
    span: Span, before: list[ExactInstruction], inverse: Callable[[Here], ExactInstruction], target: Expression
):
    """`inverse` over a far jump: reaches everywhere."""
    jump = _exact("jmpf", span, target)
    length = sum(i.row.length for i in before) + inverse(Here(span)).row.length + jump.row.length
    return [*before, inverse(Here(span, length)), jump]


def _zero_test(is_zero: bool) -> Callable[[Span, TokenReader, Routine], Sequences]:
    near, inverse = ("bz", "bnz") if is_zero else ("bnz", "bz")

    def build(span: Span, reader: TokenReader, routine: Routine) -> Sequences:
        a = expect_register(reader, routine)
        reader.expect_sign(",")
        target = reader.expression()
        sequences = [[_exact(f"{near}s", span, target)]] if a == STACK_OPERAND else []
        sequences.append([_exact(near, span, a, target)])
        sequences.append(_around(span, [], lambda over: _exact(inverse, span, a, over), target))
        return sequences

    return build


def _compare(condition: Condition) -> Callable[[Span, TokenReader, Routine], Sequences]:
    name, inverse = _BRANCH_NAME[condition], _BRANCH_NAME[_INVERSE[condition]]

    def build(span: Span, reader: TokenReader, routine: Routine) -> Sequences:
        a = expect_register(reader, routine)
        reader.expect_sign(",")
        b = read_register(reader)
        constant = reader.expression() if b is None else None
        reader.expect_sign(",")
        target = reader.expression()
        if constant is None:
            assert b is not None
            note_local(routine, b)
            return _shortest_first(_registers([], a, b, span, target))
        sequences = [[_exact(f"b{name}i", span, a, target, constant)]]
        sequences.append(_around(span, [], lambda over: _exact(f"b{inverse}i", span, a, over, constant), target))
        for before in _set_constant(span, STACK_OPERAND, constant):
            sequences += _registers(before, a, STACK_OPERAND, span, target)
        return _shortest_first(sequences)

    def _registers(before: list[ExactInstruction], a: int, b: int, span: Span, target: Expression):
        return [
            [*before, _exact(f"b{name}", span, a, b, target)],
            [*before, _exact(f"b{name}w", span, a, b, target)],
            _around(span, before, lambda over: _exact(f"b{inverse}", span, a, b, over), target),
        ]

    return build


GENERIC: dict[str, tuple[str, str, Callable[[Span, TokenReader, Routine], Sequences]]] = {
    "lit": ("value", "pushes a constant", _lit),
    "let": ("d, value", "d becomes a constant", _let),
    "push": ("local", "pushes a local", _generic_push),
    "pop": ("local", "pops into a local", _generic_pop),
    "move": ("d, a", "d becomes a", _move),
    "goto": ("target", "jumps", _goto),
    "invoke": ("function[, frame]", "calls", _invoke),
    "jz": ("a, target", "branches where a is zero", _zero_test(True)),
    "jnz": ("a, target", "branches where a is not zero", _zero_test(False)),
    **{
        f"j{name}": ("a, b or constant, target", f"branches where {meaning.format(b='b')}", _compare(condition))
        for name, condition, meaning in CONDITION_NAMES
    },
}
"""Operands, meaning and builder of each generic mnemonic."""
