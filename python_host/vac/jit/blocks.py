"""Basic blocks of a function, and where its ticks are checked.

A block's ticks are charged at its head. Heads of loops check that the longest way to the next check still fits, so
that nothing else has to: a loop costs one comparison a round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from ..isa.instruction import Unit
from .region import Function, Region, Step


@dataclass
class Block:
    """Steps in a row. `follower`: pc where control falls to behind them; None where the last step decides."""

    start: int
    steps: list[Step] = field(default_factory=list)
    follower: int | None = None

    @property
    def last(self) -> Step:
        return self.steps[-1]

    @property
    def ticks(self) -> int:
        """Instructions that retire when the block runs to its end."""
        return len(self.steps)


class Blocks:
    """The blocks of one function of a region."""

    def __init__(self, region: Region, function: Function) -> None:
        self._region = region
        self.function = function
        self.by_start: dict[int, Block] = {}
        leaders = self._leaders()
        for start in sorted(leaders):
            self.by_start[start] = self._block(start, leaders)

    def is_left(self, step: Step) -> bool:
        """True where the interpreter takes over before this step."""
        return step.is_left or (step.instruction.row.unit is Unit.CALL and self._region.callee(step) is None)

    def depth_after(self, step: Step) -> int:
        """Depth behind a step, a call's callee included."""
        callee = self._region.callee(step)
        return step.after + (callee.net or 0 if callee else 0)

    def is_inside(self, pc: int, depth: int) -> bool:
        """True where control that arrives at pc with this depth stays in the compiled code."""
        step = self.function.steps.get(pc)
        return step is not None and step.depth == depth

    def _leaders(self) -> set[int]:
        found = {self.function.key.entry}
        for step in self.function.steps.values():
            instruction, unit = step.instruction, step.instruction.row.unit
            if self.is_left(step):
                continue
            if unit in (Unit.BRANCH, Unit.JUMP) and instruction.target is not None:
                found.add(instruction.target)
            if unit in (Unit.BRANCH, Unit.CALL):
                found.add(instruction.next_pc)
        return {pc for pc in found if pc in self.function.steps}

    def _block(self, start: int, leaders: set[int]) -> Block:
        block = Block(start)
        pc = start
        while True:
            step = self.function.steps[pc]
            if self.is_left(step):
                block.follower = pc
                return block
            block.steps.append(step)
            unit, pc = step.instruction.row.unit, step.instruction.next_pc
            if unit in (Unit.BRANCH, Unit.JUMP, Unit.CALL, Unit.RETURN):
                return block
            if pc in leaders or not self.is_inside(pc, step.after):
                block.follower = pc
                return block

    def is_way(self, pc: int, depth: int) -> bool:
        """True where control that arrives at pc with this depth goes on in a block."""
        return pc in self.by_start and self.is_inside(pc, depth)

    def successors(self, block: Block) -> list[int]:
        """Starts of the blocks that control can go to next, without leaving the compiled code."""
        if not block.steps:
            return []
        step = block.last
        instruction, unit = step.instruction, step.instruction.row.unit
        if block.follower is not None:
            ways = [block.follower]
        elif unit is Unit.RETURN:
            ways = []
        else:
            ways = [] if unit is Unit.JUMP else [instruction.next_pc]
            if unit in (Unit.BRANCH, Unit.JUMP) and instruction.target is not None:
                ways.append(instruction.target)
        depth = self.depth_after(step)
        return [pc for pc in ways if self.is_way(pc, depth)]

    @cached_property
    def reached(self) -> dict[int, set[int]]:
        """Starts of the blocks that control can come to, each with the blocks whose edges lead back there in a loop."""
        found: dict[int, set[int]] = {self.function.key.entry: set()}
        on_way: set[int] = set()
        stack: list[tuple[int, list[int]]] = []

        def enter(start: int) -> None:
            on_way.add(start)
            stack.append((start, self.successors(self.by_start[start])))

        enter(self.function.key.entry)
        while stack:
            start, ways = stack[-1]
            if not ways:
                on_way.remove(start)
                stack.pop()
                continue
            way = ways.pop()
            if way in on_way:
                found[way].add(start)
            elif way not in found:
                found[way] = set()
                enter(way)
        return found

    @cached_property
    def heads(self) -> set[int]:
        """Starts of the blocks that check the ticks: the entry, heads of loops, and what follows a call."""
        found = {start for start, sources in self.reached.items() if sources}
        for start in self.reached:
            block = self.by_start[start]
            if block.steps and block.last.instruction.row.unit is Unit.CALL:
                found |= set(self.successors(block))
        return found | {self.function.key.entry}

    @cached_property
    def longest(self) -> dict[int, int]:
        """Ticks of the longest way from each head to the next check, by start."""
        heads = self.heads
        known: dict[int, int] = {}

        def measure(root: int) -> None:
            order = [root]
            while order:
                start = order[-1]
                inner = [way for way in self.successors(self.by_start[start]) if way not in heads]
                missing = [way for way in inner if way not in known]
                if missing:
                    order += missing
                    continue
                known[start] = self.by_start[start].ticks + max((known[way] for way in inner), default=0)
                order.pop()

        for head in sorted(heads):
            measure(head)
        return {head: known[head] for head in heads}
