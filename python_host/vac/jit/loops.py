"""Innermost loops whose pointers move evenly: they run in a second version that checks no access.

Before such a loop is entered, and every time its rounds are used up, the rounds are counted for which every pointer
stays inside its window's extent and for which the ticks last. So many rounds run without looking at either.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..isa.alu import AluFunction, Condition
from ..isa.encoding import FieldKind
from ..isa.instruction import Destination, Source, Unit
from ..isa.limits import STACK_OPERAND
from .blocks import Blocks
from .operands import locals_written, result_local, source_locals
from .region import Step

_FARTHEST_STRIDE = 1 << 16
_MOST_LOOPS = 8
"""LLVM's time grows faster than the number of loops in a function."""


@dataclass(frozen=True)
class Bound:
    """What keeps a pointer low that moves by what a local holds: the loop goes on while it is below a limit.

    stride, limit: locals that the loop does not write.
    """

    stride: int
    limit: int


@dataclass
class Pointer:
    """A local through which a loop loads, or stores.

    stride: bytes that it moves upwards in a round, at most; 0 where `bound` says how it moves. lowest, end: bytes from
    it that its accesses cover. size: the largest access, to which it has to be aligned. accesses: their pcs; others
    through the same local, such as those behind the step that moves it, are checked.
    """

    local: int
    is_load: bool
    stride: int
    lowest: int
    end: int
    size: int
    bound: Bound | None = None
    accesses: set[int] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Distinguishes its variables."""
        return f"{'r' if self.is_load else 'w'}{self.local}"

    def covers(self, step: Step) -> bool:
        """True for an access that needs no check of its own."""
        access, low = step.instruction.row.access, displacement(step)
        return (
            access is not None
            and step.instruction.pc in self.accesses
            and self.stride % access.size == 0
            and self.lowest <= low
            and low + access.size <= self.end
        )


@dataclass(frozen=True)
class Loop:
    """head: pc of its first block. body: starts of its blocks. pointers: by local and whether they load."""

    head: int
    body: frozenset[int]
    pointers: dict[tuple[int, bool], Pointer]

    def pointer(self, step: Step) -> Pointer | None:
        """The pointer of a load or store that needs no check of its own."""
        local = pointer_of(step)
        found = self.pointers.get((local, step.instruction.row.unit is Unit.LOAD)) if local is not None else None
        return found if found and found.covers(step) else None


def loops_of(blocks: Blocks) -> dict[int, Loop]:
    """The loops that have a second version, by head: the first few of a function."""
    found: dict[int, Loop] = {}
    ways_in: dict[int, set[int]] = {start: set() for start in blocks.reached}
    for start in blocks.reached:
        for way in blocks.successors(blocks.by_start[start]):
            ways_in[way].add(start)
    for head in sorted(blocks.heads):
        body = _body(blocks, head, ways_in)
        if body and not (body - {head}) & blocks.heads:
            steps = [step for start in sorted(body) for step in blocks.by_start[start].steps]
            pointers = _pointers(steps, is_straight=len(body) == 1)
            if pointers and len(found) < _MOST_LOOPS:
                found[head] = Loop(head, frozenset(body), pointers)
    return found


def _body(blocks: Blocks, head: int, ways_in: dict[int, set[int]]) -> set[int]:
    """Blocks that lead to an edge back to `head` without passing it; empty where it is no loop's head."""
    body = {head} if blocks.reached[head] else set()
    open_starts = list(blocks.reached[head])
    while open_starts:
        start = open_starts.pop()
        if start not in body:
            body.add(start)
            open_starts += ways_in[start]
    return body


def _pointers(steps: list[Step], is_straight: bool) -> dict[tuple[int, bool], Pointer]:
    """is_straight: the steps are one block, in order."""
    writers: dict[int, list[Step]] = {}
    for step in steps:
        for local in locals_written(step):
            writers.setdefault(local, []).append(step)
    found: dict[tuple[int, bool], Pointer] = {}
    for step in steps:
        local = pointer_of(step)
        if local is None:
            continue
        stride, bound = _stride(local, writers), None
        if stride is None and is_straight:
            stride, bound = 0, _bound(local, steps, writers)
            if bound is None or steps.index(step) > steps.index(writers[local][0]):
                continue
        access = step.instruction.row.access
        assert access
        if stride is None or stride % access.size:
            continue
        is_load = step.instruction.row.unit is Unit.LOAD
        low = displacement(step)
        known = found.setdefault((local, is_load), Pointer(local, is_load, stride, low, low, 1, bound))
        known.lowest = min(known.lowest, low)
        known.end = max(known.end, low + access.size)
        known.size = max(known.size, access.size)
        known.accesses.add(step.instruction.pc)
    return found


def pointer_of(step: Step) -> int | None:
    """The local that is a load's or store's whole pointer but for a displacement; None where there is none."""
    row = step.instruction.row
    if row.unit not in (Unit.LOAD, Unit.STORE) or row.is_indexed or row.a is not Source.NIBBLE:
        return None
    field = row.source_a_field
    local = field.extract(step.instruction.word) if field else STACK_OPERAND
    return None if local == STACK_OPERAND else local


def displacement(step: Step) -> int:
    """Bytes that a load or store adds to its pointer."""
    field, access = step.instruction.row.field(FieldKind.SCALED), step.instruction.row.access
    return field.extract(step.instruction.word) * access.size if field and access else 0


def _stride(local: int, writers: dict[int, list[Step]]) -> int | None:
    """How far a round moves a pointer, at most; None where that is not known, or downwards."""
    steps = writers.get(local, [])
    if not steps:
        return 0
    return _move(steps[0], local) if len(steps) == 1 else None


def _bound(local: int, steps: list[Step], writers: dict[int, list[Step]]) -> Bound | None:
    """Of a pointer that one step of a loop of one block moves by another local, where the branch back looks at it."""
    mover, branch = writers[local][0], steps[-1]
    row, back = mover.instruction.row, branch.instruction.row
    if len(writers[local]) != 1 or row.unit is not Unit.ALU or row.function is not AluFunction.ADD:
        return None
    is_below = back.unit is Unit.BRANCH and back.condition is Condition.LTU and back.destination is Destination.NONE
    added, compared = source_locals(mover), source_locals(branch)
    goes_back = branch.instruction.target == steps[0].instruction.pc
    if not is_below or not goes_back or result_local(mover) != local or compared[0] != local:
        return None
    stride = added[0] if added[1] == local else added[1] if added[0] == local else None
    limit = compared[1]
    if stride is None or limit is None or stride in writers or limit in writers:
        return None
    return Bound(stride, limit)


def _move(step: Step, local: int) -> int | None:
    """Bytes by which the one step that writes a pointer moves it upwards."""
    row, word = step.instruction.row, step.instruction.word
    if row.post_increments and row.access:
        return row.access.size if row.unit is Unit.STORE or result_local(step) != local else None
    signed, source = row.field(FieldKind.SIGNED), row.field(FieldKind.SOURCE_A)
    is_addition = row.unit is Unit.ALU and row.function is AluFunction.ADD and row.b is Source.IMMEDIATE
    if not (is_addition and signed and source) or result_local(step) != local or source.extract(word) != local:
        return None
    constant = signed.extract(word)
    return constant if 0 <= constant <= _FARTHEST_STRIDE else None
