"""Exact cells, by running a recorded run again: a beam does not say which shard slot it touched, or which cell of the
stacks it wrote."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..golden.model import GoldenMachine
from ..host.input_log import InputLog
from ..host.session import Host
from ..image.image import Image, Window
from ..isa.beam import BEAM_BYTES
from ..isa.instruction import Instruction, Unit
from ..machine.protocol import Answer, Event, StopReason
from .cell import IS_SITE, SPACE_OF_OPCODE, Space, cell
from .errors import BadQuery
from .record import BEAM

_SLICE = 1 << 14
_NOWHERE = -1


class CellTracer(GoldenMachine):
    """The golden model, which also notes the cell of each beam; `drain_cells` gives those of the beams drained."""

    def __init__(self) -> None:
        super().__init__()
        self._slot = _NOWHERE
        self._cells: list[tuple[int, int]] = []

    def _translate(self, window: Window, displacement: int, size: int, permission: int) -> int:
        address = super()._translate(window, displacement, size, permission)
        self._slot = window.slot
        return address

    def _step(self, word: int, answer: Answer | None) -> Event | None:
        row: Instruction = self._decode(word)
        operands = self._read_operands(row, word)
        target = self._destination(row, word, operands.sp).cell
        self._slot = _NOWHERE
        event = super()._step(word, answer)
        if event is None:
            is_memory = row.unit in (Unit.LOAD, Unit.STORE)
            self._cells.append((self._slot if is_memory else _NOWHERE, _NOWHERE if target is None else target))
        return event

    def drain_cells(self) -> list[tuple[int, int]]:
        """For each beam since the last call: the slot that it touched and the cell of the stack RAM that it wrote,
        -1 for none."""
        cells, self._cells = self._cells, []
        return cells


def trace_cells(
    image: Image, log: InputLog, beams: bytes, progress: Callable[[int, int], None] | None = None
) -> npt.NDArray[np.uint64]:
    """Cell of each of a run's beams, from its first tick on. Some 50,000 beams a second.

    Raises BadQuery where the image and the log give other beams, ReplayError where the log is of another run.
    """
    machine = CellTracer()
    host = Host(machine, image, replay=log)
    count = len(beams) // BEAM_BYTES
    cells = np.empty(count, np.uint64)
    done = 0
    while done < count:
        stop = host.run(min(done + _SLICE, count))
        found = machine.drain_beams()
        own = beams[done * BEAM_BYTES : done * BEAM_BYTES + len(found)]
        if found != own:
            at = next(at for at, (one, other) in enumerate(zip(found, own, strict=False)) if one != other)
            raise BadQuery(f"tick {done + at // BEAM_BYTES}: the image and its input log give another beam")
        fresh = len(found) // BEAM_BYTES
        cells[done : done + fresh] = _cells(own, machine.drain_cells())
        done += fresh
        if progress:
            progress(done, count)
        if stop.reason is not StopReason.TICK and done < count:
            raise BadQuery(f"the run of this image ends at tick {done}; there are {count} beams")
    return cells


def _cells(beams: bytes, noted: list[tuple[int, int]]) -> npt.NDArray[np.uint64]:
    rows = np.frombuffer(beams, BEAM)
    slots, targets = np.array(noted, np.int64).reshape(-1, 2).T
    opcode: npt.NDArray[np.uint8] = np.ascontiguousarray(rows["opcode"])
    cells = SPACE_OF_OPCODE[opcode] | np.where(IS_SITE[opcode], rows["pc"], rows["aux"])
    memory = slots != _NOWHERE
    cells[memory] = slots[memory].astype(np.uint64) << np.uint64(32) | rows["aux"][memory]
    stack = IS_SITE[opcode] & (targets != _NOWHERE)
    cells[stack] = np.uint64(cell(Space.STACK, 0)) | targets[stack].astype(np.uint64)
    return cells
