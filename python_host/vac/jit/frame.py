"""The state around a function's code: into LLVM variables at its start, back into memory on every way out.

Locals, stack cells and branch history live in variables; memory is brought up to date before a call, at a
return and on every way out, where the interpreter has to find the state as if it had come there itself.
"""

from __future__ import annotations

from ..isa.instruction import Unit
from ..isa.limits import DATA_STACK_CELLS, POINTER_DISPLACEMENT_BITS
from ..isa.sqi import history_index
from .blocks import Blocks
from .layout import EXTENT_BYTES, PATH_BYTES, Layout
from .loops import displacement, pointer_of
from .operands import locals_named, locals_written
from .region import Function, Region, Step
from .text import CELLS, REGISTERS, Text


def symbol(region: Region, function: Function) -> str:
    """The function's name in the module."""
    key = function.key
    return "entry" if key == region.root else f"f{key.entry:x}_{key.frame}"


class Frame(Text):
    """traced: the code leaves a beam for each instruction."""

    def __init__(self, region: Region, function: Function, layout: Layout, traced: bool) -> None:
        super().__init__()
        self._region = region
        self._function = function
        self._layout = layout
        self._traced = traced
        self._blocks = Blocks(region, function)
        self._aside: list[str] = []
        """What is written behind the present block."""
        self._exits: dict[int, str] = {}
        """Labels of the ways out by depth."""
        steps = [step for start in self._blocks.reached for step in self._blocks.by_start[start].steps]
        self._locals = sorted({local for step in steps for local in locals_named(step)})
        self._written = sorted({local for step in steps for local in locals_written(step)})
        self._history = sorted(
            {history_index(step.instruction.pc) for step in steps if step.instruction.row.unit is Unit.BRANCH}
        )
        self._pointers = sorted({name: step for step in steps if (name := self._extent_name(step))}.items())
        self._slots = range(-function.needs, function.peak + 1)
        self._lowest = min((slot for step in steps for slot in self._slots_written(step)), default=function.peak + 1)

    def _slots_written(self, step: Step) -> list[int]:
        unit = step.instruction.row.unit
        if unit is Unit.SWAP:
            return [step.depth - 2]
        if unit is Unit.CALL:
            callee = self._region.callee(step)
            return [step.after - callee.needs] if callee else []
        return [step.after - 1] if step.effect.pushes else []

    def _extent_name(self, step: Step) -> str | None:
        """Variable with the extent that a pointer was in when it was last looked for; None for other accesses.

        A pointer hardly ever changes its window, and one that did is beyond the old one's extent. Not so where a
        displacement carries into another window: such an access is to be refused.
        """
        local = pointer_of(step)
        if local is None or displacement(step):
            return None
        return f"{'R' if step.instruction.row.unit is Unit.LOAD else 'W'}{local}"

    def _extent_of(self, pointer: str, is_load: bool) -> str:
        """Address of the extent of a pointer's window."""
        window = self._emit(f"zext i32 {self._emit(f'lshr i32 {pointer}, {POINTER_DISPLACEMENT_BITS}')} to i64")
        scale = self._emit(f"mul i64 {window}, {PATH_BYTES}")
        path = self._emit(f"getelementptr i8, ptr %m, i64 {scale}")
        return self._at(path, self._layout.paths + (0 if is_load else EXTENT_BYTES))

    @property
    def least(self) -> int:
        """Ticks that must remain at the entry."""
        return max(1, self._blocks.longest[self._function.key.entry])

    def _register(self, offset: int, kind: str = "i32") -> str:
        return self._emit(f"load {kind}, ptr {self._at('%m', offset)}{REGISTERS}")

    def _set_register(self, offset: int, value: str, kind: str = "i32") -> None:
        self._line(f"  store {kind} {value}, ptr {self._at('%m', offset)}{REGISTERS}")

    def _slot(self, slot: int) -> str:
        return f"S{slot}" if slot >= 0 else f"U{-slot}"

    # ---- into and out of memory ----------------------------------------------------------------------------------

    def _prologue(self) -> None:
        for local in self._locals:
            self._line(f"  %L{local} = alloca i32")
        for slot in self._slots:
            self._line(f"  %{self._slot(slot)} = alloca i32")
        for index in self._history:
            self._line(f"  %H{index} = alloca i1")
        for name, kind in (("rem", "i64"), ("out", "i32")):
            self._line(f"  %{name} = alloca {kind}")
        for local in self._locals:
            self._set(f"L{local}", self._emit(f"load i32, ptr {self._at('%locals', 4 * local)}{CELLS}"))
        for name, step in self._pointers:
            self._line(f"  %{name} = alloca ptr")
            local = self._get(f"L{pointer_of(step)}")
            self._set(name, self._extent_of(local, step.instruction.row.unit is Unit.LOAD), "ptr")
        equal = self._take_constants()
        self._load_slots(-self._function.needs, 0)
        self._set("rem", "%first", "i64")
        if self._traced:
            self._line(f"  %beams = load ptr, ptr {self._at('%m', self._layout.beams_end)}{REGISTERS}")
        self._load_history()
        if equal:
            self._require(equal, self._way_out(self._function.key.entry, 0, 0))
        self._jump(self._label_of(self._function.key.entry))
        self._flush_aside()

    def _take_constants(self) -> str:
        """Puts known values into locals that only stay what they are; the i1 that says whether they are right."""
        equal = ""
        is_root = self._function.key == self._region.root
        for local, value in sorted(self._region.constants.items()) if is_root else ():
            if local in self._locals and local not in self._written:
                same = self._emit(f"icmp eq i32 {self._get(f'L{local}')}, {value}")
                equal = self._emit(f"and i1 {equal}, {same}") if equal else same
                self._set(f"L{local}", str(value))
        return equal

    def _load_slots(self, first: int, end: int) -> None:
        for slot in range(max(first, -self._function.needs), end):
            self._set(self._slot(slot), self._emit(f"load i32, ptr {self._at('%sp', 4 * slot)}{CELLS}"))

    def _load_history(self) -> None:
        if self._history:
            history = self._register(self._layout.history)
            for index in self._history:
                bit = self._emit(f"lshr i32 {history}, {index}")
                self._set(f"H{index}", self._emit(f"trunc i32 {bit} to i1"), "i1")

    def _spill(self, depth: int) -> None:
        """Cells and history to memory; the stack is `depth` cells deep."""
        for local in self._written:
            value = self._get(f"L{local}")
            self._line(f"  store i32 {value}, ptr {self._at('%locals', 4 * local)}{CELLS}")
        for slot in range(max(self._lowest, -self._function.needs), depth):
            value = self._get(self._slot(slot))
            self._line(f"  store i32 {value}, ptr {self._at('%sp', 4 * slot)}{CELLS}")
        if self._history:
            mask = sum(1 << index for index in self._history)
            word = self._emit(f"and i32 {self._register(self._layout.history)}, {~mask & 0xFFFF}")
            for index in self._history:
                bit = self._emit(f"zext i1 {self._get(f'H{index}', 'i1')} to i32")
                word = self._emit(f"or i32 {word}, {self._emit(f'shl i32 {bit}, {index}')}")
            self._set_register(self._layout.history, word)

    def _cells_between(self, pointer: str) -> str:
        """Index in the stack RAM of a pointer to a cell, as i32."""
        whole = [self._emit(f"ptrtoint ptr {one} to i64") for one in (pointer, "%m")]
        bytes_between = self._emit(f"sub i64 {whole[0]}, {whole[1]}")
        cells = self._emit(f"lshr i64 {bytes_between}, 2")
        return self._emit(f"trunc i64 {cells} to i32")

    def _stack_depth(self, depth: int) -> str:
        return self._emit(f"add i32 {self._cells_between('%sp')}, {depth}")

    def _exit(self, depth: int, label: str) -> None:
        self._start(label)
        self._spill(depth)
        place = self._layout
        self._set_register(place.pc, self._get("out"))
        self._set_register(place.sp, self._stack_depth(depth))
        frame = self._emit(f"sub i32 {self._cells_between('%locals')}, {DATA_STACK_CELLS}")
        self._set_register(place.fp, frame)
        self._set_register(place.rp, self._emit(f"add i32 {frame}, {self._function.key.frame}"))
        self._set_register(place.remaining, self._get("rem", "i64"), "i64")
        self._line("  ret i64 -1")

    def _way_out(self, pc: int, depth: int, give_back: int) -> str:
        """Label of a place that leaves before the instruction at pc; so many ticks of the block are not used."""
        label = self._label("out")
        common = self._exits.setdefault(depth, f"exit{len(self._exits)}")
        kept, self._lines = self._lines, []
        self._start(label)
        if give_back:
            self._set("rem", self._emit(f"add i64 {self._get('rem', 'i64')}, {give_back}"), "i64")
        self._set("out", str(pc))
        self._jump(common)
        self._aside += self._lines
        self._lines = kept
        return label

    def _flush_aside(self) -> None:
        self._lines += self._aside
        self._aside = []

    def _label_of(self, pc: int) -> str:
        """Label of the block at pc, for control that comes from where is being written."""
        return f"b{pc}"

    def _go(self, pc: int, depth: int) -> None:
        """Control goes to pc, inside or out."""
        if self._blocks.is_way(pc, depth):
            self._jump(self._label_of(pc))
        else:
            self._jump(self._way_out(pc, depth, 0))
