"""Assembler of the microprogram: lines with labels become words at addresses.

Lines that do the same and go on the same way become one. A conditional line needs its two successors at a pair of
neighbouring addresses. As every line names its successor itself, one that belongs to several pairs is simply placed
several times.

What a line takes as `Prepared` the lines before it prepare; they cannot go on to lines that want different things. And
none can go on to one that reads the cell that it writes, for that is not written yet.
"""

from dataclasses import dataclass, replace
from typing import Any

from .micro_op import MICRO_ADDRESS_BITS, Action, Condition, MicroOp, Prepared, Read, Write

_ELSEWHERE = (Condition.DISPATCH, Condition.RETURN)
"""Conditions whose line has no successor of its own."""


@dataclass
class _Line:
    operation: MicroOp
    condition: Condition
    goto: str | None
    """Successor; of a conditional line, where the condition does not hold. None: the next line."""
    taken: str | None
    link: str | None
    """Label that is this line's constant."""


class Microprogram:
    """Lines in the order written; `labels` name some. Those labelled "idle" and "boot" come to addresses 0 and 1."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self.labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Names the next line."""
        if name in self.labels:
            raise ValueError(f"label {name} stands twice")
        self.labels[name] = len(self._lines)

    def op(
        self,
        *,
        when: Condition = Condition.NEVER,
        then: str | None = None,
        goto: str | None = None,
        link: str | None = None,
        **fields: Any,
    ) -> None:
        """A line. Goes to `then` when the condition holds, else to `goto`, or on. link: sets where RETURN goes. Other
        arguments: as of MicroOp."""
        if link:
            fields["action"] = Action.LINK
        if (when not in (Condition.NEVER, *_ELSEWHERE)) != (then is not None):
            raise ValueError("a condition needs a place to go to, and only a condition has one")
        self._lines.append(_Line(MicroOp(**fields), when, goto, then, link))

    def assemble(self, entries: set[str]) -> tuple[list[int], dict[str, int]]:
        """Words from address 0 on, and the addresses of the entries, labels that are reached from outside.

        What is not reached from an entry is left out.

        Raises ValueError for a label that does not exist and a program that does not fit.
        """
        pairs: dict[tuple[int, int], int] = {}
        places: dict[int, int] = {}
        placed: list[int | None] = []

        def place_pair(pair: tuple[int, int]) -> None:
            if pair not in pairs:
                pairs[pair] = len(placed)
                for number in pair:
                    places.setdefault(number, len(placed))
                    placed.append(number)

        same = self._merged()
        links = {same[self._index(line.link)] for line in self._lines if line.link is not None}
        starts = {same[self._index(name)] for name in entries}
        reached = self._reached({self._index(name) for name in entries} | {self._index("idle")}, same)
        idle = self.labels["idle"]
        place_pair((idle, self.labels["boot"]))
        for index, line in enumerate(self._lines):
            if line.taken is not None and index in reached:
                place_pair((same[self._successor(index)], same[self._index(line.taken)]))
        for index in range(len(self._lines)):
            if index in reached and index not in places:
                places[index] = len(placed)
                placed.append(index)
        if len(placed) > 1 << MICRO_ADDRESS_BITS:
            raise ValueError(f"the microprogram has {len(placed)} words")
        words: list[int] = []
        for number in placed:
            assert number is not None
            line = self._lines[number]
            if line.taken is not None:
                following = pairs[same[self._successor(number)], same[self._index(line.taken)]]
            elif line.condition in _ELSEWHERE:
                following = 0
            else:
                following = places[same[self._successor(number)]]
            operation = line.operation
            if line.link is not None:
                operation = replace(operation, constant=places[same[self._index(line.link)]])
            behind = self._behind(number, same, links, starts)
            try:
                words.append(operation.word(line.condition, following, self._prepares(line, behind)))
                self._check_reads(operation, behind)
            except ValueError as error:
                raise ValueError(f"line {number}, {line}: {error}") from None
        return words, {name: places[same[self._index(name)]] for name in entries}

    def _behind(self, number: int, same: list[int], links: set[int], starts: set[int]) -> list[_Line]:
        """All lines that a line can go on to. starts: where DISPATCH may go."""
        line = self._lines[number]
        if line.condition is Condition.RETURN:
            numbers = links
        elif line.condition is Condition.DISPATCH:
            numbers = starts
        else:
            numbers = {same[self._successor(number)]}
            if line.taken is not None:
                numbers.add(same[self._index(line.taken)])
        return [self._lines[other] for other in sorted(numbers)]

    @staticmethod
    def _prepares(line: _Line, behind: list[_Line]) -> Prepared:
        needs = {other.operation.needs for other in behind} - {None}
        if line.condition is Condition.DISPATCH:
            needs = needs - {Prepared.PC} | {Prepared.FIRST}
        elif Prepared.FIRST in needs:
            raise ValueError("only DISPATCH leads to a line that takes FIRST")
        if len(needs) > 1:
            names = " and ".join(sorted(need.name for need in needs if need))
            raise ValueError(f"the lines behind it want {names}; one can be prepared")
        return next((need for need in needs if need), Prepared.PC)

    @staticmethod
    def _check_reads(operation: MicroOp, behind: list[_Line]) -> None:
        """Raises ValueError where a line behind reads what this one writes, or may do so."""
        for other in behind:
            read = other.operation
            if operation.write is Write.FIXED:
                collides = read.read is Read.FIXED and read.read_cell == operation.write_cell
            elif operation.write is Write.NONE:
                collides = False
            else:  # a reading that is for the address's sake does not count
                collides = read.action is not Action.KEEP_ADDRESS and read.read in (
                    Read.A, Read.B, Read.WINDOW, Read.LINK,
                )  # fmt: skip
            if collides:
                raise ValueError(f"the line behind it, {other}, reads what it writes, a cycle too early")

    def _reached(self, entries: set[int], same: list[int]) -> set[int]:
        """Lines that stand for themselves and that a run from the entries can come to."""
        reached: set[int] = set()
        waiting = [same[index] for index in entries]
        while waiting:
            index = waiting.pop()
            if index in reached:
                continue
            reached.add(index)
            line = self._lines[index]
            waiting += [same[self._index(name)] for name in (line.taken, line.link) if name is not None]
            if line.condition not in _ELSEWHERE:
                waiting.append(same[self._successor(index)])
        return reached

    def _merged(self) -> list[int]:
        """For each line the first one that does the same and goes on the same way."""
        same = list(range(len(self._lines)))
        while True:
            seen: dict[object, int] = {}
            merged: list[int] = []
            for index, line in enumerate(self._lines):
                following = None if line.condition in _ELSEWHERE else same[self._successor(index)]
                taken = None if line.taken is None else same[self._index(line.taken)]
                link = None if line.link is None else same[self._index(line.link)]
                merged.append(seen.setdefault((line.operation, line.condition, following, taken, link), index))
            if merged == same:
                return same
            same = merged

    def _index(self, label: str) -> int:
        if label not in self.labels:
            raise ValueError(f"there is no label {label}")
        return self.labels[label]

    def _successor(self, index: int) -> int:
        goto = self._lines[index].goto
        return index + 1 if goto is None else self._index(goto)
