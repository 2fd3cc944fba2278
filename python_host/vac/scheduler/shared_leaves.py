"""RAM that two processes see: leaves of machines pass through it, so that pipes carry commands only.

It has no name in any file system: nothing is left of it when the processes that hold it are gone, however they ended.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence

from ..isa.limits import LEAF_BYTES
from ..machine.protocol import Leaf

SHARED_LEAVES = 256
"""Leaves that fit at a time."""
_LABEL_BYTES = 2
_DATA_BYTES = SHARED_LEAVES * LEAF_BYTES
SHARED_BYTES = _DATA_BYTES + SHARED_LEAVES * _LABEL_BYTES


def new_file() -> int:
    """Descriptor of a fresh area, of SHARED_BYTES zeros. Raises OSError."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("vac-leaves", os.MFD_CLOEXEC)
    else:
        descriptor, path = tempfile.mkstemp(prefix="vac-leaves-")
        os.unlink(path)
    os.ftruncate(descriptor, SHARED_BYTES)
    return descriptor


class SharedLeaves:
    """An area in this process. descriptor: of `new_file`, here or inherited; it stays open.

    First the leaves' data, then their label sets as u16, little-endian. Who writes and who reads when is agreed upon
    over the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, SHARED_BYTES)

    def put(self, leaves: Sequence[Leaf]) -> None:
        """Leaves from the start on, SHARED_LEAVES at most."""
        memory = self._memory
        for index, leaf in enumerate(leaves):
            memory[index * LEAF_BYTES : (index + 1) * LEAF_BYTES] = leaf.data
            place = _DATA_BYTES + index * _LABEL_BYTES
            memory[place : place + _LABEL_BYTES] = leaf.labels.to_bytes(_LABEL_BYTES, "little")

    def take(self, count: int) -> list[Leaf]:
        """Copies of so many leaves from the start on."""
        memory = self._memory
        labels = memory[_DATA_BYTES : _DATA_BYTES + count * _LABEL_BYTES]
        return [
            Leaf(
                memory[index * LEAF_BYTES : (index + 1) * LEAF_BYTES],
                int.from_bytes(labels[index * _LABEL_BYTES : (index + 1) * _LABEL_BYTES], "little"),
            )
            for index in range(count)
        ]

    def put_bytes(self, data: bytes) -> bool:
        """Any bytes from the start on; False, and nothing done, where they do not fit."""
        if len(data) > SHARED_BYTES:
            return False
        self._memory[: len(data)] = data
        return True

    def take_bytes(self, count: int) -> bytes:
        """A copy of so many bytes from the start on."""
        return self._memory[:count]

    def close(self) -> None:
        """Lets go of the area."""
        self._memory.close()
