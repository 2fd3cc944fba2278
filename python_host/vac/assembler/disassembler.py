"""Program image to source text. Assembling the text gives the same image again, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..image.control_flow import reached, table_entries
from ..image.decode import Decoded, decode
from ..image.image import Image, Segment
from ..isa.instruction import Unit
from ..isa.limits import CODE_ADDRESS_BITS, CODE_SLOT

_BYTES_A_LINE = 16
_TEXT_COLUMN = 40
_DATA_RUN = re.compile(rb"(?P<zeros>\0{16,})|(?P<text>[\x20-\x7e]{4,72}\n?)|(?P<bytes>.)", re.DOTALL)


def disassemble(image: Image) -> str:
    """Source text of the whole image: header fields, windows, every segment."""
    return "\n".join(_Disassembly(image).lines()) + "\n"


class _Disassembly:
    def __init__(self, image: Image) -> None:
        self._image = image
        self._code = image.code
        self._table = table_entries(image)
        self._reached = reached(self._code, [image.entry, *(target for target, _ in self._table)])
        self._parts = [(segment, list(self._split(segment))) for segment in image.segments]
        self._names = self._name_targets()

    def lines(self) -> Iterator[str]:
        """The text, line by line."""
        image = self._image
        yield f".name {_quoted(image.name)}"
        yield f".image {image.code_length}, {image.table_base:#x}, {image.table_entries}  # code length, function table"
        yield f".frame {image.frame}"
        yield f".entry {self._name(image.entry)}"
        if image.has_labels:
            yield ".labels"
        for index, window in image.windows:
            fields = f"{window.slot}, {window.base:#x}, {window.length}, {window.permissions}"
            yield f".window {index}, {fields}"
        defined: set[int] = set()
        for segment, parts in self._parts:
            yield ""
            yield f".segment {segment.slot}, {segment.offset:#x}, {segment.length}"
            for address, part in parts:
                if segment.slot == CODE_SLOT and address in self._names and address not in defined:
                    defined.add(address)
                    yield f"{self._names[address]}:"
                yield from self._part_lines(address, part)

    def _part_lines(self, address: int, part: Decoded | bytes | int) -> Iterator[str]:
        if isinstance(part, Decoded):
            content = part.word.to_bytes(5, "little")[: part.row.length]
            yield f"    {part.text(self._name):<{_TEXT_COLUMN}}# {address:06x}  {content.hex(' ')}"
        elif isinstance(part, int):
            target, frame = part & ((1 << CODE_ADDRESS_BITS) - 1), part >> CODE_ADDRESS_BITS
            text = f".word {self._name(target)} | {frame} << {CODE_ADDRESS_BITS}"
            yield f"    {text:<{_TEXT_COLUMN}}# {address:06x}"
        else:
            for offset, text in _data_lines(part):
                yield f"    {text:<{_TEXT_COLUMN}}# {address + offset:06x}"

    def _name(self, address: int) -> str:
        return self._names.get(address, f"{address:#x}")

    def _name_targets(self) -> dict[int, str]:
        """Names for the places that the code names, where a line of the text begins."""
        calls = {target for target, _ in self._table}
        jumps: set[int] = set()
        begins: set[int] = set()
        for segment, parts in self._parts:
            if segment.slot != CODE_SLOT:
                continue
            for address, part in parts:
                begins.add(address)
                if isinstance(part, Decoded) and part.target is not None:
                    (calls if part.row.unit is Unit.CALL else jumps).add(part.target)
        names = {address: f"at_{address:06x}" for address in jumps & begins}
        names |= {address: f"f_{address:06x}" for address in calls & begins}
        if self._image.entry in begins:
            names[self._image.entry] = "entry"
        return names

    def _split(self, segment: Segment) -> Iterator[tuple[int, Decoded | bytes | int]]:
        """The segment's bytes as instructions, runs of data and cells of the function table, with addresses."""
        if segment.slot != CODE_SLOT:
            if segment.data:
                yield segment.offset, segment.data
            return
        position, run = 0, 0
        while position < len(segment.data):
            part = self._code_part(segment, position)
            if part is None:
                position += 1
                continue
            if run < position:
                yield segment.offset + run, segment.data[run:position]
            yield segment.offset + position, part
            position += 4 if isinstance(part, int) else part.row.length
            run = position
        if run < position:
            yield segment.offset + run, segment.data[run:position]

    def _code_part(self, segment: Segment, position: int) -> Decoded | int | None:
        """The instruction or table cell at this place, None for a byte of data."""
        image, address = self._image, segment.offset + position
        table_end = image.table_base + 4 * image.table_entries
        in_table = image.table_base <= address < table_end and (address - image.table_base) % 4 == 0
        if in_table and position + 4 <= len(segment.data):
            return int.from_bytes(segment.data[position : position + 4], "little")
        if image.table_base <= address < table_end or address >= image.code_length:
            return None
        instruction = decode(segment.data, position, address)
        if not instruction or address in self._reached:
            return instruction
        if any(later in self._reached for later in range(address + 1, address + instruction.row.length)):
            return None
        return instruction


def _data_lines(content: bytes) -> Iterator[tuple[int, str]]:
    """Directives for a run of data, each with its offset in the run."""
    pending, start = bytearray(), 0
    for match in _DATA_RUN.finditer(content):
        if match.lastgroup != "bytes" or len(pending) == _BYTES_A_LINE:
            if pending:
                yield start, _byte_line(pending)
            pending = bytearray()
        if match.lastgroup == "zeros":
            yield match.start(), f".space {len(match.group())}"
        elif match.lastgroup == "text":
            yield match.start(), f".ascii {_quoted(match.group().decode('ascii'))}"
        else:
            if not pending:
                start = match.start()
            pending += match.group()
    if pending:
        yield start, _byte_line(pending)


def _byte_line(content: bytes | bytearray) -> str:
    return ".byte " + ", ".join(f"0x{byte:02x}" for byte in content)


def _quoted(text: str) -> str:
    """The text as a string literal of one line."""

    def character(one: str) -> str:
        if one in '"\\':
            return "\\" + one
        if one == "\n":
            return "\\n"
        return one if one.isprintable() else f"\\u{{{ord(one):x}}}"

    return '"' + "".join(map(character, text)) + '"'
