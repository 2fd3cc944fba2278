"""The effects of the instructions of a program as columns, so that a whole span of beams is expanded at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..image.decode import decode
from ..isa.encoding import MAX_LENGTH
from .effects import NOWHERE, Effects, Flow, Role, Space, effects_of
from .last_writers import Numbers

_UNKNOWN = Effects((Flow(NOWHERE),))


@dataclass(frozen=True)
class EffectColumns:
    """By number of effects: `growth`, `link`, `first_flow`, `flows`. By flow: `space`, `index`, `size` of what is
    written, `made`, `step`, `first_origin`, `origins`, `pointer` (which of its origins is the pointer of the access, -1
    for none), `window` (register that the access goes through, -1 where the pointer names it). By origin: `from_space`,
    `from_index`, `from_size`, `role`."""

    growth: Numbers
    link: Numbers
    first_flow: Numbers
    flows: Numbers
    space: Numbers
    index: Numbers
    size: Numbers
    made: Numbers
    step: Numbers
    first_origin: Numbers
    origins: Numbers
    pointer: Numbers
    window: Numbers
    from_space: Numbers
    from_index: Numbers
    from_size: Numbers
    role: Numbers


class EffectTable:
    """Numbers effects in the order in which they turn up."""

    def __init__(self) -> None:
        self._numbers: dict[Effects, int] = {}
        self._by_word: dict[bytes, int] = {}
        self._columns: EffectColumns | None = None

    def number(self, effects: Effects) -> int:
        found = self._numbers.get(effects)
        if found is None:
            found = self._numbers[effects] = len(self._numbers)
            self._columns = None
        return found

    def effects(self, number: int) -> Effects:
        return list(self._numbers)[number]

    def numbers_at(self, pcs: npt.NDArray[np.uint32], code: bytes) -> npt.NDArray[np.int32]:
        """Numbers of the instructions at these addresses, as they stand in the code; what is no instruction there does
        nothing."""
        is_used = np.zeros(max(len(code), 1), bool)
        inside = pcs if not len(pcs) or int(pcs.max()) < len(code) else pcs[pcs < len(code)]
        is_used[inside] = True
        by_pc = np.full(max(len(code), int(pcs.max()) + 1 if len(pcs) else 1), self.number(_UNKNOWN), np.int32)
        for pc in np.flatnonzero(is_used).tolist():
            by_pc[pc] = self._at(code, pc)
        return by_pc[pcs]

    def _at(self, code: bytes, pc: int) -> int:
        text = code[pc : pc + MAX_LENGTH]
        found = self._by_word.get(text)
        if found is None:
            instruction = decode(text, 0, pc)
            found = self._by_word[text] = self.number(effects_of(instruction) if instruction else _UNKNOWN)
        return found

    def columns(self) -> EffectColumns:
        if self._columns is None:
            self._columns = _columns(list(self._numbers))
        return self._columns


def _columns(table: list[Effects]) -> EffectColumns:
    flows = [flow for effects in table for flow in effects.flows]
    origins = [origin for flow in flows for origin in flow.origins]

    def column(values: list[int]) -> Numbers:
        return np.array(values, np.int64)

    def first(counts: list[int]) -> Numbers:
        return np.cumsum([0, *counts], dtype=np.int64)[:-1]

    flow_counts = [len(effects.flows) for effects in table]
    origin_counts = [len(flow.origins) for flow in flows]
    return EffectColumns(
        growth=column([effects.growth for effects in table]),
        link=column([effects.link for effects in table]),
        first_flow=first(flow_counts),
        flows=column(flow_counts),
        space=column([flow.target.space for flow in flows]),
        index=column([flow.target.index for flow in flows]),
        size=column([flow.target.size for flow in flows]),
        made=column([flow.made for flow in flows]),
        step=column([flow.step for flow in flows]),
        first_origin=first(origin_counts),
        origins=column(origin_counts),
        pointer=column([_pointer_of(flow) for flow in flows]),
        window=column([_window_of(flow) for flow in flows]),
        from_space=column([origin.place.space for origin in origins]),
        from_index=column([origin.place.index for origin in origins]),
        from_size=column([origin.place.size for origin in origins]),
        role=column([origin.role for origin in origins]),
    )


def _pointer_of(flow: Flow) -> int:
    """The first address that is a cell is the pointer; what follows is an index."""
    if all(origin.place.space is not Space.POINTED_WINDOW for origin in flow.origins):
        return -1
    return next(index for index, origin in enumerate(flow.origins) if origin.role is Role.ADDRESS)


def _window_of(flow: Flow) -> int:
    is_access = Space.MEMORY in (flow.target.space, *(origin.place.space for origin in flow.origins))
    windows = [origin.place.index for origin in flow.origins if origin.place.space is Space.WINDOW]
    return windows[0] if is_access and windows else -1
