"""Places as people write them: code, bytes of memory, cells of the stacks.

| text | code | memory |
|---|---|---|
| `sift`, `sift+4` | that label | the label's bytes: in code, or in window 0 |
| `0x40`, `64` | that pc | that pointer |
| `1:0x2000` | – | shard slot 1, offset 0x2000 |
| `:57`, `sort.vasm:57` | line of the source that the pc is in, or of the named one | – |
| `*l2`, `*at`, `*s0` | – | what the cell points to |
| `l2`, `at`, `s0`, `r5` | – | the cell: local by number or name, data stack from the top, return stack from below |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..history.errors import HistoryError
from ..history.history import History
from ..isa.limits import CELL_MASK, CODE_SLOT, DATA_STACK_CELLS, RETURN_STACK_CELLS, SLOT_BITS
from ..machine.state import State
from .errors import DebuggerError
from .source_map import SourceMap

_SUM = re.compile(r"(?P<base>.+?)(?P<distance>[+-](?:0[xX][0-9a-fA-F]+|\d+))?")
_LINE = re.compile(r"(?P<file>[^:]*):(?P<line>\d+)")
_CELL = re.compile(r"(?P<kind>[lsr])(?P<index>\d{1,3})")


@dataclass(frozen=True)
class Bytes:
    """Memory: `length` bytes at `offset` of a shard slot."""

    slot: int
    offset: int
    length: int = 1

    def __str__(self) -> str:
        return f"{self.slot}:{self.offset:#x}" + (f" ({self.length} bytes)" if self.length != 1 else "")


@dataclass(frozen=True)
class StackCell:
    """A cell of the stack RAM: index 0 to 63 data stack, bottom first, then the return stack."""

    index: int

    def __str__(self) -> str:
        if self.index < DATA_STACK_CELLS:
            return f"data stack cell {self.index}"
        return f"return stack cell {self.index - DATA_STACK_CELLS}"


class Places:
    """What texts mean where the cursor of this history is. Every method raises DebuggerError for a text that means
    nothing."""

    def __init__(self, history: History, source: SourceMap) -> None:
        self._history = history
        self._source = source

    def code(self, text: str) -> list[int]:
        """Code addresses: one, or for a line of source that became code in several places, each of them."""
        if match := _LINE.fullmatch(text):
            file = match["file"] or self._source.file(self._history.state.pc)
            if found := self._source.pcs_of_line(file, int(match["line"])):
                return found
            why = "has no code" if self._source.has_source else "is unknown: the program was given without its source"
            raise DebuggerError(f"line {match['line']} {why}")
        base, distance = _split(text)
        value = self._source.code.get(base)
        if value is None:
            value = _number(base)
        if value is None:
            raise DebuggerError(f"{base!r} is no label of code and no number{self._near(base, self._source.code)}")
        length = self._history.state.code_length
        if not 0 <= value + distance < length:
            raise DebuggerError(f"{text} is outside the code, which has {length:#x} bytes")
        return [value + distance]

    def memory(self, text: str, length: int = 1) -> Bytes:
        """Bytes of memory."""
        slot_text, colon, offset_text = text.partition(":")
        if colon:
            slot, offset = _number(slot_text), _number(offset_text)
            if slot is None or offset is None or not 0 <= slot < 1 << SLOT_BITS:
                raise DebuggerError(f"{text!r} is no SLOT:OFFSET")
            return _checked(Bytes(slot, offset, length))
        base, distance = _split(text)
        if base.startswith("*"):
            pointer = self.value(self.cell(base[1:]))
        elif base in self._source.code:
            return _checked(Bytes(CODE_SLOT, self._source.code[base] + distance, length))
        else:
            named = self._source.data.get(base)
            number = _number(base) if named is None else named
            if number is None:
                known = self._source.data | self._source.code
                raise DebuggerError(f"{base!r} is no label, number or SLOT:OFFSET{self._near(base, known)}")
            pointer = number
        if not 0 <= pointer <= CELL_MASK:
            raise DebuggerError(f"{text} is no pointer: those have 32 bits")
        try:
            slot, offset = self._history.place(pointer)
        except HistoryError as error:
            raise DebuggerError(str(error)) from error
        return _checked(Bytes(slot, offset + distance, length))

    def cell(self, text: str) -> StackCell:
        """A live cell of the stacks."""
        state = self._history.state
        names = self._source.local_names(state.pc)
        if text in names:
            return self._local(state, names.index(text))
        match = _CELL.fullmatch(text)
        if not match:
            raise DebuggerError(f"{text!r} is no cell: l0 to l14, a local's name, s0 (top of stack) up, r0 up")
        index = int(match["index"])
        if match["kind"] == "l":
            return self._local(state, index)
        if match["kind"] == "s":
            if index >= state.sp:
                raise DebuggerError(f"the data stack has {state.sp} cells here; there is no {text}")
            return StackCell(state.sp - 1 - index)
        if index >= RETURN_STACK_CELLS:
            raise DebuggerError(f"the return stack has {RETURN_STACK_CELLS} cells; there is no {text}")
        return StackCell(DATA_STACK_CELLS + index)

    def any(self, text: str, length: int = 1) -> Bytes | StackCell:
        """A cell where the text names one, else memory."""
        names = self._source.local_names(self._history.state.pc)
        is_label = text in self._source.data or text in self._source.code
        if text in names or (_CELL.fullmatch(text) and not is_label):
            return self.cell(text)
        return self.memory(text, length)

    def value(self, cell: StackCell) -> int:
        """What a cell holds."""
        return self._history.state.cells[cell.index]

    def _local(self, state: State, index: int) -> StackCell:
        if index >= state.rp - state.fp:
            raise DebuggerError(f"the frame has {state.rp - state.fp} locals here; there is no l{index}")
        return StackCell(DATA_STACK_CELLS + state.fp + index)

    def _near(self, name: str, known: dict[str, int]) -> str:
        from difflib import get_close_matches

        found = get_close_matches(name, known, n=1)
        return f"; did you mean {found[0]!r}?" if found else ""


def number(text: str, what: str) -> int:
    """A count or tick: decimal with or without commas, or hexadecimal. Raises DebuggerError, saying what was wanted."""
    value = _number(text.replace(",", "").replace("_", ""))
    if value is None:
        raise DebuggerError(f"{text!r} is no {what}")
    return value


def _number(text: str) -> int | None:
    try:
        return int(text, 0) if text[:2].lower() in ("0x", "0b") else int(text)
    except ValueError:
        return None


def _split(text: str) -> tuple[str, int]:
    match = _SUM.fullmatch(text)
    if not match:
        raise DebuggerError("a place is missing")
    distance = match["distance"]
    return match["base"], int(distance, 0) if distance else 0


def _checked(place: Bytes) -> Bytes:
    if place.length < 1 or not 0 <= place.offset <= (1 << 32) - place.length:
        raise DebuggerError(f"{place.length} bytes at offset {place.offset:#x} are no memory: a shard slot has 4 GiB")
    return place
