"""Where compiled code finds things inside a machine of the fast engine."""

from __future__ import annotations

import ctypes as c
from dataclasses import dataclass
from functools import cache

from ..fast import abi
from ..fast.compiler import FAST

EXTENT_BYTES = 32
EXTENT_ORIGIN, EXTENT_LOW, EXTENT_ADDRESS, EXTENT_SPANS = 0, 8, 12, 16
"""Members of `extent` in machine.h, which asserts these offsets."""
PATH_BYTES = 2 * EXTENT_BYTES
WINDOW_BYTES, WINDOW_LENGTH = 16, 8


@dataclass(frozen=True)
class Layout:
    """Byte offsets from the start of a machine, in the order of VAC_LAYOUT in machine.h."""

    cells: int
    paths: int
    windows: int
    history: int
    mispredictions: int
    epoch_end: int
    pc: int
    sp: int
    fp: int
    rp: int
    joins: int
    until: int
    beams_end: int
    remaining: int
    fold_epochs: int
    emit_cell: int
    read_register: int
    reach_read: int
    reach_write: int


@cache
def layout() -> Layout:
    """The layout of the library that is loaded. Raises EngineBuildError where it cannot be built."""
    library = abi.library(FAST)
    count = library.vac_layout(None, 0)
    offsets = (c.c_uint32 * count)()
    library.vac_layout(offsets, count)
    return Layout(*offsets)
