"""What is compiled at once: a piece of a program that is entered at one instruction, and the functions that it calls.

Control is followed from there as the verifier follows it: every instruction is decoded, and the depth of the data
stack is known before each, counted from the entry. Where that cannot be shown (code that is not resident, illegal
bytes, two depths at one place) the region ends: the interpreter goes on there. So the code need not be verified as a
whole, which a machine whose code comes leaf by leaf could not be, and nothing rests on what was verified elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..image.decode import Decoded, decode
from ..image.stack_effect import StackEffect, stack_effect
from ..isa.encoding import MAX_LENGTH, FieldKind
from ..isa.instruction import Unit
from ..isa.limits import DATA_STACK_CELLS, LEAF_BITS, LEAF_BYTES

MOST_INSTRUCTIONS = 1200
"""Of a region with all its functions."""

_INTERPRETED = frozenset(
    {Unit.DEVICE_IN, Unit.DEVICE_OUT, Unit.SYSTEM_CALL, Unit.HALT, Unit.WINDOW_NARROW, Unit.WINDOW_RESTRICT,
     Unit.TABLE_CALL, Unit.TABLE_JUMP}
)  # fmt: skip
"""Units whose instructions are left to the interpreter."""


class Code:
    """A code segment as it is in memory now. read_leaf: the leaf of this number, None where it is not resident."""

    def __init__(self, length: int, read_leaf: Callable[[int], bytes | None]) -> None:
        self.length = length
        self._read_leaf = read_leaf
        self._leaves: dict[int, bytes | None] = {}

    def leaf(self, number: int) -> bytes | None:
        if number not in self._leaves:
            self._leaves[number] = self._read_leaf(number)
        return self._leaves[number]

    def instruction(self, pc: int) -> Decoded | None:
        """The legal instruction at pc, as far as its bytes are resident."""
        found = bytearray()
        for address in range(pc, min(pc + MAX_LENGTH, self.length)):
            leaf = self.leaf(address >> LEAF_BITS)
            if leaf is None:
                break
            found.append(leaf[address % LEAF_BYTES])
        return decode(bytes(found), 0, pc)


@dataclass(frozen=True)
class Step:
    """An instruction in its place. depth: cells of the data stack before it, counted from the function's entry.

    is_left: it is left to the interpreter, which takes over before it.
    """

    instruction: Decoded
    effect: StackEffect
    depth: int
    is_left: bool

    @property
    def after(self) -> int:
        """Depth behind it; behind a call, before the callee has left anything."""
        return self.depth + self.effect.net


@dataclass(frozen=True, order=True)
class FunctionKey:
    entry: int
    frame: int


@dataclass
class Function:
    """A function, or the region's own part of one. net: cells that its returns leave, None while none is known.

    needs: cells that must be there when it is entered. peak: most cells there can be above those.
    """

    key: FunctionKey
    steps: dict[int, Step] = field(default_factory=dict)
    net: int | None = None
    returns_differ: bool = False
    callers: list[tuple[FunctionKey, int, int]] = field(default_factory=list)
    """Calling function, pc behind the call, depth there before this function has left anything."""
    needs: int = 0
    peak: int = 0


@dataclass
class Region:
    """root: the part that is entered from outside. functions: it and those that it calls.

    constants: values that locals of the root are taken to have when it is entered; where they have others the code does
    nothing.
    """

    root: FunctionKey
    functions: dict[FunctionKey, Function]
    constants: dict[int, int] = field(default_factory=dict)

    @property
    def instructions(self) -> int:
        return sum(len(function.steps) for function in self.functions.values())

    @property
    def leaves(self) -> list[int]:
        """Leaves of code that the region was made from, sorted."""
        found: set[int] = set()
        for function in self.functions.values():
            for pc, step in function.steps.items():
                found |= {pc >> LEAF_BITS, (pc + step.instruction.row.length - 1) >> LEAF_BITS}
        return sorted(found)

    def callee(self, step: Step) -> Function | None:
        """The function that a call goes to, None where the call is left to the interpreter."""
        row = step.instruction.row
        target, frame = step.instruction.target, row.field(FieldKind.FRAME)
        if row.unit is not Unit.CALL or target is None or frame is None:
            return None
        found = self.functions.get(FunctionKey(target, step.instruction.operand(frame)))
        return None if found is None or found.returns_differ or not found.steps else found


def find_region(code: Code, entry: int, frame: int, end: int | None = None, most: int = MOST_INSTRUCTIONS) -> Region:
    """Everything that control reaches from `entry` in a frame of so many locals, as far as `most` instructions go.

    end: the region's own part, but not the functions that it calls, lies between entry and here: a loop by itself.
    """
    return _Search(code, FunctionKey(entry, frame), end, most).run()


class _Search:
    def __init__(self, code: Code, root: FunctionKey, end: int | None, most: int) -> None:
        self._code = code
        self._root = root
        self._end = end
        self._most = most
        self._functions = {root: Function(root)}
        self._open: deque[tuple[FunctionKey, int, int]] = deque([(root, root.entry, 0)])
        self._count = 0

    def run(self) -> Region:
        while self._open:
            self._follow(*self._open.popleft())
        for function in self._functions.values():
            for step in function.steps.values():
                function.needs = max(function.needs, step.effect.needs - step.depth)
                function.peak = max(function.peak, step.depth, step.after)
        return Region(self._root, self._functions)

    def _follow(self, key: FunctionKey, pc: int, depth: int) -> None:
        function = self._functions[key]
        if pc in function.steps:  # with another depth, the region ends on the way there
            return
        if self._count >= self._most or abs(depth) > DATA_STACK_CELLS:
            return
        if self._end is not None and key == self._root and not self._root.entry <= pc < self._end:
            return
        instruction = self._code.instruction(pc)
        if instruction is None:
            return
        effect = stack_effect(instruction)
        unit = instruction.row.unit
        is_left = unit in _INTERPRETED or effect.highest_local >= key.frame
        step = Step(instruction, effect, depth, is_left)
        function.steps[pc] = step
        self._count += 1
        if is_left:
            return
        if unit is Unit.RETURN:
            self._return(function, step)
        elif unit is Unit.CALL:
            self._call(function, step)
        else:
            if unit in (Unit.BRANCH, Unit.JUMP) and instruction.target is not None:
                self._open.append((key, instruction.target, step.after))
            if not unit.ends_block:
                self._open.append((key, instruction.next_pc, step.after))

    def _call(self, function: Function, step: Step) -> None:
        frame = step.instruction.row.field(FieldKind.FRAME)
        target = step.instruction.target
        assert frame and target is not None
        key = FunctionKey(target, step.instruction.operand(frame))
        callee = self._functions.get(key)
        if not callee:
            callee = self._functions[key] = Function(key)
            self._open.append((key, key.entry, 0))
        callee.callers.append((function.key, step.instruction.next_pc, step.after))
        if callee.net is not None:
            self._open.append((function.key, step.instruction.next_pc, step.after + callee.net))

    def _return(self, function: Function, step: Step) -> None:
        if function.net is None:
            function.net = step.after
            self._open.extend((caller, behind, after + step.after) for caller, behind, after in function.callers)
        elif function.net != step.after:
            function.returns_differ = True
