"""Which branches decide over which instructions, from the code as it stands.

An instruction depends on a branch when one way out of it always leads to the instruction before the function ends, and
the branch itself can avoid it. Functions are taken one by one: calls are passed over, returns and `halt` end them. A
table jump can go to every target of the function table. In a loop without a way out, the last instruction counts as
one.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..image.control_flow import reached, successors
from ..image.decode import Decoded
from ..isa.instruction import Unit


class ControlDependence:
    """`classes`: number of the set of branches that an instruction depends on, by pc; 0 where only the call of its
    function decides. `first`, `count`: by the pc of a branch, where in `decided` the classes are that it decides
    over."""

    def __init__(self, code: bytes, starts: Iterable[int], table_targets: Iterable[int]) -> None:
        self._targets = sorted(set(table_targets))
        self._found = reached(code, [*starts, *self._targets])
        calls = {each.target for each in self._found.values() if each.row.unit is Unit.CALL and each.target is not None}
        depends: dict[int, set[int]] = {}
        for entry in {*starts, *self._targets, *calls}:
            for pc, branches in self._of_function(entry).items():
                depends.setdefault(pc, set()).update(branches)
        numbers: dict[frozenset[int], int] = {frozenset(): 0}
        self.classes: npt.NDArray[np.int64] = np.zeros(len(code) + 1, np.int64)
        for pc, branches in depends.items():
            self.classes[pc] = numbers.setdefault(frozenset(branches), len(numbers))
        decided: dict[int, list[int]] = {}
        for branches, number in numbers.items():
            for branch in branches:
                decided.setdefault(branch, []).append(number)
        self.first = np.zeros(len(code) + 1, np.int64)
        self.count = np.zeros(len(code) + 1, np.int64)
        flat: list[int] = []
        for pc, over in decided.items():
            self.first[pc], self.count[pc] = len(flat), len(over)
            flat += over
        self.decided = np.array(flat, np.int64)

    def _ways(self, instruction: Decoded) -> list[int]:
        ways = successors(instruction)
        if instruction.row.unit is Unit.TABLE_JUMP:
            ways += self._targets
        return sorted({pc for pc in ways if pc in self._found})

    def _of_function(self, entry: int) -> dict[int, set[int]]:
        """By pc, the branches that decide over it."""
        if entry not in self._found:
            return {}
        ways: dict[int, list[int]] = {}
        waiting = [entry]
        while waiting:
            pc = waiting.pop()
            if pc not in ways:
                ways[pc] = self._ways(self._found[pc])
                waiting += ways[pc]
        after = _always_after(ways)
        depends: dict[int, set[int]] = {}
        for branch, targets in ways.items():
            if len(targets) < 2:
                continue
            decided: set[int] = set()
            for target in targets:
                decided |= after[target]
            for pc in decided - (after[branch] - {branch}):
                depends.setdefault(pc, set()).add(branch)
        return depends


def _always_after(ways: dict[int, list[int]]) -> dict[int, set[int]]:
    """By pc, the instructions that every way from there to the end passes, itself included: its post-dominators."""
    order = _from_the_end(ways)
    bit = {pc: 1 << index for index, pc in enumerate(order)}
    everything = (1 << len(order)) - 1
    ends = {pc for pc, targets in ways.items() if not targets} | _ends_of_loops(ways)
    after = {pc: bit[pc] if pc in ends and not ways[pc] else everything for pc in order}
    is_settled = False
    while not is_settled:
        is_settled = True
        for pc in order:
            common = 0 if pc in ends else everything
            for target in ways[pc]:
                common &= after[target]
            found = bit[pc] | common
            if found != after[pc]:
                after[pc], is_settled = found, False
    pcs = dict(enumerate(order))
    return {pc: {pcs[index] for index in _bits(mask)} for pc, mask in after.items()}


def _bits(mask: int) -> list[int]:
    found: list[int] = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def _comes_from(ways: dict[int, list[int]]) -> dict[int, list[int]]:
    backwards: dict[int, list[int]] = {pc: [] for pc in ways}
    for pc, targets in ways.items():
        for target in targets:
            backwards[target].append(pc)
    return backwards


def _from_the_end(ways: dict[int, list[int]]) -> list[int]:
    """An order in which most instructions come behind those that follow them."""
    seen: set[int] = set()
    order: list[int] = []
    for start in ways:
        stack = [(start, iter(ways[start]))] if start not in seen else []
        seen.add(start)
        while stack:
            pc, rest = stack[-1]
            following = next((target for target in rest if target not in seen), None)
            if following is None:
                order.append(pc)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(ways[following])))
    return order


def _ends_of_loops(ways: dict[int, list[int]]) -> set[int]:
    """Instructions that count as ends, so that an end can be reached from everywhere."""
    backwards = _comes_from(ways)
    added: set[int] = set()
    reaching: set[int] = set()
    waiting = [pc for pc, targets in ways.items() if not targets]
    while True:
        while waiting:
            pc = waiting.pop()
            if pc not in reaching:
                reaching.add(pc)
                waiting += backwards[pc]
        lost = ways.keys() - reaching
        if not lost:
            return added
        added.add(max(lost))
        waiting = [max(lost)]
