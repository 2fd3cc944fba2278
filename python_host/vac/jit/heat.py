"""Where it pays to compile: samples of the pc, and the loop or function that each stands for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..isa.instruction import Unit
from ..isa.limits import CODE_ADDRESS_BITS
from .region import Code, FunctionKey, Region, find_region

_CALL_LENGTHS = (4, 5)


def _loop_around(region: Region, pc: int) -> int | None:
    """Head of the smallest loop around the pc that the region was searched from, by the span of its branch back."""
    best: tuple[int, int] | None = None
    for source, step in region.functions[region.root].steps.items():
        instruction, target = step.instruction, step.instruction.target
        if instruction.row.unit in (Unit.BRANCH, Unit.JUMP) and target is not None and target <= pc <= source:
            best = min(best or (source - target, target), (source - target, target))
    return best[1] if best else None


def _called_function(code: Code, link: int) -> int | None:
    """Entry of the function that this link returns from, where a call stands before the return address."""
    behind = link & (1 << CODE_ADDRESS_BITS) - 1
    for length in _CALL_LENGTHS:
        call = code.instruction(behind - length) if behind >= length else None
        if call and call.row.unit is Unit.CALL and call.next_pc == behind:
            return call.target
    return None


def entry_for(code: Code, pc: int, frame: int, link: int | None) -> FunctionKey | None:
    """Where code that holds pc is best entered: the head of its loop, else its function. None: nowhere.

    link: the cell that the frame returns through, None in the outermost frame.
    """
    loop = _loop_around(find_region(code, pc, frame), pc)
    if loop is not None:
        return FunctionKey(loop, frame)
    entry = _called_function(code, link) if link is not None else None
    return FunctionKey(entry, frame) if entry is not None else None


@dataclass
class Heat:
    """Samples by entry. `threshold` of them make an entry hot."""

    threshold: int
    samples: dict[FunctionKey, int] = field(default_factory=dict)
    _entries: dict[tuple[int, int], FunctionKey | None] = field(default_factory=dict)

    def entry(self, code: Code, pc: int, frame: int, link: int | None) -> FunctionKey | None:
        """As `entry_for`, remembered."""
        if (pc, frame) not in self._entries:
            self._entries[pc, frame] = entry_for(code, pc, frame, link)
        return self._entries[pc, frame]

    def warm(self, entry: FunctionKey) -> bool:
        """Counts a sample; True when it makes the entry hot."""
        self.samples[entry] = self.samples.get(entry, 0) + 1
        return self.samples[entry] >= self.threshold
