"""State root: one hash over registers, stacks and memory.

Two machines have the same root exactly when they go on alike, on whatever engine and with whatever leaves resident. The
beam digest is no part of it: an engine that made no beams does not know it, and `beam_tree` commits to the beams.
"""

from __future__ import annotations

import struct

from ..isa.limits import DATA_STACK_CELLS
from ..machine.protocol import Leaf, Machine
from ..machine.state import State
from .hashing import Domain, hash_of
from .memory_tree import MemoryTree

_REGISTERS = struct.Struct("<IQBBBBBI?QQI4I3IHI")
_WINDOW = struct.Struct("<QIBB")


def registers_hash(state: State) -> bytes:
    """Hash of everything in the state but stack cells and their labels. Raises struct.error on impossible values."""
    sqi = state.sqi
    fixed = _REGISTERS.pack(
        state.pc, state.tick, state.status, state.trap, state.sp, state.rp, state.fp, state.code_length,
        state.has_labels, state.cone_in, state.cone_out, state.joins, sqi.coherence, sqi.entropy, sqi.drift, sqi.score,
        sqi.mispredictions, sqi.distance, sqi.refusals, sqi.history, sqi.last_emit,
    )  # fmt: skip
    windows = (_WINDOW.pack(window.base, window.length, window.slot, window.permissions) for window in state.windows)
    return hash_of(Domain.REGISTERS, fixed, *windows)


def stacks_hash(state: State) -> bytes:
    """Hash of the live data stack and of the whole return stack, with labels."""
    cells = state.cells[: state.sp] + state.cells[DATA_STACK_CELLS:]
    labels = state.labels[: state.sp] + state.labels[DATA_STACK_CELLS:]
    packed = struct.pack(f"<{len(cells)}I", *cells), struct.pack(f"<{len(labels)}H", *labels)
    return hash_of(Domain.STACKS, bytes([state.sp]), *packed)


def state_root(state: State, memory_root: bytes) -> bytes:
    """32 bytes that name the state, given `MemoryTree.root` of its whole memory."""
    return hash_of(Domain.STATE_ROOT, registers_hash(state), stacks_hash(state), memory_root)


class StateCommitment:
    """State roots of one machine again and again, each at the cost of what changed.

    Where the engine knows which leaves changed (`dirty_leaves` and `mark_clean`, as the fast engine does) only those
    are read; of other engines all resident leaves are. Leaves that the host keeps elsewhere are handed in by `put`, at
    the latest when they are evicted.
    """

    def __init__(self) -> None:
        self._memory = MemoryTree()

    def put(self, slot: int, number: int, leaf: Leaf) -> None:
        """A leaf that is not resident has these contents. Raises ValueError when no such leaf can exist."""
        self._memory.put(slot, number, leaf)

    def take(self, machine: Machine) -> bytes:
        """State root of the machine as it stands."""
        dirty = getattr(machine, "dirty_leaves", None)
        keys: list[tuple[int, int]] = dirty() if dirty else machine.leaves()
        self._memory.put_all((key, machine.read_leaf(*key)) for key in keys)
        if dirty:
            machine.mark_clean()  # pyright: ignore[reportAttributeAccessIssue]
        return state_root(machine.state(), self._memory.root())
