"""The record of one retired instruction that lockstep compares, in memory as `Retired` of harness.h."""

from __future__ import annotations

import struct

import numpy as np

from vac.isa.beam import BEAM_BYTES
from vac.machine.state import State

RETIRED_DTYPE = np.dtype(
    [
        ("beam", np.uint8, BEAM_BYTES),
        ("digest", np.uint64),
        ("next_pc", np.uint32),
        ("coherence", np.uint16),
        ("entropy", np.uint16),
        ("drift", np.uint16),
        ("mispredictions", np.uint16),
        ("history", np.uint16),
        ("sp", np.uint8),
        ("rp", np.uint8),
        ("fp", np.uint8),
        ("reserved", np.uint8, 3),
    ],
    align=True,
)
"""beam: the 16-byte record. The others are the registers of these names after the instruction."""

_ROW = struct.Struct("<16sQI5H3B7x")
assert _ROW.size == RETIRED_DTYPE.itemsize


def pack_row(beam: bytes, state: State) -> bytes:
    """The record of an instruction that left this beam and this state behind."""
    sqi = state.sqi
    return _ROW.pack(
        beam, state.digest or 0, state.pc, sqi.coherence, sqi.entropy, sqi.drift, sqi.mispredictions, sqi.history,
        state.sp, state.rp, state.fp,
    )  # fmt: skip


def rows_from(content: bytes | bytearray) -> np.ndarray:
    """Packed records as an array of RETIRED_DTYPE."""
    return np.frombuffer(bytes(content), RETIRED_DTYPE)
