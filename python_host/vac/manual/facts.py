"""What follows from a row of the instruction table without being written in it."""

from __future__ import annotations

from ..isa.alu import DIVIDING
from ..isa.encoding import FieldKind
from ..isa.instruction import Destination, Instruction, Source, Unit
from ..isa.table import SUBOPERATION_FIELD
from ..isa.traps import Trap

_LOCAL_NIBBLES = {FieldKind.DESTINATION, FieldKind.SOURCE_A, FieldKind.SOURCE_B, FieldKind.POINTER}


def bit_pattern(row: Instruction) -> str:
    """The bytes in the order in which they lie in memory, each with its highest bit first; letters are field bits."""
    bits = [str(row.opcode >> bit & 1) for bit in range(8)]
    for field in row.fields:
        if field.kind is FieldKind.SUBOPERATION and row.suboperation is not None:
            bits += [str(row.suboperation >> bit & 1) for bit in range(SUBOPERATION_FIELD.width)]
        else:
            bits += [field.kind.value] * field.width
    return " ".join("".join(reversed(bits[start : start + 8])) for start in range(0, len(bits), 8))


def fixed_pops(row: Instruction) -> int:
    """Cells that the instruction takes from the data stack in every encoding. System calls take their arguments."""
    return (row.a is Source.POP) + (row.b is Source.POP)


def traps_of(row: Instruction) -> tuple[Trap, ...]:
    """Traps that some encoding of this row can end in, in the order in which they are judged.

    CODE_BOUNDS, which any instruction can end in, is left out. System calls: also what the host's check of a pointer
    gives.
    """
    found: set[Trap] = set()
    kinds = {field.kind for field in row.fields}
    unit = row.unit
    has_nibble_source = Source.NIBBLE in (row.a, row.b)
    if unit in (Unit.READ_REGISTER, Unit.SYSTEM_CALL) or row.post_increments:
        found.add(Trap.ILLEGAL)
    if kinds & _LOCAL_NIBBLES or Source.LOCAL in (row.a, row.b) or row.destination is Destination.LOCAL:
        found.add(Trap.FRAME)
    peeks = {Source.PEEK, Source.PEEK_SECOND} & {row.a, row.b}
    nibble_pops = has_nibble_source and not (row.post_increments and row.b is not Source.NIBBLE)
    if fixed_pops(row) or peeks or nibble_pops or unit in (Unit.SWAP, Unit.SYSTEM_CALL):
        found.add(Trap.STACK_UNDERFLOW)
    can_push = row.destination in (Destination.PUSH, Destination.NIBBLE)
    if can_push and not fixed_pops(row):
        found.add(Trap.STACK_OVERFLOW)
    if unit is Unit.RETURN:
        found.add(Trap.RETURN_UNDERFLOW)
    if unit in (Unit.CALL, Unit.TABLE_CALL):
        found.add(Trap.RETURN_OVERFLOW)
    if unit is Unit.ALU and row.function in DIVIDING:
        found.add(Trap.DIVISION_BY_ZERO)
    if unit in (Unit.LOAD, Unit.STORE):
        assert row.access
        found |= {Trap.PERMISSION, Trap.BOUNDS}
        if row.access.size > 1 and row.a is not Source.CONSTANT:
            found.add(Trap.MISALIGNED)
    if unit is Unit.WINDOW_NARROW:
        found |= {Trap.PERMISSION, Trap.MISALIGNED, Trap.BOUNDS}
    if unit in (Unit.TABLE_JUMP, Unit.TABLE_CALL):
        found |= {Trap.PERMISSION, Trap.BOUNDS}
    if row.is_privileged_event:
        found |= {Trap.DENIED, Trap.QUOTA}
    if unit is Unit.SYSTEM_CALL:
        found |= {Trap.PERMISSION, Trap.BOUNDS}
    return tuple(sorted(found))


_FROM = {
    Source.LOCAL: "local {l}",
    Source.POP: "the data stack",
    Source.PEEK: "the top, which stays",
    Source.PEEK_SECOND: "the cell under the top, which stays",
    Source.CONSTANT: "the constant {constant}",
    Source.IMMEDIATE: "the literal {literal}",
}
_TO = {Destination.LOCAL: "local {l}", Destination.PUSH: "the data stack"}
_NIBBLE = "field {letter}: a local, or the data stack"


def operands(row: Instruction) -> list[tuple[str, str]]:
    """(A, B or result; where it comes from or goes)."""
    local = row.field(FieldKind.LOCAL)
    literal = row.field(FieldKind.SIGNED) or row.field(FieldKind.UNSIGNED)
    signed_constant = row.constant - (1 << 32) if row.constant >> 31 else row.constant
    names = {
        "l": "l" if local else str(row.constant),
        "constant": str(signed_constant),
        "literal": literal.kind.value if literal else "",
    }
    found: list[tuple[str, str]] = []
    for name, source, nibble in (("A", row.a, row.source_a_field), ("B", row.b, row.field(FieldKind.SOURCE_B))):
        if source is Source.NIBBLE and nibble:
            text = "field {letter}: a local" if row.post_increments and nibble.kind is FieldKind.POINTER else _NIBBLE
            found.append((name, text.format(letter=nibble.kind.value)))
        elif source in _FROM:
            found.append((name, _FROM[source].format(**names)))
    if row.destination in (Destination.NIBBLE, Destination.POINTER):
        letter = "d" if row.destination is Destination.NIBBLE else "p"
        found.append(("result", _NIBBLE.format(letter=letter)))
    elif row.destination in _TO:
        found.append(("result", _TO[row.destination].format(**names)))
    if row.post_increments and row.access:
        found.append(("also", f"local p grows by {row.access.size}"))
    return found


def syntax(row: Instruction) -> str:
    """Mnemonic and operands as assembly sources give them."""
    letters = [field.kind.value for field in row.fields if field.kind is not FieldKind.SUBOPERATION]
    return " ".join([row.mnemonic, ", ".join(letters)]).strip()
