"""The second version of even loops: rounds are counted ahead, and run without a check of ticks or memory."""

from __future__ import annotations

from ..isa.limits import CELL_MASK, POINTER_DISPLACEMENT_BITS
from .frame import Frame
from .layout import (
    EXTENT_ADDRESS,
    EXTENT_BYTES,
    EXTENT_LOW,
    EXTENT_ORIGIN,
    EXTENT_SPANS,
    PATH_BYTES,
    Layout,
)
from .loops import Bound, Loop, Pointer, loops_of
from .operands import locals_written
from .region import Function, Region, Step
from .text import LIKELY, REGISTERS

_FEWEST_ROUNDS = 3
"""Fewer are run in the version that checks."""
_CHECKED_ROUNDS = 16
"""Run by that version before rounds are counted again."""


class UncheckedLoops(Frame):
    """Counting ahead, and the variables of the second version. Labels: `c` count, `b` checked, `v` unchecked."""

    def __init__(self, region: Region, function: Function, layout: Layout, traced: bool) -> None:
        super().__init__(region, function, layout, traced)
        self._loops = loops_of(self._blocks)
        self._unchecked: Loop | None = None
        """The loop whose second version is being written."""
        self._current: int | None = None
        """Start of the block that is being written."""

    def _label_of(self, pc: int) -> str:
        if self._unchecked and pc in self._unchecked.body:
            return f"v{pc}"
        loop = self._loops.get(pc)
        if loop is None:
            return f"b{pc}"
        return f"again{pc}" if self._current in loop.body and not self._unchecked else f"c{pc}"

    def _declare_loops(self) -> None:
        for loop in self._loops.values():
            self._line(f"  %rounds{loop.head} = alloca i64")
            self._line(f"  %left{loop.head} = alloca i32")
            for pointer in loop.pointers.values():
                self._line(f"  %P{loop.head}{pointer.name} = alloca ptr")
                self._line(f"  %A{loop.head}{pointer.name} = alloca i32")

    def _count_ahead(self, loop: Loop) -> None:
        """Blocks before the loop: how many rounds need no check, and so which version runs."""
        head = loop.head
        self._start(f"c{head}")
        rounds = self._emit(f"udiv i64 {self._get('rem', 'i64')}, {self._blocks.longest[head]}")
        sound = "true"
        for pointer in loop.pointers.values():
            rounds, sound = self._count_pointer(loop, pointer, rounds, sound)
        self._set(f"rounds{head}", rounds, "i64")
        enough = self._emit(f"icmp uge i64 {rounds}, {_FEWEST_ROUNDS}")
        checked = self._label("checked")
        self._choose(self._emit(f"and i1 {sound}, {enough}"), f"v{head}", checked, LIKELY)
        self._start(checked)
        self._set(f"left{head}", str(_CHECKED_ROUNDS))
        self._jump(f"b{head}")
        self._start(f"again{head}")
        left = self._emit(f"sub i32 {self._get(f'left{head}')}, 1")
        self._set(f"left{head}", left)
        self._choose(self._emit(f"icmp eq i32 {left}, 0"), f"c{head}", f"b{head}")

    def _count_pointer(self, loop: Loop, pointer: Pointer, rounds: str, sound: str) -> tuple[str, str]:
        value = self._get(f"L{pointer.local}")
        window = self._emit(f"zext i32 {self._emit(f'lshr i32 {value}, {POINTER_DISPLACEMENT_BITS}')} to i64")
        path = self._emit(f"getelementptr i8, ptr %m, i64 {self._emit(f'mul i64 {window}, {PATH_BYTES}')}")
        extent = self._at(path, self._layout.paths + (0 if pointer.is_load else EXTENT_BYTES))
        low = self._emit(f"load i32, ptr {self._at(extent, EXTENT_LOW)}{REGISTERS}")
        span = self._emit(f"load i32, ptr {self._at(extent, EXTENT_SPANS)}{REGISTERS}")
        origin = self._emit(f"load ptr, ptr {self._at(extent, EXTENT_ORIGIN)}{REGISTERS}")
        wide = [self._emit(f"zext i32 {one} to i64") for one in (value, low, span)]
        distance = self._emit(f"sub i64 {wide[0]}, {wide[1]}")
        first = self._emit(f"add i64 {distance}, {pointer.lowest}") if pointer.lowest else distance
        end = self._emit(f"add i64 {distance}, {pointer.end}")
        room = self._emit(f"sub i64 {wide[2]}, {end}")
        conditions = [f"icmp sge i64 {first}, 0", f"icmp sge i64 {room}, 0"]
        if pointer.size > 1:
            bits = self._emit(f"trunc i64 {distance} to i32")
            conditions.append(f"icmp eq i32 {self._emit(f'and i32 {bits}, {pointer.size - 1}')}, 0")
        if pointer.bound:
            conditions += self._stays_below(pointer, pointer.bound, wide[0], wide[1], wide[2])
        for condition in conditions:
            sound = self._emit(f"and i1 {sound}, {self._emit(condition)}")
        if pointer.stride:
            narrow = self._emit(f"trunc i64 {room} to i32")
            most = self._emit(f"zext i32 {self._emit(f'udiv i32 {narrow}, {pointer.stride}')} to i64")
            rounds = self._emit(f"call i64 @llvm.umin.i64(i64 {rounds}, i64 {most})")
        name = f"{loop.head}{pointer.name}"
        self._set(f"P{name}", self._emit(f"getelementptr i8, ptr {origin}, i64 {distance}"), "ptr")
        if self._traced:
            base = self._emit(f"load i32, ptr {self._at(extent, EXTENT_ADDRESS)}{REGISTERS}")
            self._set(f"A{name}", self._emit(f"sub i32 {base}, {low}"))
        return rounds, sound

    def _stays_below(self, pointer: Pointer, bound: Bound, value: str, low: str, span: str) -> list[str]:
        """Conditions under which all rounds behind the first are inside the extent: until its last the pointer is below
        the limit, and no step wraps round."""
        stride, limit = (self._emit(f"zext i32 {self._get(f'L{one}')} to i64") for one in (bound.stride, bound.limit))
        highest = self._emit(f"add i64 {self._emit(f'sub i64 {limit}, {low}')}, {pointer.end - 1}")
        above = self._emit(f"call i64 @llvm.umax.i64(i64 {value}, i64 {limit})")
        conditions = [
            f"icmp sle i64 {highest}, {span}",
            f"icmp ule i64 {self._emit(f'add i64 {above}, {stride}')}, {CELL_MASK}",
        ]
        if pointer.size > 1:
            conditions.append(f"icmp eq i64 {self._emit(f'and i64 {stride}, {pointer.size - 1}')}, 0")
        return conditions

    def _take_round(self, head: int) -> None:
        """One of the rounds that were counted; behind the last one they are counted again."""
        left = self._get(f"rounds{head}", "i64")
        self._choose(self._emit(f"icmp ne i64 {left}, 0"), go_on := self._label("round"), f"c{head}", LIKELY)
        self._start(go_on)
        self._set(f"rounds{head}", self._emit(f"sub i64 {left}, 1"), "i64")

    def _unchecked_place(self, step: Step, pointer: Pointer, offset: int) -> tuple[str, str]:
        """Host address of an access in the second version, and its address in the slot."""
        assert self._unchecked
        name = f"{self._unchecked.head}{pointer.name}"
        place = self._at(self._get(f"P{name}", "ptr"), offset)
        if not self._traced:
            return place, "0"
        bias = self._emit(f"add i32 {self._get(f'A{name}')}, {offset}")
        return place, self._emit(f"add i32 {self._get(f'L{pointer.local}')}, {bias}")

    def _follow_pointers(self, step: Step) -> None:
        """Moves what stands for the pointers that this step has moved."""
        if not self._unchecked:
            return
        for local in sorted(locals_written(step)):
            for is_load in (False, True):
                pointer = self._unchecked.pointers.get((local, is_load))
                if pointer:
                    name = f"P{self._unchecked.head}{pointer.name}"
                    stride = str(pointer.stride)
                    if pointer.bound:
                        stride = self._emit(f"zext i32 {self._get(f'L{pointer.bound.stride}')} to i64")
                    moved = self._emit(f"getelementptr i8, ptr {self._get(name, 'ptr')}, i64 {stride}")
                    self._set(name, moved, "ptr")
