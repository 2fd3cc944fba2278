"""Addresses, names and source lines of a program: what an assembly knows, or what an image alone shows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from ..assembler.assemble import Assembly
from ..assembler.source import Span
from ..image.control_flow import reached, table_entries
from ..image.decode import decode
from ..image.image import Image
from ..isa.instruction import Unit
from ..isa.limits import CODE_SLOT


class SourceMap:
    """image: the program. assembly: where it came from, when the source is at hand; without one, functions are named
    by their address and there are no lines.

    starts: code addresses of instructions, ascending. code_names: labels of code by address, the first one defined
    where there are several; one that belongs to a function as ``sift@down``. data: pointers of data labels by name.
    """

    def __init__(self, image: Image, assembly: Assembly | None = None) -> None:
        self.has_source = assembly is not None
        self.code: dict[str, int] = {}
        """Code addresses by label."""
        self.data: dict[str, int] = {}
        self.code_names: dict[int, str] = {}
        self._spans: dict[int, Span] = {}
        self._locals: dict[int, list[str]] = {}
        if assembly:
            self.starts = sorted(self._take(assembly))
        else:
            self.starts = sorted(self._explore(image))
        self._named = sorted(self.code_names)

    def _take(self, assembly: Assembly) -> Iterable[int]:
        outer = ""
        for symbol in assembly.labels:
            if symbol.section is None:
                continue
            address, name = symbol.value or 0, symbol.name
            if symbol.section.is_code:
                name = outer + name if name.startswith("@") else name
                outer = name if name == symbol.name else outer
                self.code_names.setdefault(address, name)
                self.code.setdefault(name, address)
            else:
                self.data.setdefault(symbol.name, address)
        starts: list[int] = []
        for placed in assembly.placed:
            if placed.slot != CODE_SLOT or not placed.is_instruction:
                continue
            position = 0
            while position < len(placed.content):
                instruction = decode(placed.content, position, placed.address + position)
                starts.append(placed.address + position)
                self._spans[placed.address + position] = placed.span
                if placed.routine:
                    self._locals[placed.address + position] = placed.routine.locals
                position += instruction.row.length if instruction else 1
        return starts

    def _explore(self, image: Image) -> Iterable[int]:
        functions = [target for target, _ in table_entries(image)]
        found = reached(image.code, [image.entry, *functions])
        for instruction in found.values():
            if instruction.row.unit is Unit.CALL and instruction.target is not None:
                functions.append(instruction.target)
        self.code_names = {address: f"f_{address:06x}" for address in sorted(functions)}
        self.code_names[image.entry] = "entry"
        self.code = {name: address for address, name in self.code_names.items()}
        return found

    def name(self, pc: int) -> str:
        """The place as label and distance, such as ``sift+0x4``; the bare address before any label."""
        index = bisect_right(self._named, pc)
        if not index:
            return f"{pc:#x}"
        label = self._named[index - 1]
        return self.code_names[label] + (f"+{pc - label:#x}" if pc > label else "")

    def span(self, pc: int) -> Span | None:
        """Where the instruction at this address was written."""
        return self._spans.get(pc)

    def lines(self) -> dict[int, tuple[str, int, str]]:
        """File, line and its text by code address."""
        return {pc: (span.file.name, span.line, span.text) for pc, span in self._spans.items()}

    def location(self, pc: int) -> str:
        """File and line, such as ``sort_lines.vasm:57``; empty where they are not known."""
        span = self._spans.get(pc)
        return f"{span.file.name.rpartition('/')[2]}:{span.line}" if span else ""

    def file(self, pc: int) -> str:
        """Name of the file that the instruction was written in; of the first one where that is not known."""
        span = self._spans.get(pc) or next(iter(self._spans.values()), None)
        return span.file.name if span else ""

    def pcs_of_line(self, file: str, line: int) -> list[int]:
        """First instruction of each stretch of code that this line of a file (its name's end) became."""
        return [
            pc
            for index, pc in enumerate(self.starts)
            if self._is_on(pc, file, line) and not (index and self._is_on(self.starts[index - 1], file, line))
        ]

    def _is_on(self, pc: int, file: str, line: int) -> bool:
        span = self._spans.get(pc)
        return span is not None and span.line == line and span.file.name.endswith(file)

    def local_names(self, pc: int) -> list[str]:
        """Names of the locals of the function that this instruction stands in, by index."""
        return self._locals.get(pc, [])

    def around(self, pc: int, before: int, after: int) -> list[int]:
        """Addresses of instructions up to `before` ahead of pc, pc itself, and up to `after` behind it. Where pc is no
        known start of an instruction, those that overlap it are left out by the caller's own decoding."""
        index = bisect_right(self.starts, pc)
        known = index and self.starts[index - 1] == pc
        earlier = self.starts[max(0, index - (1 if known else 0) - before) : index - (1 if known else 0)]
        return [*earlier, pc, *self.starts[index : index + after]]
