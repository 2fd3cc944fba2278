"""The lineage of everything at every tick, by carrying it along: the golden model, watched.

Which cells, windows and bytes an instruction touches is seen from what the model reaches for. What of it goes into what
is said here once more, by mnemonic. Nothing of `vac.lineage` is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vac.golden.model import GoldenMachine
from vac.image.image import Image
from vac.isa.encoding import FieldKind
from vac.isa.instruction import Instruction, Unit
from vac.isa.ports import SYSTEM_CALLS
from vac.isa.table import lookup
from vac.machine.protocol import Answer, Event, EventKind

Leaf = tuple[Any, ...]


@dataclass(frozen=True)
class Taint:
    """ticks: bit for each. leaves: what the run did not make. The second pair is without addresses and requests."""

    ticks: int
    leaves: frozenset[Leaf]
    thin_ticks: int
    thin_leaves: frozenset[Leaf]

    @staticmethod
    def of_leaf(*leaf: Any) -> Taint:
        return Taint(0, frozenset([leaf]), 0, frozenset([leaf]))

    def merged(self, other: Taint) -> Taint:
        return Taint(
            self.ticks | other.ticks, self.leaves | other.leaves,
            self.thin_ticks | other.thin_ticks, self.thin_leaves | other.thin_leaves,
        )  # fmt: skip

    def as_address(self) -> Taint:
        return Taint(self.ticks, self.leaves, 0, frozenset())


NONE = Taint(0, frozenset(), 0, frozenset())


class Watched(list[Any]):
    """A list that writes down which elements were read and written, in order."""

    def __init__(self, elements: list[Any]) -> None:
        super().__init__(elements)
        self.read: list[int] = []
        self.written: list[int] = []

    def __getitem__(self, index: Any) -> Any:
        self.read += range(*index.indices(len(self))) if isinstance(index, slice) else [index]
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.written.append(index)
        super().__setitem__(index, value)

    def start(self) -> None:
        self.read, self.written = [], []


class ForwardSlicer(GoldenMachine):
    """`cells`, `windows`, `memory` hold the taint of each as it is now, where it is not what it was at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: dict[int, Taint] = {}
        self.windows: dict[int, Taint] = {}
        self.bytes: dict[tuple[int, int], Taint] = {}
        self.used: Taint = NONE
        """What the last instruction used up where it wrote nothing, or let out."""
        self.answered = 0
        self.touched: dict[str, list[Any]] = {}
        """Of the last instruction: what was read and written, for whoever wants to see."""
        self._loaded: list[tuple[int, int]] = []
        self._stored: list[tuple[int, int]] = []

    def load(self, image: Image) -> None:
        super().load(image)
        self._state.cells = Watched(self._state.cells)
        self._state.windows = Watched(self._state.windows)

    # ---- watching ------------------------------------------------------------------------------------------------

    def _load(self, window: Any, displacement: int, size: int) -> tuple[int, int, int]:
        value, labels, address = super()._load(window, displacement, size)
        self._loaded = [(window.slot, address + index) for index in range(size)]
        return value, labels, address

    def _execute_store(self, row: Instruction, word: int, a: int, b: int, labels: int) -> int:
        address = super()._execute_store(row, word, a, b, labels)
        assert row.access
        super_window = list.__getitem__(self._state.windows, a >> 28)
        self._stored = [(super_window.slot, address + index) for index in range(row.access.size)]
        return address

    def answer(self, answer: Answer) -> None:
        """As the model's; the grants are put down as the instruction's own."""
        assert self._waiting
        (event, word), self._waiting = self._waiting, None
        if answer.trap:
            self._state.status, self._state.trap = type(self._state.status).TRAPPED, answer.trap
            self.answered += 1
            return
        for slot, offset, data in answer.writes:
            self._poke(slot, offset, data)
        for index, window in answer.windows:
            list.__setitem__(self._state.windows, index, window)
        self._step(word, answer, event)

    def _step(self, word: int, answer: Answer | None, event: Event | None = None) -> Event | None:
        state = self._state
        cells, windows = state.cells, state.windows
        assert isinstance(cells, Watched) and isinstance(windows, Watched)
        cells.start()
        windows.start()
        self._loaded, self._stored = [], []
        tick, sp = state.tick, state.sp
        waits = super()._step(word, answer)
        if state.tick > tick:
            self._carry(word, tick, sp, answer, event)
        return waits

    def _here(self, tick: int) -> Taint:
        """What goes into everything that the instruction at this tick writes."""
        return Taint(1 << tick, frozenset(), 1 << tick, frozenset())

    # ---- carrying ------------------------------------------------------------------------------------------------

    def cell(self, index: int) -> Taint:
        return self.cells.get(index) or Taint.of_leaf("cell", index)

    def window(self, index: int) -> Taint:
        return self.windows.get(index) or Taint.of_leaf("window", index)

    def byte(self, slot: int, offset: int) -> Taint:
        return self.bytes.get((slot, offset)) or Taint.of_leaf("memory", slot, offset)

    def _carry(self, word: int, tick: int, sp: int, answer: Answer | None, event: Event | None) -> None:
        cells, windows = self._state.cells, self._state.windows
        assert isinstance(cells, Watched) and isinstance(windows, Watched)
        row = lookup(word)
        assert row
        name = row.mnemonic
        read, written = list(dict.fromkeys(cells.read)), list(dict.fromkeys(cells.written))
        if answer is not None and row.unit is Unit.SYSTEM_CALL:
            read = list(range(sp - len(SYSTEM_CALLS[row.fields[0].extract(word)].arguments), sp))
        self.touched = {
            "read": read, "written": written, "windows read": list(dict.fromkeys(windows.read)),
            "windows written": list(dict.fromkeys(windows.written)), "loaded": self._loaded, "stored": self._stored,
        }  # fmt: skip
        here = self._here(tick)

        def union(taints: Iterator[Taint] | list[Taint]) -> Taint:
            total = here
            for each in taints:
                total = total.merged(each)
            return total

        memory = [self.byte(*place) for place in self._loaded]
        passed = [self.window(index) for index in windows.read]
        self.used = union([*(self.cell(index) for index in read), *passed, *memory])
        if name == "swap":
            top, second = self.cell(sp - 1), self.cell(sp - 2)
            self.cells[sp - 1], self.cells[sp - 2] = union([second]), union([top])
        elif name == "nip":
            self.cells[sp - 2] = union([self.cell(sp - 1)])
        elif row.unit in (Unit.CALL, Unit.TABLE_CALL):
            self.cells[written[0]] = here
            if row.unit is Unit.TABLE_CALL:
                self.used = union([self.cell(read[0]).as_address(), *(each.as_address() for each in passed), *memory])
        elif row.unit is Unit.TABLE_JUMP:
            self.used = union([self.cell(read[0]).as_address(), *(each.as_address() for each in passed), *memory])
        elif name.startswith(("ld", "st")):
            self._carry_access(row, word, here, read, written, memory, passed)
        elif answer is not None:
            leaf = Taint.of_leaf("input", self.answered)
            requests = [self.cell(index).as_address() for index in read] if row.unit is Unit.SYSTEM_CALL else []
            given = union([leaf, *requests])
            if row.unit is not Unit.DEVICE_OUT:
                self.used = union([given, *self._let_out(event)])
            for index in written:
                self.cells[index] = given
            for slot, offset, data in answer.writes:
                for index in range(len(data)):
                    self.bytes[slot, offset + index] = given
            for index, _ in answer.windows:
                self.windows[index] = given
            self.answered += 1
        elif name == "rd":
            number = row.fields[0].extract(word)
            self.cells[written[0]] = union([Taint.of_leaf("register", number)])
        else:
            total = self.used
            for index in written:
                self.cells[index] = total
            for index in windows.written:
                self.windows[index] = total

    def _let_out(self, event: Event | None) -> list[Taint]:
        """Bytes that a system call hands to the host."""
        assert event
        if event.kind is not EventKind.SYSTEM_CALL or SYSTEM_CALLS[event.number].name not in ("write", "beam_emit"):
            return []
        pointer, length = event.arguments[-2:]
        window = list.__getitem__(self._state.windows, pointer >> 28)
        start = window.base + (pointer & 0xFFFFFFF)
        length = min(length, 1 << 16, (1 << 32) - start) if window.permissions else 0
        return [self.byte(window.slot, start + index) for index in range(length)]

    def _carry_access(
        self, row: Instruction, word: int, here: Taint, read: list[int], written: list[int], memory: list[Taint],
        passed: list[Taint],
    ) -> None:  # fmt: skip
        through = [each.as_address() for each in passed]
        if row.mnemonic.startswith("ld"):
            result = here
            for each in [*memory, *through, *(self.cell(index).as_address() for index in read)]:
                result = result.merged(each)
        else:
            # The model reads operand B, the value, first.
            result = here.merged(self.cell(read[0]))
            for each in [*through, *(self.cell(index).as_address() for index in read[1:])]:
                result = result.merged(each)
            if len(read) == 1 and FieldKind.SCALED not in row.fields_by_kind:
                # Value and pointer are the same local.
                result = result.merged(self.cell(read[0]).as_address())
        pointer = self._pointer_cell(row, word)
        stepped = here.merged(self.cell(pointer)) if pointer is not None else here
        for index in written:
            if index != pointer:
                self.cells[index] = result
        for place in self._stored:
            self.bytes[place] = result
        self.used = result.merged(stepped)
        if pointer is not None:
            self.cells[pointer] = stepped

    def _pointer_cell(self, row: Instruction, word: int) -> int | None:
        if not row.post_increments:
            return None
        return 64 + self._state.fp + row.fields_by_kind[FieldKind.POINTER].extract(word)
