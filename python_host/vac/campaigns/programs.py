"""Random programs that keep going: every instruction form, with operands that mostly make sense and sometimes do not.

Locals 0 to 2 hold pointers into windows 0 to 2, the other locals hold data. The depth of the data stack is followed
so that most, but not all, pops find something. Window 2 looks onto the code itself: programs rewrite themselves.
"""

from __future__ import annotations

import random

from ..image.image import Image, Segment, Window
from ..isa.encoding import FieldKind
from ..isa.instruction import Destination, Instruction, Source, Unit
from ..isa.limits import LEAF_BYTES, STACK_OPERAND
from ..isa.table import BY_MNEMONIC, INSTRUCTIONS

CORNERS = (0, 1, 2, 3, 4, 31, 32, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
FRAME = 15
_POINTERS = (0, 1, 2)
_STRANGE = 0.01
"""Share of operands drawn without care."""
_WEIGHTS = {Unit.ALU: 1.0, Unit.LOAD: 1.5, Unit.STORE: 1.5, Unit.BRANCH: 1.5, Unit.HALT: 0.02, Unit.RETURN: 3.0,
            Unit.CALL: 3.0, Unit.TABLE_CALL: 2.0, Unit.TABLE_JUMP: 1.0, Unit.WINDOW_NARROW: 1.5,
            Unit.WINDOW_RESTRICT: 0.1, Unit.DEVICE_IN: 0.5, Unit.DEVICE_OUT: 0.8, Unit.SYSTEM_CALL: 0.5}  # fmt: skip
_ROW_WEIGHTS = [_WEIGHTS.get(row.unit, 1.0) for row in INSTRUCTIONS]


def _operand(draw: random.Random, row: Instruction, kind: FieldKind, depth: int) -> int:
    """A nibble: pointers where an address is wanted, else data locals or, where cells are there, the stack."""
    if draw.random() < _STRANGE:
        return draw.randrange(16)
    is_memory = row.unit in (Unit.LOAD, Unit.STORE)
    if kind is FieldKind.POINTER or (kind is FieldKind.SOURCE_A and is_memory):
        return draw.choice(_POINTERS) if is_memory else draw.randrange(3, FRAME)
    if kind is FieldKind.DESTINATION:
        return STACK_OPERAND if depth < 40 and draw.random() < 0.35 else draw.randrange(3, FRAME)
    return STACK_OPERAND if depth > 2 and draw.random() < 0.4 else draw.randrange(FRAME)


def _fields(draw: random.Random, row: Instruction, depth: int) -> int:
    """Word of one instruction; branch offsets are left 0."""
    word = row.opcode
    for field in row.fields:
        if field.kind is FieldKind.SUBOPERATION:
            value = row.suboperation or 0
        elif field.kind.is_operand_nibble:
            value = _operand(draw, row, field.kind, depth)
        elif field.kind is FieldKind.OFFSET:
            value = 0
        elif field.kind is FieldKind.LOCAL:
            value = draw.randrange(3, FRAME) if draw.random() > _STRANGE else draw.randrange(256)
        elif field.kind is FieldKind.FRAME:
            value = draw.choice((15, 15, 15, 16, 3, 0))
        elif field.kind is FieldKind.NUMBER:
            value = draw.randrange({Unit.READ_REGISTER: 13, Unit.SYSTEM_CALL: 7}.get(row.unit, 64))
            value = value if draw.random() > _STRANGE else draw.randrange(256)
        elif field.kind in (FieldKind.WINDOW, FieldKind.WINDOW_FROM):
            value = draw.choice((3, 4, 5)) if field.kind is FieldKind.WINDOW else draw.choice((0, 0, 1, 2, 3, 4, 5))
        elif draw.random() < 0.5:
            value = max(field.minimum, min(field.maximum, draw.choice((-2, -1, 0, 1, 2, 3, 4, 8, 31, 32))))
        else:
            value = draw.randint(field.minimum, field.maximum)
        word |= field.insert(value)
    return word


def _effect(row: Instruction, word: int) -> tuple[int, int]:
    """Cells popped and pushed."""
    nibbles = [field.extract(word) for field in row.fields if field.kind in (FieldKind.SOURCE_A, FieldKind.SOURCE_B)]
    pops = sum(source is Source.POP for source in (row.a, row.b)) + nibbles.count(STACK_OPERAND)
    destination = row.field(FieldKind.DESTINATION)
    pushes = int(
        row.destination is Destination.PUSH or bool(destination and destination.extract(word) == STACK_OPERAND)
    )
    return pops + (4 if row.unit is Unit.SYSTEM_CALL else 0), pushes


_LITERAL = BY_MNEMONIC["lit8"]


def _literal(value: int) -> int:
    """Word of a literal of -128 to 127."""
    return _LITERAL.opcode | _LITERAL.fields[0].insert(value)


def _put_offset(draw: random.Random, row: Instruction, word: int, at: int, starts: list[int]) -> int:
    """The word with its branch offset: to an instruction near by, seldom to anywhere."""
    field = row.field(FieldKind.OFFSET)
    if field is None:
        return word
    near = [start - at for start in starts if abs(start - at) < 120 and field.minimum <= start - at <= field.maximum]
    if draw.random() < _STRANGE or not near:
        return word | field.insert(draw.randint(max(field.minimum, -300), min(field.maximum, 300)))
    return word | field.insert(draw.choice(near))


def random_image(seed: int, instructions: int = 400, has_labels: bool = False) -> Image:
    """An image of about so many instructions. The same seed gives the same image."""
    draw = random.Random(seed)
    chosen: list[tuple[Instruction, int]] = []
    depth = 0
    while len(chosen) < instructions:
        row = draw.choices(INSTRUCTIONS, _ROW_WEIGHTS)[0]
        word = _fields(draw, row, depth)
        pops, pushes = _effect(row, word)
        if (pops > depth or depth - pops + pushes > 50) and draw.random() > _STRANGE:
            continue
        depth = max(0, depth - pops + pushes)
        if row.unit is Unit.WINDOW_NARROW:  # random cells are hardly ever an offset and length inside a window
            chosen += [(_LITERAL, _literal(4 * draw.randrange(16))), (_LITERAL, _literal(draw.randrange(128)))]
            depth += 2
        chosen.append((row, word))
    prologue = _prologue(draw)
    code = bytearray(prologue)
    starts: list[int] = []
    at = len(code)
    for row, _ in chosen:
        starts.append(at)
        at += row.length
    for start, (row, word) in zip(starts, chosen, strict=True):
        code += _put_offset(draw, row, word, start, starts).to_bytes(5, "little")[: row.length]
    code += bytes([0x6F]) + (starts[0] - len(code)).to_bytes(2, "little", signed=True)  # jmp: around for ever
    while len(code) % 4:
        code.append(1)
    table = len(code)
    entries = [draw.choice(starts) | draw.choice((15, 15, 20, 0)) << 24 for _ in range(8)]
    code += b"".join(entry.to_bytes(4, "little") for entry in entries)
    data = draw.randbytes(3 * LEAF_BYTES)
    windows = (
        (0, Window(1, 0, 3 * LEAF_BYTES, 3)),
        (1, Window(2, 4 * draw.randrange(1024), LEAF_BYTES + 4 * draw.randrange(512), 3)),
        (2, Window(0, 4 * (starts[0] // 4 + 1), max(4, len(code) // 8 * 4), draw.choice((1, 3)))),
        (3, Window(1, 64, 256, 1)),
    )
    return Image(
        entry=0,
        frame=FRAME,
        code_length=len(code),
        segments=(
            Segment(0, 0, len(code), bytes(code)),
            Segment(1, 0, len(data), data),
            Segment(2, 0, 4 * LEAF_BYTES, data),
        ),
        windows=windows,
        table_base=table,
        table_entries=len(entries),
        has_labels=has_labels,
        name=f"random {seed}",
    )


def _prologue(draw: random.Random) -> bytes:
    """Pointers into locals 0 to 2, data into the others, and a few cells onto the stack."""
    code = bytearray()
    for local in range(FRAME):
        if local in _POINTERS:
            value = local << 28 | 4 * draw.randrange(64)
        else:
            value = draw.choice(CORNERS) if draw.random() < 0.5 else draw.getrandbits(32)
        code += b"\xa0" + value.to_bytes(4, "little") + bytes([0x42, local])
    for _ in range(6):
        code += b"\xa0" + draw.choice(CORNERS).to_bytes(4, "little")
    return bytes(code)
