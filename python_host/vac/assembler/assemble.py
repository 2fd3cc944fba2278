"""Source text to program image."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..image.encode import OperandError, OutOfReach, encode, source_fields
from ..image.image import PERMISSION_READ, PERMISSION_WRITE, Image, ImageError, Segment, Window
from ..isa.encoding import FieldKind
from ..isa.instruction import Instruction
from ..isa.limits import CODE_ADDRESS_BITS, LEAF_BYTES, MAX_WINDOW_BYTES
from ..isa.table import INSTRUCTIONS
from .builder import Builder
from .diagnostics import AssemblyErrors, SourceError
from .expansion import Reader
from .expressions import Expression, Name, Undefined
from .layout import Align, Bytes, Code, Data, ExactInstruction, Item, Label, Section, Space, lay_out, value_of
from .operands import frame_needed
from .source import SourceFile, Span
from .symbols import Routine, Symbol

DEFAULT_FRAME = 15
"""Locals of the outermost frame where `.frame` says nothing."""


@dataclass(frozen=True)
class Placed:
    """One statement's bytes: `content` at `address` of shard slot `slot`, written at `span`."""

    slot: int
    address: int
    content: bytes
    span: Span
    is_instruction: bool
    routine: Routine | None = None
    """The function whose code it is, or the code outside all functions; None for data."""


@dataclass(frozen=True)
class Assembly:
    """An image and where everything in it came from."""

    image: Image
    placed: tuple[Placed, ...]
    """Every statement that became bytes, in image order."""
    labels: tuple[Symbol, ...]
    """Every label, in order of definition."""

    @property
    def symbols(self) -> dict[str, int]:
        """Address of each label that has a name of its own (not ``@name``)."""
        return {symbol.name: symbol.value or 0 for symbol in self.labels if not symbol.name.startswith("@")}

    @property
    def code_lines(self) -> dict[int, Span]:
        """Where each instruction was written, by its pc; an expansion names the line inside the macro."""
        return {placed.address: placed.span for placed in self.placed if placed.is_instruction and placed.slot == 0}

    def location(self, pc: int) -> tuple[str, int] | None:
        """File and line of the statement whose bytes hold this code address."""
        for placed in self.placed:
            if placed.slot == 0 and placed.address <= pc < placed.address + len(placed.content):
                return placed.span.file.name, placed.span.line
        return None


def assemble(source: str, name: str = "<source>", include_paths: Sequence[Path | str] = ()) -> Image:
    """The image of a program.

    name: of the source, for errors; files it includes are searched in its folder, then in `include_paths`.
    Raises AssemblyErrors.
    """
    return assemble_with_listing(source, name, include_paths).image


def assemble_file(path: Path | str, include_paths: Sequence[Path | str] = ()) -> Image:
    """As `assemble`. Raises AssemblyErrors, or OSError and UnicodeDecodeError when the file cannot be read."""
    return assemble(Path(path).read_text(encoding="utf-8"), str(path), include_paths)


def assemble_with_listing(source: str, name: str = "<source>", include_paths: Sequence[Path | str] = ()) -> Assembly:
    """As `assemble`, with labels and the place of every statement."""
    builder = Builder()
    file = SourceFile.of(name, source)
    Reader(builder, [Path(path) for path in include_paths]).read_file(file)
    layout_errors = lay_out(builder.sections)
    if layout_errors:
        raise AssemblyErrors([*builder.diagnostics, *layout_errors])
    return _Finisher(builder, file).finish()


class _Finisher:
    """Encodes a program whose layout is settled."""

    def __init__(self, builder: Builder, file: SourceFile) -> None:
        self._builder = builder
        self._start = Span(file, 1, 1)
        self._was_read_wrong = bool(builder.diagnostics)
        """A name may then be missing only because the statement that defines it could not be read."""
        self._placed: list[Placed] = []

    def finish(self) -> Assembly:
        builder = self._builder
        contents = [self._contents(section) for section in builder.sections]
        for expression, message, here in builder.asserts:
            if self._value(expression, 1, here.value) == 0:
                builder.diagnostics.append(SourceError(message, expression.span).diagnostic)
        self._check_frames()
        if builder.diagnostics:
            raise AssemblyErrors(builder.diagnostics)
        try:
            image = self._raw_image(contents) if builder.raw else self._image(contents)
        except SourceError as error:
            raise AssemblyErrors([error.diagnostic]) from None
        if builder.diagnostics:
            raise AssemblyErrors(builder.diagnostics)
        try:
            image.check()
        except ImageError as error:
            raise AssemblyErrors([SourceError(str(error), self._start).diagnostic]) from None
        return Assembly(image, tuple(self._placed), tuple(builder.labels))

    def _report(self, error: SourceError) -> None:
        if not (self._was_read_wrong and isinstance(error, Undefined)):
            self._builder.diagnostics.append(error.diagnostic)

    def _value(self, expression: Expression | None, default: int, here: int | None = None) -> int:
        """The value, or the default where there is no expression or it is wrong, which is then on the list."""
        if expression is None:
            return default
        try:
            return value_of(expression, here)
        except SourceError as error:
            self._report(error)
            return default

    def _check_frames(self) -> None:
        for symbol in self._builder.labels:
            routine = symbol.routine
            if routine and routine.frame and symbol.span:
                frame = self._value(routine.frame, 0)
                if frame < frame_needed(routine):
                    text = f"{routine.name!r} has a frame of {frame} locals, but names {frame_needed(routine)}"
                    self._builder.diagnostics.append(SourceError(text, routine.frame.span).diagnostic)

    # ---- contents ------------------------------------------------------------------------------------------------

    def _contents(self, section: Section) -> bytes:
        content = bytearray()
        for item in section.items:
            try:
                part = self._encode(item)
            except SourceError as error:
                self._report(error)
                part = bytes(item.size)
            if part:
                routine = item.routine if isinstance(item, Code) else None
                self._placed.append(Placed(section.slot, item.address, part, item.span, routine is not None, routine))
            content += part
        return bytes(content)

    def _encode(self, item: Item) -> bytes:
        if isinstance(item, Code):
            content, pc = bytearray(), item.address
            for instruction in item.chosen:
                content += _encode_instruction(instruction, item.address, pc)
                pc += instruction.row.length
            return bytes(content)
        if isinstance(item, Data):
            return b"".join(_encode_number(value, item) for value in item.values)
        if isinstance(item, Bytes):
            return item.content
        if isinstance(item, Align):
            return bytes([item.fill]) * item.size
        assert isinstance(item, Space | Label)
        return bytes(item.size)

    # ---- header --------------------------------------------------------------------------------------------------

    def _image(self, contents: list[bytes]) -> Image:
        """The usual layout: code and function table in slot 0, data in slot 1 behind window 0."""
        builder = self._builder
        code, data = bytearray(contents[0]), contents[1]
        if not code:
            raise SourceError("there are no instructions", self._start)
        base = 0
        if builder.table:
            code += bytes(-len(code) % 4)
            base = len(code)
            for entry in builder.table:
                code += _encode_table_entry(entry.target, entry.frame)
        needed = max(LEAF_BYTES, -(-len(data) // LEAF_BYTES) * LEAF_BYTES)
        memory = self._value(builder.memory, needed)
        if builder.memory and memory < len(data):
            raise SourceError(f"{memory} bytes of memory; .data already holds {len(data)}", builder.memory.span)
        if builder.memory and not 0 <= memory <= MAX_WINDOW_BYTES:
            raise SourceError(f"{memory} bytes of memory; a window has at most {MAX_WINDOW_BYTES}", builder.memory.span)
        segments = [Segment(0, 0, len(code), bytes(code))]
        windows: list[tuple[int, Window]] = []
        if memory:
            segments.append(Segment(builder.data.slot, 0, memory, data.rstrip(b"\0")))
            if all(self._value(line.fields[0], -1) != 0 for line in builder.windows):
                windows.append((0, Window(builder.data.slot, 0, memory, PERMISSION_READ | PERMISSION_WRITE)))
        return self._finished(len(code), base, len(builder.table), segments, windows, contents[2:])

    def _raw_image(self, contents: list[bytes]) -> Image:
        raw = self._builder.raw
        assert raw
        if self._builder.table or self._builder.memory:
            raise SourceError(".function and .memory have no place behind .image", raw.span)
        length, base = self._value(raw.code_length, 0), self._value(raw.table_base, 0)
        return self._finished(length, base, self._value(raw.table_entries, 0), [], [], contents)

    def _finished(
        self,
        code_length: int,
        table_base: int,
        table_entries: int,
        segments: list[Segment],
        windows: list[tuple[int, Window]],
        extra: list[bytes],
    ) -> Image:
        builder = self._builder
        for line, content in zip(builder.segments, extra, strict=True):
            length = self._value(line.length, len(content))
            if length < len(content):
                raise SourceError(f"the segment holds {len(content)} bytes, its length is {length}", line.span)
            segments.append(Segment(line.section.slot, line.section.base, length, content))
        for line in builder.windows:
            index, *fields = (self._value(field, 0) for field in line.fields)
            if not builder.raw and any(index == other for other, _ in windows):
                raise SourceError(f"window {index} is given twice", line.span)
            try:
                Window(*fields).check()
            except ImageError as error:
                raise SourceError(str(error), line.span) from None
            windows.append((index, Window(*fields)))
        return Image(
            entry=self._value(builder.entry, 0),
            frame=self._value(builder.frame, DEFAULT_FRAME),
            code_length=code_length,
            segments=tuple(segments),
            windows=tuple(windows),
            table_base=table_base,
            table_entries=table_entries,
            has_labels=builder.has_labels,
            name=Path(self._start.file.name).stem if builder.name is None else builder.name,
        )


def _encode_table_entry(target: Expression, frame: Expression) -> bytes:
    limit = 1 << CODE_ADDRESS_BITS
    address, locals_ = value_of(target, None), value_of(frame, None)
    if not 0 <= address < limit:
        raise SourceError(f"{address} is no code address", target.span)
    if not 0 <= locals_ <= 255:
        raise SourceError(f"a frame of {locals_} locals; 0 to 255 are possible", frame.span)
    return struct.pack("<I", locals_ << CODE_ADDRESS_BITS | address)


def _encode_number(expression: Expression, item: Data) -> bytes:
    value, bits = value_of(expression, item.address), 8 * item.width
    low, high = -(1 << (bits - 1)), (1 << bits) - 1
    if not low <= value <= high:
        raise SourceError(f"{value} is out of range {low} to {high}", expression.span)
    return (value & high).to_bytes(item.width, "little")


def _encode_instruction(instruction: ExactInstruction, here: int, pc: int) -> bytes:
    row = instruction.row
    for field, operand in zip(source_fields(row), instruction.operands, strict=True):
        if field.kind is FieldKind.OFFSET and isinstance(operand, Name):
            section = operand.symbol.section
            if section and not section.is_code:
                raise SourceError(f"{operand.token.text!r} is data, not code", operand.span)
    operands = [value if isinstance(value, int) else value_of(value, here) for value in instruction.operands]
    try:
        return encode(row, operands, pc)
    except OutOfReach as error:
        raise SourceError(f"{error}{_farther(row, error.distance)}", instruction.spans[error.index]) from None
    except OperandError as error:
        generic = _WIDER.get(row.mnemonic)
        hint = f"; use {generic}, which picks the shortest instruction that fits" if generic else ""
        raise SourceError(f"{error}{hint}", instruction.spans[error.index]) from None


_WIDER = {"lit8": "lit", "li": "let", "liw": "let"}
"""Generic mnemonics for literals that are too great for an exact one."""


def _farther(row: Instruction, distance: int) -> str:
    """Names a row that branches alike and reaches that far."""

    def alike(other: Instruction) -> bool:
        field = other.field(FieldKind.OFFSET)
        return (
            field is not None
            and field.minimum <= distance <= field.maximum
            and (other.unit, other.condition, other.function, other.constant, other.destination)
            == (row.unit, row.condition, row.function, row.constant, row.destination)
            and (other.b is row.b)
        )

    found = [other.mnemonic for other in sorted(INSTRUCTIONS, key=lambda other: other.length) if alike(other)]
    generic = {"jump": "goto", "call": "invoke"}.get(row.unit.value)
    if generic:
        found.append(f"{generic}, which picks the shortest")
    return f"; use {' or '.join(found)}" if found else "; branch around a jmpf instead"
