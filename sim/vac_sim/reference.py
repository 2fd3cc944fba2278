"""Reference machines for lockstep: engines that also give a record of every instruction they retire."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vac.golden.model import GoldenMachine
from vac.image.image import Image
from vac.isa.beam import Beam
from vac.machine.protocol import Machine

from .retired import pack_row, rows_from


class Reference(Machine, Protocol):
    """A machine that keeps RETIRED_DTYPE records."""

    def drain_retired(self) -> np.ndarray:
        """Records since the last call, oldest first."""
        ...


class RecordingGolden(GoldenMachine):
    """The golden model as a reference. About 60,000 instructions a second."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = bytearray()

    def load(self, image: Image) -> None:
        super().load(image)
        self._rows = bytearray()

    def drain_retired(self) -> np.ndarray:
        rows, self._rows = self._rows, bytearray()
        return rows_from(rows)

    def _retire(self, beam: Beam, next_pc: int) -> None:
        super()._retire(beam, next_pc)
        self._rows += pack_row(bytes(self._beams[-16:]), self._state)


def create_reference(name: str) -> Reference:
    """`golden` or `fast`. Raises ValueError for another name, BuildFailed where the C compiler refuses."""
    if name == "golden":
        return RecordingGolden()
    if name == "fast":
        from .fast_reference import RecordingFast

        return RecordingFast()
    raise ValueError(f"there is no reference {name!r}; choose golden or fast")
