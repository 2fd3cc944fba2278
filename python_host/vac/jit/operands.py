"""Which locals a step names."""

from __future__ import annotations

from ..isa.encoding import FieldKind
from ..isa.instruction import Destination, Source
from ..isa.limits import STACK_OPERAND
from .region import Step


def named_local(step: Step) -> int:
    """The local of field `l`, or of the row's constant."""
    field = step.instruction.row.field(FieldKind.LOCAL)
    return field.extract(step.instruction.word) if field else step.instruction.row.constant


def _nibbles(step: Step, *kinds: FieldKind) -> set[int]:
    fields = step.instruction.row.fields_by_kind
    found = {fields[kind].extract(step.instruction.word) for kind in kinds if kind in fields}
    return found - {STACK_OPERAND}


def source_locals(step: Step) -> tuple[int | None, int | None]:
    """Locals that operand nibbles A and B name, None for an operand that comes from elsewhere."""
    row, found = step.instruction.row, list[int | None]()
    for source, field in ((row.a, row.source_a_field), (row.b, row.field(FieldKind.SOURCE_B))):
        nibble = field.extract(step.instruction.word) if source is Source.NIBBLE and field else STACK_OPERAND
        found.append(None if nibble == STACK_OPERAND else nibble)
    return found[0], found[1]


def result_local(step: Step) -> int | None:
    """Local that receives the result, None where it goes elsewhere or nowhere."""
    row = step.instruction.row
    if row.destination is Destination.LOCAL:
        return named_local(step)
    kind = {Destination.NIBBLE: FieldKind.DESTINATION, Destination.POINTER: FieldKind.POINTER}.get(row.destination)
    return next(iter(_nibbles(step, kind)), None) if kind else None


def locals_written(step: Step) -> set[int]:
    """Locals that the step writes."""
    result = result_local(step)
    found = set() if result is None else {result}
    return found | (_nibbles(step, FieldKind.POINTER) if step.instruction.row.post_increments else set())


def locals_named(step: Step) -> set[int]:
    """Locals that the step reads or writes."""
    found = _nibbles(step, FieldKind.SOURCE_A, FieldKind.SOURCE_B, FieldKind.POINTER, FieldKind.DESTINATION)
    return found | locals_written(step) | ({named_local(step)} if step.instruction.row.a is Source.LOCAL else set())
