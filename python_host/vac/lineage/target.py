"""What can be asked about, as text and as places of the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..isa.instruction import Unit
from ..isa.limits import DATA_STACK_CELLS, RETURN_STACK_CELLS, TABLE_WINDOW
from ..isa.ports import SYSTEM_CALLS
from .effects import Place, Space, effects_of
from .errors import LineageError
from .places import WINDOW, byte_of

if TYPE_CHECKING:
    from ..history.history import History
    from ..machine.state import State

FORMS = "stack:N, local:N, return:N, window:N, mem:SLOT:OFFSET[:LENGTH], pointer:CELL[:LENGTH], instruction"
_MOST_BYTES = 1 << 16
_NUMBERS = {"stack": (1, 1), "local": (1, 1), "return": (1, 1), "window": (1, 1), "mem": (2, 3), "pointer": (1, 2),
            "instruction": (0, 0)}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """kind: the word before the first colon. numbers: those behind it.

    `stack:0` is the top, `stack:1` the cell under it; `local:0` the first local of the frame; `return:0` the bottom of
    the return stack; `mem` bytes of a shard slot, four where no length is given; `pointer` the same, as a program names
    them; `instruction` everything that the instruction at the tick uses and lets out.
    """

    kind: str
    numbers: tuple[int, ...] = ()

    @staticmethod
    def parse(text: str) -> Target:
        """Raises LineageError. Numbers may be hexadecimal, with 0x."""
        kind, *parts = text.split(":")
        least, most = _NUMBERS.get(kind, (1, 0))
        if not least <= len(parts) <= most or not all(re.fullmatch(r"[0-9]+|0x[0-9a-fA-F]+", part) for part in parts):
            raise LineageError(f"{text!r} names nothing that has a lineage; what does: {FORMS}")
        return Target(kind, tuple(int(part, 0) for part in parts))

    def __str__(self) -> str:
        return ":".join([self.kind, *map(str, self.numbers)])

    def places(self, history: History) -> list[int]:
        """Where that lies at the history's cursor; memory byte by byte. Raises LineageError when it is not there."""
        state = history.state
        if self.kind == "instruction":
            return waiting_operands(history)
        number = self.numbers[0]
        if self.kind == "stack":
            self._check(number < state.sp, f"the data stack is {state.sp} deep")
            return [state.sp - 1 - number]
        if self.kind == "local":
            self._check(number < state.rp - state.fp, f"the frame has {state.rp - state.fp} locals")
            return [DATA_STACK_CELLS + state.fp + number]
        if self.kind == "return":
            self._check(number < RETURN_STACK_CELLS, f"the return stack has {RETURN_STACK_CELLS} cells")
            return [DATA_STACK_CELLS + number]
        if self.kind == "window":
            self._check(number <= TABLE_WINDOW, f"windows are 0 to {TABLE_WINDOW}, the last the function table's")
            return [WINDOW + number]
        return self._bytes(history)

    def _bytes(self, history: History) -> list[int]:
        from ..history.errors import HistoryError

        *where, length = self.numbers if len(self.numbers) == _NUMBERS[self.kind][1] else (*self.numbers, 4)
        if self.kind == "pointer":
            self._check(where[0] < 1 << 32, "a pointer has 32 bits")
            try:
                where = list(history.place(where[0]))
            except HistoryError as error:
                raise LineageError(str(error)) from error
        slot, offset = where
        self._check(0 < length <= _MOST_BYTES, f"1 to {_MOST_BYTES} bytes can be asked for at once")
        self._check(slot < 256 and offset + length <= 1 << 32, "slots are 0 to 255, offsets below 4 GiB")
        return [byte_of(slot, offset + index) for index in range(length)]

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            raise LineageError(f"there is no {self}: {what}")


def resolve_place(place: Place, state: State) -> int | None:
    """The number of a cell or window that the next instruction names, None for other places."""
    if place.space is Space.DATA:
        return state.sp + place.index if state.sp + place.index >= 0 else None
    if place.space is Space.LOCAL:
        return DATA_STACK_CELLS + state.fp + place.index
    return WINDOW + place.index if place.space is Space.WINDOW else None


def waiting_operands(history: History) -> list[int]:
    """Cells, windows and bytes that the next instruction is going to use, as far as it names them itself; where it
    asks the host to write memory somewhere, those bytes."""
    instruction, state = history.instruction(), history.state
    if instruction is None:
        raise LineageError(f"at tick {history.tick} there is no instruction at pc {state.pc:#x}")
    origins = {origin.place for flow in effects_of(instruction).flows for origin in flow.origins}
    places = {resolve_place(place, state) for place in origins} - {None}
    return sorted(place for place in places if place is not None) + _let_out(history)


def _let_out(history: History) -> list[int]:
    """Bytes that the system call at the cursor hands to the host."""
    from ..history.errors import HistoryError

    instruction, state = history.instruction(), history.state
    if instruction is None or instruction.row.unit is not Unit.SYSTEM_CALL:
        return []
    call = SYSTEM_CALLS[instruction.row.fields[0].extract(instruction.word)]
    if not call.lets_output or "pointer" not in call.arguments or state.sp < len(call.arguments):
        return []
    arguments = dict(zip(call.arguments, state.data_stack[-len(call.arguments) :], strict=True))
    try:
        slot, offset = history.place(arguments["pointer"])
    except HistoryError:
        return []
    length = min(arguments["length"], _MOST_BYTES, (1 << 32) - offset)
    return [byte_of(slot, offset + index) for index in range(length)]
