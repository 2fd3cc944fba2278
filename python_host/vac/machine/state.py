"""The architectural state: what it takes to go on from here on any engine, memory apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from ..image.image import Image, Window
from ..isa.limits import CODE_SLOT, DATA_STACK_CELLS, RETURN_STACK_CELLS, TABLE_WINDOW, WINDOWS
from ..isa.sqi import Sqi
from ..isa.traps import Trap


class Status(IntEnum):
    RUNNING = 0
    HALTED = 1
    TRAPPED = 2


@dataclass(slots=True)
class State:
    """Architectural registers and stacks.

    pc: byte offset in the code segment. tick: retired instructions. cells: the stack RAM, data stack first (64 cells),
    then the return stack (192 cells). sp: live cells of the data stack. fp: first local of the frame and rp: first free
    cell, both counted in the return stack. labels: label set of each stack cell. windows: 16, then the function
    table's. cone_in, cone_out: LightCone. joins: label joins so far. digest: of all beams so
    far; None where some of them were retired by an engine that did not digest them.

    Data-stack cells from sp upwards are not part of the state. All 192 return-stack cells are: a fresh frame sees what
    an earlier one left.
    """

    pc: int = 0
    tick: int = 0
    status: Status = Status.RUNNING
    trap: Trap = Trap.NONE
    sp: int = 0
    rp: int = 0
    fp: int = 0
    cells: list[int] = field(default_factory=lambda: [0] * (DATA_STACK_CELLS + RETURN_STACK_CELLS))
    labels: list[int] = field(default_factory=lambda: [0] * (DATA_STACK_CELLS + RETURN_STACK_CELLS))
    windows: list[Window] = field(default_factory=lambda: [Window()] * (WINDOWS + 1))
    code_length: int = 0
    has_labels: bool = False
    sqi: Sqi = field(default_factory=Sqi)
    cone_in: int = 0
    cone_out: int = 0
    joins: int = 0
    digest: int | None = 0

    @property
    def data_stack(self) -> list[int]:
        """Live cells, bottom first."""
        return self.cells[: self.sp]

    @property
    def return_stack(self) -> list[int]:
        """Cells in use, bottom first."""
        return self.cells[DATA_STACK_CELLS : DATA_STACK_CELLS + self.rp]

    @staticmethod
    def initial(image: Image) -> State:
        """State before the first tick of a run of this image."""
        state = State(pc=image.entry, rp=image.frame, code_length=image.code_length, has_labels=image.has_labels)
        for index, window in image.windows:
            state.windows[index] = window
        if image.table_entries:
            state.windows[TABLE_WINDOW] = Window(CODE_SLOT, image.table_base, 4 * image.table_entries, 1)
        return state

    def differences(self, other: State) -> list[str]:
        """One line for each architectural difference; empty when the states are equal."""
        found: list[str] = []
        for name in ("pc", "tick", "status", "trap", "sp", "rp", "fp", "code_length", "has_labels", "sqi", "cone_in",
                     "cone_out", "joins", "digest"):  # fmt: skip
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                found.append(f"{name}: {mine!r} / {theirs!r}")
        for index, (mine, theirs) in enumerate(zip(self.windows, other.windows, strict=True)):
            if mine != theirs:
                found.append(f"window {index}: {mine} / {theirs}")
        live = [*range(min(self.sp, other.sp)), *range(DATA_STACK_CELLS, len(self.cells))]
        for index in live:
            where = f"data stack {index}" if index < DATA_STACK_CELLS else f"return stack {index - DATA_STACK_CELLS}"
            if self.cells[index] != other.cells[index]:
                found.append(f"{where}: {self.cells[index]:#010x} / {other.cells[index]:#010x}")
            if self.labels[index] != other.labels[index]:
                found.append(f"labels of {where}: {self.labels[index]:#06x} / {other.labels[index]:#06x}")
        return found
