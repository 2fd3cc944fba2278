"""Where it pays to compile: samples of the pc, and the loop or function that each stands for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..isa.instruction import Unit
from ..isa.limits import CODE_ADDRESS_BITS
from .region import Code, FunctionKey, Region, find_region

_CALL_LENGTHS = (4, 5)
_MOST_LOOPS = 4


@dataclass(frozen=True)
class Entry:
    """Where compiled code is entered. end: the region ends there, None where it goes as far as control does.

    is_outermost: the head of an outermost loop, whose unchanging locals are likely to be the same at the next entry.
    """

    key: FunctionKey
    end: int | None = None
    is_outermost: bool = False


def _loops_around(region: Region, pc: int) -> list[tuple[int, int]]:
    """Heads and ends of the loops around the pc that the region was searched from, the smallest first.

    A loop counts as what lies between its head and a branch back to it.
    """
    ends: dict[int, int] = {}
    for source, step in region.functions[region.root].steps.items():
        instruction, target = step.instruction, step.instruction.target
        if instruction.row.unit in (Unit.BRANCH, Unit.JUMP) and target is not None and target <= pc <= source:
            ends[target] = max(ends.get(target, 0), instruction.next_pc)
    return sorted(ends.items(), key=lambda loop: loop[1] - loop[0])


def _called_function(code: Code, link: int) -> int | None:
    """Entry of the function that this link returns from, where a call stands before the return address."""
    behind = link & (1 << CODE_ADDRESS_BITS) - 1
    for length in _CALL_LENGTHS:
        call = code.instruction(behind - length) if behind >= length else None
        if call and call.row.unit is Unit.CALL and call.next_pc == behind:
            return call.target
    return None


def entries_for(code: Code, pc: int, frame: int, link: int | None) -> tuple[Entry, ...]:
    """Where code that holds pc is entered: at the heads of its loops, the innermost first, else where its function is.

    The outermost loop's region has all that is inside; those of the inner loops are there to get on until control comes
    to its head. link: the cell that the frame returns through, None in the outermost frame.
    """
    loops = _loops_around(find_region(code, pc, frame), pc)
    if loops:
        inner = [Entry(FunctionKey(head, frame), end) for head, end in loops[:-1][:_MOST_LOOPS]]
        return (*inner, Entry(FunctionKey(loops[-1][0], frame), None, True))
    entry = _called_function(code, link) if link is not None else None
    return (Entry(FunctionKey(entry, frame)),) if entry is not None else ()


@dataclass
class Heat:
    """Samples by innermost entry. `threshold` of them make it hot."""

    threshold: int
    samples: dict[FunctionKey, int] = field(default_factory=dict)
    _entries: dict[tuple[int, int], tuple[Entry, ...]] = field(default_factory=dict)

    def entries(self, code: Code, pc: int, frame: int, link: int | None) -> tuple[Entry, ...]:
        """As `entries_for`, remembered."""
        if (pc, frame) not in self._entries:
            self._entries[pc, frame] = entries_for(code, pc, frame, link)
        return self._entries[pc, frame]

    def warm(self, entry: FunctionKey) -> bool:
        """Counts a sample; True when it makes the entry hot."""
        self.samples[entry] = self.samples.get(entry, 0) + 1
        return self.samples[entry] >= self.threshold
