"""Programs that keep going and rewrite themselves: every instruction form, with operands that mostly make sense.

Locals 0 to 2 hold pointers into windows 0 to 2, the other locals hold data. The depth of the data stack is followed
so that most, but not all, pops find something. Window 2 looks onto the code itself. Nothing makes such a program end,
and now and then it traps: whoever runs it sets it going again.
"""

from __future__ import annotations

from random import Random

from ..image.decode import decode
from ..image.encode import number_limit
from ..image.image import Image, Segment, Window
from ..image.stack_effect import stack_effect
from ..isa.encoding import Field, FieldKind
from ..isa.instruction import Instruction, Unit
from ..isa.limits import CODE_ADDRESS_BITS, CODE_SLOT, LEAF_BYTES, POINTER_DISPLACEMENT_BITS, STACK_OPERAND
from ..isa.table import INSTRUCTIONS
from .operands import random_cell, random_field
from .writer import CodeWriter

FRAME = 15
POINTERS = (0, 1, 2)
"""Locals that hold pointers, each into the window of its number."""

_STRANGE = 0.01
"""Share of operands drawn without care."""
_MEMORY = (Unit.LOAD, Unit.STORE)
_WEIGHTS = {Unit.ALU: 1.0, Unit.LOAD: 1.5, Unit.STORE: 1.5, Unit.BRANCH: 1.5, Unit.HALT: 0.02, Unit.RETURN: 3.0,
            Unit.CALL: 3.0, Unit.TABLE_CALL: 2.0, Unit.TABLE_JUMP: 1.0, Unit.WINDOW_NARROW: 1.5,
            Unit.WINDOW_RESTRICT: 0.3, Unit.DEVICE_IN: 0.5, Unit.DEVICE_OUT: 0.8, Unit.SYSTEM_CALL: 0.5}  # fmt: skip
_ROW_WEIGHTS = [_WEIGHTS.get(row.unit, 1.0) for row in INSTRUCTIONS]
_DEEPEST = 50
_NEAR = 120


def restless_image(seed: int, instructions: int = 400, has_labels: bool = False) -> Image:
    """An image of about so many instructions. The same seed gives the same image."""
    rng = Random(seed)
    writer = CodeWriter()
    _write_prologue(rng, writer)
    first = writer.pc
    placed: list[tuple[Instruction, int]] = []
    depth = 0
    while len(placed) < instructions:
        row = rng.choices(INSTRUCTIONS, _ROW_WEIGHTS)[0]
        values = [_value(rng, row, field, depth) for field in row.fields if field.kind is not FieldKind.SUBOPERATION]
        before = writer.pc
        if row.unit is Unit.WINDOW_NARROW:  # random cells are hardly ever an offset and length inside a window
            for cell in (4 * rng.randrange(16), rng.randrange(128)):
                writer.op("lit8", cell)
        at = writer.emit(row, *values)
        legal = decode(bytes(writer.code), at)
        there = depth + (2 if row.unit is Unit.WINDOW_NARROW else 0)
        needs, net = (0, 0) if legal is None else (stack_effect(legal).needs, stack_effect(legal).net)
        if (needs > there or there + net > _DEEPEST) and rng.random() > _STRANGE:
            del writer.code[before:]
            continue
        depth = max(0, there + net)
        placed.append((row, at))
    starts = [at for _, at in placed]
    for row, at in placed:
        _aim(rng, writer, row, at, starts)
    writer.op("jmpf", first - writer.pc)
    writer.code += bytes(-writer.pc % 4)
    table = writer.pc
    for _ in range(8):
        entry = rng.choice(starts) | rng.choice((15, 15, 20, 0)) << CODE_ADDRESS_BITS
        writer.code += entry.to_bytes(4, "little")
    data = rng.randbytes(3 * LEAF_BYTES)
    return Image(
        entry=0,
        frame=FRAME,
        code_length=writer.pc,
        segments=(
            Segment(CODE_SLOT, 0, writer.pc, bytes(writer.code)),
            Segment(1, 0, len(data), data),
            Segment(2, 0, 4 * LEAF_BYTES, data),
        ),
        windows=(
            (0, Window(1, 0, 3 * LEAF_BYTES, 3)),
            (1, Window(2, 4 * rng.randrange(1024), LEAF_BYTES + 4 * rng.randrange(512), 3)),
            (2, Window(CODE_SLOT, 4 * (first // 4 + 1), max(4, writer.pc // 8 * 4), rng.choice((1, 3)))),
            (3, Window(1, 64, 256, 1)),
        ),
        table_base=table,
        table_entries=8,
        has_labels=has_labels,
        name=f"restless-{seed}",
    )


def _write_prologue(rng: Random, writer: CodeWriter) -> None:
    """Pointers into locals 0 to 2, data into the others, and a few cells onto the stack."""
    for local in range(FRAME):
        pointer = local << POINTER_DISPLACEMENT_BITS | 4 * rng.randrange(64)
        writer.op("lit32", pointer if local in POINTERS else random_cell(rng))
        writer.op("set", local)
    for _ in range(6):
        writer.op("lit32", random_cell(rng))


def _value(rng: Random, row: Instruction, field: Field, depth: int) -> int:
    """Of a field; branch offsets are left 0."""
    kind = field.kind
    if kind is FieldKind.OFFSET:
        return 0
    if rng.random() < _STRANGE:
        return rng.randint(field.minimum, field.maximum)
    if kind.is_operand_nibble:
        return _operand(rng, row, kind, depth)
    if kind is FieldKind.LOCAL:
        return rng.randrange(len(POINTERS), FRAME)
    if kind is FieldKind.FRAME:
        return rng.choice((15, 15, 15, 16, 3, 0))
    if kind is FieldKind.NUMBER:
        return rng.randrange(number_limit(row) if row.unit in (Unit.READ_REGISTER, Unit.SYSTEM_CALL) else 64)
    if kind is FieldKind.WINDOW:
        return rng.choice((3, 4, 5))
    if kind is FieldKind.WINDOW_FROM:
        return rng.choice((0, 0, 1, 2, 3, 4, 5))
    return random_field(rng, field)


def _operand(rng: Random, row: Instruction, kind: FieldKind, depth: int) -> int:
    """A nibble: pointers where an address is wanted, else data locals or, where cells are there, the stack."""
    is_memory = row.unit in _MEMORY
    if kind is FieldKind.POINTER or (kind is FieldKind.SOURCE_A and is_memory):
        return rng.choice(POINTERS) if is_memory else rng.randrange(len(POINTERS), FRAME)
    if kind is FieldKind.DESTINATION:
        return STACK_OPERAND if depth < 40 and rng.random() < 0.35 else rng.randrange(len(POINTERS), FRAME)
    return STACK_OPERAND if depth > 2 and rng.random() < 0.4 else rng.randrange(FRAME)


def _aim(rng: Random, writer: CodeWriter, row: Instruction, at: int, starts: list[int]) -> None:
    """Gives a branch its target: an instruction near by, seldom anywhere."""
    field = row.field(FieldKind.OFFSET)
    if field is None:
        return
    near = [start for start in starts if abs(start - at) < _NEAR and field.minimum <= start - at <= field.maximum]
    if rng.random() < _STRANGE or not near:
        target = at + rng.randint(max(field.minimum, -300), min(field.maximum, 300))
    else:
        target = rng.choice(near)
    writer.reach(row, at, target)
