"""What an instruction does to the stacks, derived from its row: cells needed, popped, pushed, and locals named."""

from __future__ import annotations

from dataclasses import dataclass

from ..isa.encoding import FieldKind
from ..isa.instruction import Destination, Source, Unit
from ..isa.limits import STACK_OPERAND
from ..isa.ports import SYSTEM_CALLS
from .decode import Decoded


@dataclass(frozen=True, slots=True)
class StackEffect:
    """Cells of the data stack.

    needs: cells that must be there. pops: cells taken away. pushes: 0 or 1, after the pops. highest_local: greatest
    index of a frame local that the instruction names, -1 for none. What a callee does is not counted.
    """

    needs: int
    pops: int
    pushes: int
    highest_local: int

    @property
    def net(self) -> int:
        return self.pushes - self.pops


_PEEKS = {Source.PEEK: 1, Source.PEEK_SECOND: 2}


def stack_effect(instruction: Decoded) -> StackEffect:
    """The effect of a legal instruction."""
    row, word = instruction.row, instruction.word
    fields = row.fields_by_kind
    pops, needs, locals_ = 0, 0, [-1]
    for kind, field in fields.items():
        if kind.is_operand_nibble and field.extract(word) != STACK_OPERAND:
            locals_.append(field.extract(word))
    if Source.LOCAL in (row.a, row.b) or row.destination is Destination.LOCAL:
        named = fields.get(FieldKind.LOCAL)
        locals_.append(named.extract(word) if named else row.constant)
    for source, field in ((row.b, fields.get(FieldKind.SOURCE_B)), (row.a, row.source_a_field)):
        is_stack = source is Source.NIBBLE and field is not None and field.extract(word) == STACK_OPERAND
        pops += source is Source.POP or is_stack
        needs = max(needs, _PEEKS.get(source, 0))
    if row.unit is Unit.SYSTEM_CALL:
        pops += len(SYSTEM_CALLS[fields[FieldKind.NUMBER].extract(word)].arguments)
    if row.unit is Unit.SWAP:
        needs = 2
    result = {Destination.NIBBLE: FieldKind.DESTINATION, Destination.POINTER: FieldKind.POINTER}.get(row.destination)
    pushes = row.destination is Destination.PUSH or (
        result is not None and fields[result].extract(word) == STACK_OPERAND
    )
    return StackEffect(max(pops, needs), pops, int(pushes), max(locals_))
