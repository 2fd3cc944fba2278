"""Judges an image before it runs: is every reached place an instruction, and every stack depth known?

A verified image cannot trap with CODE_BOUNDS, ILLEGAL, FRAME, STACK_UNDERFLOW or RETURN_UNDERFLOW. Where the call
graph has no cycle it cannot overflow a stack either, and `Verification` gives the depths that it needs; with
recursion these checks stay with the machine.

Every function is followed once for each frame size that it is called with, its depth counted from 0 at its entry.
What a callee leaves on the stack is taken from its first return that is reached; all its returns must agree. The
function table counts as it stands in the image, and any entry may be the one that a table jump or call takes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from ..isa.encoding import FieldKind
from ..isa.instruction import Unit
from ..isa.limits import CODE_SLOT, DATA_STACK_CELLS, LEAF_BITS, LEAF_BYTES, RETURN_STACK_CELLS
from .control_flow import successors, table_entries
from .decode import Decoded, decode
from .image import PERMISSION_WRITE, Image
from .stack_effect import StackEffect, stack_effect

_MAX_STEPS = 4_000_000
_MAX_REASONS = 50


@dataclass(frozen=True)
class Reason:
    """Why an image is not verified. pc: the instruction at fault, None where it is the header; text: disassembled."""

    pc: int | None
    text: str
    message: str

    def __str__(self) -> str:
        place = "image" if self.pc is None else f"{self.pc:#08x}" + (f" `{self.text}`" if self.text else "")
        return f"{place}: {self.message}"


@dataclass(frozen=True, order=True)
class FunctionKey:
    """A function as it is called: entry pc and frame size. The outermost has no caller."""

    entry: int
    frame: int
    is_outermost: bool = False


@dataclass
class Function:
    """What is known of a function.

    depths: data stack depth before each of its instructions, by pc, relative to that at its entry. net: cells that
    it leaves, counted from its entry; None when it never returns. consumes: cells that its callers must have pushed.
    """

    key: FunctionKey
    depths: dict[int, int] = field(default_factory=dict)
    net: int | None = None
    consumes: int = 0
    calls: dict[int, list[FunctionKey]] = field(default_factory=dict)
    """Callees by the pc of the call."""
    callers: list[tuple[FunctionKey, int, int]] = field(default_factory=list)
    """Calling function, pc behind the call, depth there before the callee has left anything."""


@dataclass(frozen=True)
class Verification:
    """The verdict. data_cells, return_cells: most cells of each stack that a run can need; None where calls recurse."""

    reasons: tuple[Reason, ...]
    functions: tuple[Function, ...]
    instructions: dict[int, Decoded]
    """Every reached instruction, by pc."""
    data_cells: int | None
    return_cells: int | None

    @property
    def is_verified(self) -> bool:
        return not self.reasons


def verify(image: Image) -> Verification:
    """Judges an image that `Image.check` lets pass."""
    return _Verifier(image).run()


class _TooLarge(Exception):
    pass


class _Verifier:
    def __init__(self, image: Image) -> None:
        self._image = image
        self._code = image.code
        self._instructions: dict[int, tuple[Decoded, StackEffect]] = {}
        self._functions: dict[FunctionKey, Function] = {}
        self._reasons: dict[tuple[int | None, str], Reason] = {}
        self._open: deque[tuple[FunctionKey, int, int]] = deque()
        """Function, pc and depth still to be followed."""

    def run(self) -> Verification:
        outermost = FunctionKey(self._image.entry, self._image.frame, is_outermost=True)
        self._check_header()
        self._call(outermost)
        try:
            self._follow()
        except _TooLarge:
            self._refuse(None, f"following it takes more than {_MAX_STEPS} steps")
        data_cells = return_cells = None
        if not self._reasons:
            self._check_overlaps()
            self._check_underflow(outermost)
            data_cells, return_cells = self._check_overflow(outermost)
        return Verification(
            tuple(sorted(self._reasons.values(), key=lambda reason: -1 if reason.pc is None else reason.pc)),
            tuple(self._functions[key] for key in sorted(self._functions)),
            {pc: instruction for pc, (instruction, _) in sorted(self._instructions.items())},
            data_cells,
            return_cells,
        )

    def _refuse(self, pc: int | None, message: str) -> None:
        known = self._instructions.get(pc) if pc is not None else None
        if len(self._reasons) < _MAX_REASONS:
            text = known[0].text(lambda address: f"{address:#08x}") if known else ""
            self._reasons.setdefault((pc, message), Reason(pc, text, message))

    # ---- header --------------------------------------------------------------------------------------------------

    def _check_header(self) -> None:
        for index, window in self._image.windows:
            is_code = window.slot == CODE_SLOT and window.base < self._image.code_length
            if is_code and window.length and window.permissions & PERMISSION_WRITE:
                self._refuse(None, f"window {index} can write the code")

    @cached_property
    def _present_leaves(self) -> set[int]:
        """Leaves of the code segment that the image brings along."""
        found: set[int] = set()
        for segment in self._image.segments:
            if segment.slot == CODE_SLOT and segment.offset < self._image.code_length:
                end = min(segment.offset + segment.length, self._image.code_length)
                found.update(range(segment.offset >> LEAF_BITS, (end + LEAF_BYTES - 1) >> LEAF_BITS))
        return found

    @cached_property
    def _table(self) -> list[tuple[int, int]]:
        return table_entries(self._image)

    # ---- following control ---------------------------------------------------------------------------------------

    def _call(self, key: FunctionKey) -> Function:
        function = self._functions.get(key)
        if not function:
            function = self._functions[key] = Function(key)
            self._open.append((key, key.entry, 0))
        return function

    def _follow(self) -> None:
        steps = 0
        while self._open:
            steps += 1
            if steps > _MAX_STEPS:
                raise _TooLarge
            key, pc, depth = self._open.popleft()
            function = self._functions[key]
            known = function.depths.get(pc)
            if known is None:
                function.depths[pc] = depth
                if self._decode(pc):
                    self._step(function, pc, depth)
            elif known != depth:
                low, high = sorted((known, depth))
                self._refuse(pc, f"the data stack is {low} or {high} cells deep here, counted from {key.entry:#08x}")

    def _decode(self, pc: int) -> bool:
        """Makes the instruction at pc known; False, with the reason noted, where there is none."""
        if pc in self._instructions:
            return True
        if pc < len(self._code) and pc >> LEAF_BITS not in self._present_leaves:
            self._refuse(pc, "no segment holds this code")
            return False
        instruction = decode(self._code, pc)
        if not instruction:
            inside = pc < len(self._code)
            self._refuse(pc, "no legal instruction" if inside else "control leaves the code segment")
            return False
        if (pc + instruction.row.length - 1) >> LEAF_BITS not in self._present_leaves:
            self._refuse(pc, "no segment holds the end of this instruction")
            return False
        self._instructions[pc] = instruction, stack_effect(instruction)
        return True

    def _step(self, function: Function, pc: int, depth: int) -> None:
        """Follows one instruction that is seen for the first time in this function."""
        instruction, effect = self._instructions[pc]
        key, unit = function.key, instruction.row.unit
        if effect.highest_local >= key.frame:
            self._refuse(pc, f"names local {effect.highest_local} of a frame of {key.frame} locals")
            return
        after = depth + effect.net
        if unit is Unit.RETURN:
            self._return(function, pc, after)
        elif unit in (Unit.CALL, Unit.TABLE_CALL):
            self._step_call(function, instruction, after)
        else:
            following = successors(instruction)
            if unit is Unit.TABLE_JUMP:
                following = [target for target, _ in self._table]
            for successor in following:
                self._open.append((key, successor, after))

    def _step_call(self, function: Function, instruction: Decoded, after: int) -> None:
        frame = instruction.row.field(FieldKind.FRAME)
        callees = self._table
        if frame and instruction.target is not None:
            callees = [(instruction.target, instruction.operand(frame))]
        function.calls[instruction.pc] = []
        for callee in (self._call(FunctionKey(*callee)) for callee in dict.fromkeys(callees)):
            function.calls[instruction.pc].append(callee.key)
            callee.callers.append((function.key, instruction.next_pc, after))
            if callee.net is not None:
                self._open.append((function.key, instruction.next_pc, after + callee.net))

    def _return(self, function: Function, pc: int, depth: int) -> None:
        if function.key.is_outermost:
            self._refuse(pc, "returns from the outermost frame")
        elif function.net is None:
            function.net = depth
            self._open.extend((caller, behind, after + depth) for caller, behind, after in function.callers)
        elif function.net != depth:
            entry = function.key.entry
            self._refuse(pc, f"returns from {entry:#08x} with {depth:+} cells, another return with {function.net:+}")

    # ---- what the whole shows ------------------------------------------------------------------------------------

    def _check_overlaps(self) -> None:
        for pc, later in pairwise(sorted(self._instructions)):
            if pc + self._instructions[pc][0].row.length > later:
                self._refuse(later, f"lies inside the instruction at {pc:#08x}")

    def _after(self, function: Function, pc: int) -> int:
        """Depth when the instruction has popped and pushed, for calls: before the callee does."""
        return function.depths[pc] + self._instructions[pc][1].net

    def _check_underflow(self, outermost: FunctionKey) -> None:
        """Finds what each function consumes, from callees to callers until nothing changes."""
        open_keys = dict.fromkeys(self._functions)
        while open_keys:
            key = next(iter(open_keys))
            del open_keys[key]
            function = self._functions[key]
            own = (self._instructions[pc][1].needs - depth for pc, depth in function.depths.items())
            called = (
                self._functions[callee].consumes - self._after(function, pc)
                for pc, callees in function.calls.items()
                for callee in callees
            )
            consumes = max(0, *own, *called)
            if consumes > DATA_STACK_CELLS:
                self._refuse(key.entry, f"this function consumes more than {DATA_STACK_CELLS} cells of the data stack")
                return
            if consumes > function.consumes:
                function.consumes = consumes
                open_keys.update((caller, None) for caller, _, _ in function.callers)
        main = self._functions[outermost]
        for pc, depth in main.depths.items():
            needs = self._instructions[pc][1].needs
            if needs > depth:
                self._refuse(pc, f"needs {needs} cells of the data stack; {depth} are there")
        for pc, callees in main.calls.items():
            for callee in callees:
                needs, there = self._functions[callee].consumes, self._after(main, pc)
                if needs > there:
                    self._refuse(pc, f"the function at {callee.entry:#08x} needs {needs} cells; {there} are there")

    def _check_overflow(self, outermost: FunctionKey) -> tuple[int | None, int | None]:
        """Most cells of the data and the return stack that a run can need; None where calls recurse."""
        graph = {key: {c for callees in f.calls.values() for c in callees} for key, f in self._functions.items()}
        peaks = {key: self._own_peak(function) for key, function in self._functions.items()}
        for key, peak in peaks.items():
            if self._functions[key].consumes + peak > DATA_STACK_CELLS:
                self._refuse(key.entry, f"this function alone fills more than {DATA_STACK_CELLS} cells")
        try:
            callees_first = list(TopologicalSorter(graph).static_order())
        except CycleError:
            return None, None
        nesting: dict[FunctionKey, int] = {}
        for key in callees_first:
            function = self._functions[key]
            for pc, callees in function.calls.items():
                peaks[key] = max(peaks[key], *(self._after(function, pc) + peaks[callee] for callee in callees), 0)
            nesting[key] = max((1 + callee.frame + nesting[callee] for callee in graph[key]), default=0)
        data_cells, return_cells = peaks[outermost], outermost.frame + nesting[outermost]
        if data_cells > DATA_STACK_CELLS:
            self._refuse(None, f"a run can need {data_cells} cells of the data stack; it has {DATA_STACK_CELLS}")
        if return_cells > RETURN_STACK_CELLS:
            self._refuse(None, f"calls can need {return_cells} cells of the return stack; it has {RETURN_STACK_CELLS}")
        return data_cells, return_cells

    def _own_peak(self, function: Function) -> int:
        """Greatest depth that the function's own instructions reach, counted from its entry."""
        return max(max(depth, self._after(function, pc)) for pc, depth in function.depths.items())
