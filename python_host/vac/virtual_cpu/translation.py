"""From a VirtualCPU program to an image that any engine runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..assembler.assemble import Assembly, Placed, assemble_with_listing
from ..assembler.diagnostics import AssemblyErrors, SourceError
from ..image.image import Image
from .operations import EPILOGUE, FRAME, IN_WORDS, KINDS, LABEL, OPERATIONS, PROLOGUE, RETURN, Emitter, Form
from .program import Immediate, Instruction, Operand, Program, Target, parse

SUFFIX = ".vcpu"


@dataclass(frozen=True)
class Translation:
    """program: as written. assembly_text: what it became. assembly: the image, every statement placed in the program.
    starts: index of the instruction that begins at each of these pcs."""

    program: Program
    assembly_text: str
    assembly: Assembly
    starts: dict[int, int]
    end: int
    """pc beyond the last instruction, where the program ends by itself."""

    @property
    def image(self) -> Image:
        return self.assembly.image


def translate(text: str, name: str = "<source>") -> Translation:
    """name: of the source, for errors and for the image. Raises AssemblyErrors, with every error in the program."""
    program = parse(text, name)
    errors: list[SourceError] = []
    bodies: list[list[str]] = []
    calls = 0
    for instruction in program.instructions:
        emitter = Emitter(calls)
        try:
            form, operands = _resolved(instruction, program)
            form.emit(emitter, operands)
        except SourceError as error:
            errors.append(error)
        calls += instruction.operation == "CALL"
        bodies.append(emitter.lines)
    if errors:
        raise AssemblyErrors([error.diagnostic for error in errors])
    return _assembled(program, bodies, calls)


def translate_file(path: Path) -> Translation:
    """Raises AssemblyErrors, OSError, and UnicodeDecodeError."""
    return translate(path.read_text(encoding="utf-8"), str(path))


def _resolved(instruction: Instruction, program: Program) -> tuple[Form, tuple[Operand, ...]]:
    """The form that the operands fit, with every jump at a label. Raises SourceError."""
    forms = OPERATIONS.get(instruction.operation)
    if forms is None:
        known = ", ".join(OPERATIONS)
        raise SourceError(f"unknown operation {instruction.operation!r}; there are {known}", instruction.span)
    counts = sorted({len(form.operands) for form in forms})
    forms = tuple(form for form in forms if len(form.operands) == len(instruction.operands))
    if not forms:
        takes = " or ".join(map(str, counts))
        given = len(instruction.operands)
        raise SourceError(
            f"{instruction.operation} takes {takes} operand{'s' * (takes != '1')}, not {given}", instruction.span
        )
    for place, operand in enumerate(instruction.operands):
        fitting = tuple(form for form in forms if isinstance(operand, KINDS[form.operands[place]]))
        if not fitting:
            wanted = " or ".join(dict.fromkeys(IN_WORDS[form.operands[place]] for form in forms))
            raise SourceError(f"{instruction.operation} takes {wanted} here, not {operand}", instruction.spans[place])
        forms = fitting
    operands = list(instruction.operands)
    for place, kind in enumerate(forms[0].operands):
        operand = operands[place]
        if kind == "label":
            operands[place] = _label(operand, instruction, place, program)
        elif kind == "place" and isinstance(operand, Immediate) and not 0 <= operand.value < 1 << 16:
            raise SourceError(f"there is no cell {operand.value}; memory has 65,536, from 0", instruction.spans[place])
    return forms[0], tuple(operands)


def _label(operand: Operand, instruction: Instruction, place: int, program: Program) -> Target:
    """A jump may also name an instruction by its number, from 0."""
    if isinstance(operand, Immediate):
        if not 0 <= operand.value < len(program.instructions):
            last = len(program.instructions) - 1
            raise SourceError(
                f"there is no instruction {operand.value}; there are 0 to {last}", instruction.spans[place]
            )
        return Target(str(operand.value))
    assert isinstance(operand, Target)
    if operand.name not in program.labels:
        raise SourceError(f"there is no label {operand.name!r}", instruction.spans[place])
    return Target(str(program.labels[operand.name]))


def _assembled(program: Program, bodies: list[list[str]], calls: int) -> Translation:
    lines = PROLOGUE.splitlines()
    written_by: dict[int, int] = {}
    for index, body in enumerate(bodies):
        lines.append(f"{LABEL(index)}:")
        for line in body:
            lines.append(f"        {line}")
            written_by[len(lines)] = index
    lines.append(f"{LABEL(len(bodies))}:")
    lines += EPILOGUE.splitlines()
    lines += [f".function {RETURN(number)}, {FRAME}" for number in range(calls)]
    text = "\n".join(lines) + "\n"
    assembled = assemble_with_listing(text, program.file.name)
    starts: dict[int, int] = {}
    begun: set[int] = set()
    placed: list[Placed] = []
    for each in assembled.placed:
        index = written_by.get(each.span.line)
        if index is not None:
            if each.is_instruction and index not in begun:
                starts[each.address] = index
                begun.add(index)
            each = replace(each, span=program.instructions[index].span)
        placed.append(each)
    return Translation(
        program, text, replace(assembled, placed=tuple(placed)), starts, assembled.symbols[LABEL(len(bodies))]
    )
