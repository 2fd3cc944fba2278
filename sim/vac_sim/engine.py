"""The `rtl` engine: the Verilated core behind the `Machine` protocol."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from vac.image.image import Image
from vac.isa.beam import BEAM_BYTES
from vac.isa.limits import LEAF_BITS, LEAF_BYTES
from vac.isa.state_map import (
    REGISTER_BASE,
    STACK_RAM_BASE,
    BeamControlBit,
    HostRegister,
    StopCode,
)
from vac.isa.traps import Trap
from vac.machine.host_port import SPANS, Segment, request_of, state_of, state_segments, window_segment
from vac.machine.protocol import Answer, Event, Leaf, MachineError, OutOfFrames, PageMiss, Stop, StopReason
from vac.machine.state import State, Status
from vac_hdl.config import SIMULATION, CoreConfig

from .model import RunResult, load_model
from .retired import RETIRED_DTYPE

_CHUNK_BEAMS = 1 << 16
_HANG_CYCLES = 1 << 20
"""More cycles than this without a stop or a retired instruction mean that the core hangs."""
_BUDGET_MAX = (1 << 32) - 1

_STATE_ADDRESSES = np.concatenate([np.arange(base, base + count, dtype=np.uint32) for base, count in SPANS])
_STATE_PARTS = list(pairwise(accumulate((count for _, count in SPANS), initial=0)))
"""Everything that a `State` is made of, and where each of its parts begins and ends in what is read."""


class CoreHung(MachineError):
    """The core neither stopped nor retired an instruction for a million cycles."""


@dataclass
class RtlOptions:
    """How the simulated surroundings behave. None of it may change a beam.

    config: the build of the core. keeps_beams: collect the beam stream for `drain_beams`. keeps_retired: collect
    the retire port's records for `drain_retired`. ready_256: beams are taken with this probability / 256. stall_256:
    the instruction bus stalls with this probability / 256. seed: of those probabilities. traced: a build that can write
    waveforms.
    """

    config: CoreConfig = SIMULATION
    keeps_beams: bool = True
    keeps_retired: bool = False
    ready_256: int = 256
    stall_256: int = 0
    seed: int = 1
    traced: bool = False


class RtlMachine:
    """The `Machine` protocol on the Verilated core.

    `cycles` counts clock cycles since construction. Raises ToolMissing or BuildFailed when the model cannot be built.
    """

    def __init__(self, options: RtlOptions | None = None, library: Any = None) -> None:
        """library: the C ABI of harness.h, where the core is clocked by someone else than the harness itself."""
        self.options = options or RtlOptions()
        self._library = library or load_model(self.options.config, self.options.traced)
        self._handle = ctypes.c_void_p(self._library.rtl_new(self.options.config.frame_bits))
        self._library.rtl_seed(self._handle, self.options.seed)
        self._library.rtl_stall(self._handle, self.options.stall_256)
        self.cycles = 0
        self._beams: list[bytes] = []
        self._retired: list[np.ndarray] = []
        self._status, self._trap = Status.RUNNING, Trap.NONE
        self._waiting = False
        self._beam_buffer = np.zeros((_CHUNK_BEAMS, BEAM_BYTES), np.uint8) if self.options.keeps_beams else None
        self._retired_buffer = np.zeros(_CHUNK_BEAMS, RETIRED_DTYPE) if self.options.keeps_retired else None
        control = BeamControlBit.SHIP_ALL if self.options.keeps_beams else 0
        self._write_register(HostRegister.BEAM_CONTROL, int(control))
        writes: list[tuple[int, int]] = []
        for entry in range(1 << self.options.config.tlb_bits):
            writes += [(REGISTER_BASE + HostRegister.TLB_LEAF, entry), (REGISTER_BASE + HostRegister.TLB_ENTRY, 0)]
        self._write_many(writes)

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            self._library.rtl_free(handle)

    # ---- the protocol ------------------------------------------------------------------------------------------

    def load(self, image: Image) -> None:
        image.check()
        self._library.rtl_drop_all(self._handle)
        labels = image.leaf_labels()
        for key, data in sorted(image.leaves().items()):
            self.install(*key, Leaf(data, labels.get(key, 0)))
        self.set_state(State.initial(image))
        self._beams, self._retired = [], []

    def run(self, until_tick: int) -> Stop:
        while True:
            if self._status is Status.HALTED:
                return Stop(StopReason.HALTED)
            if self._status is Status.TRAPPED:
                return Stop(StopReason.TRAPPED)
            tick = self.tick
            if tick >= until_tick:
                return Stop(StopReason.TICK)
            self._write_register(HostRegister.BUDGET, min(until_tick - tick, _BUDGET_MAX))
            result = self._run_once()
            code = StopCode(result.stop_code)
            if code is StopCode.HALTED:
                self._status = Status.HALTED
            elif code is StopCode.TRAPPED:
                self._status, self._trap = Status.TRAPPED, Trap(result.trap)
            elif code is StopCode.PAGE:
                return Stop(StopReason.PAGE_MISS, miss=PageMiss(result.fault_slot, result.fault_leaf))
            elif code is StopCode.EVENT:
                self._waiting = True
                return Stop(StopReason.EVENT, event=self._event(result))
            elif self.tick == tick:
                raise CoreHung(f"no instruction retired for {_HANG_CYCLES} cycles at pc {self._read_register(0):#x}")

    def answer(self, answer: Answer) -> None:
        if not self._waiting:
            raise MachineError("no event waits for an answer")
        self._waiting = False
        if answer.trap:
            self._status, self._trap = Status.TRAPPED, answer.trap
            return
        for slot, offset, data in answer.writes:
            self._poke(slot, offset, data)
        for index, window in answer.windows:
            window.check()
            self._write_segments([window_segment(index, window)])
        self._write_register(HostRegister.ANSWER_VALUE, answer.value & 0xFFFFFFFF)
        self._write_register(HostRegister.ANSWER_FLAGS, 1 | answer.refused << 1)
        self._write_register(HostRegister.BUDGET, 1)
        before = self.tick
        result = self._run_once()
        if self.tick != before + 1:
            raise MachineError(f"the waiting instruction did not retire: {StopCode(result.stop_code).name}")

    def state(self) -> State:
        words = self._read_many(_STATE_ADDRESSES)
        cells, labels, windows, registers = (words[start:end] for start, end in _STATE_PARTS)
        if not self.options.config.label_bits:
            labels = [0] * len(cells)
        return state_of(cells, labels, windows, registers, self._status, self._trap)

    def set_state(self, state: State) -> None:
        try:
            self._write_segments(state_segments(state, self.options.config.label_bits))
        except ValueError as error:
            raise MachineError(str(error)) from None
        self._status, self._trap, self._waiting = state.status, state.trap, False

    def leaves(self) -> list[tuple[int, int]]:
        keys = np.zeros(1 << self.options.config.frame_bits, np.uint64)
        count = self._library.rtl_resident(self._handle, keys.ctypes.data, len(keys))
        return sorted((int(key) >> 32, int(key) & 0xFFFFFFFF) for key in keys[:count])

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        if len(leaf.data) != LEAF_BYTES:
            raise MachineError(f"a leaf has {LEAF_BYTES} bytes, not {len(leaf.data)}")
        if not self._library.rtl_install(self._handle, slot, number, leaf.data, leaf.labels):
            raise OutOfFrames(f"all {1 << self.options.config.frame_bits} frames are taken")

    def evict(self, slot: int, number: int) -> Leaf:
        return self._take(self._library.rtl_evict, slot, number)

    def read_leaf(self, slot: int, number: int) -> Leaf:
        return self._take(self._library.rtl_peek, slot, number)

    def drain_beams(self) -> bytes:
        beams, self._beams = b"".join(self._beams), []
        return beams

    # ---- beyond the protocol -----------------------------------------------------------------------------------

    @property
    def tick(self) -> int:
        """Retired instructions."""
        return self._read_wide(HostRegister.TICK_LOW)

    def drain_retired(self) -> np.ndarray:
        """Records of RETIRED_DTYPE since the last call, oldest first. Needs `keeps_retired`."""
        retired, self._retired = self._retired, []
        return np.concatenate(retired) if retired else np.zeros(0, RETIRED_DTYPE)

    def idle(self, cycles: int) -> None:
        """Lets cycles pass while the core is stopped. They do not count in `cycles`."""
        self._library.rtl_idle(self._handle, cycles)

    def trace_to(self, path: Path, first: int, count: int) -> None:
        """Writes a waveform (VCD) while `count` instructions retire, `first` instructions from now. Needs `traced`."""
        if not self._library.rtl_trace(self._handle, str(path).encode(), first, first + count):
            raise MachineError("this build of the core has no tracing; ask for RtlOptions(traced=True)")

    def end_trace(self) -> None:
        """Closes the waveform that is being written, if any."""
        self._library.rtl_trace(self._handle, b"", 0, 0)

    # ---- access ------------------------------------------------------------------------------------------------

    def _read(self, address: int) -> int:
        return self._library.rtl_read(self._handle, address)

    def _write(self, address: int, value: int) -> None:
        self._library.rtl_write(self._handle, address, value)

    def _read_many(self, addresses: np.ndarray) -> list[int]:
        values = np.zeros(len(addresses), np.uint32)
        self._library.rtl_read_many(self._handle, addresses.ctypes.data, values.ctypes.data, len(addresses))
        return values.tolist()

    def _write_many(self, writes: list[tuple[int, int]]) -> None:
        words = np.array(writes, np.uint32).T.copy()
        self._library.rtl_write_many(self._handle, words[0].ctypes.data, words[1].ctypes.data, len(writes))

    def _read_register(self, register: int) -> int:
        return self._read(REGISTER_BASE + register)

    def _read_wide(self, low: HostRegister) -> int:
        return self._read_register(low) | self._read_register(low + 1) << 32

    def _write_register(self, register: int, value: int) -> None:
        self._write(REGISTER_BASE + register, value)

    def _write_segments(self, segments: list[Segment]) -> None:
        self._write_many([(first + index, word) for first, words in segments for index, word in enumerate(words)])

    def _take(self, function: Callable[..., int], slot: int, number: int) -> Leaf:
        data, labels = ctypes.create_string_buffer(LEAF_BYTES), ctypes.c_uint32()
        if not function(self._handle, slot, number, data, ctypes.byref(labels)):
            raise MachineError(f"leaf {number} of slot {slot} is not resident")
        return Leaf(data.raw, labels.value)

    def _poke(self, slot: int, offset: int, data: bytes) -> None:
        position = 0
        while position < len(data):
            number, start = (offset + position) >> LEAF_BITS, (offset + position) % LEAF_BYTES
            leaf = self.read_leaf(slot, number)
            part = data[position : position + LEAF_BYTES - start]
            changed = leaf.data[:start] + part + leaf.data[start + len(part) :]
            self.install(slot, number, Leaf(changed, leaf.labels))
            position += len(part)

    def _event(self, result: RunResult) -> Event:
        number = result.fault_slot
        kind, count = request_of(result.fault_leaf, number)
        sp = self._read_register(HostRegister.SP)
        arguments = tuple(self._read(STACK_RAM_BASE + index) for index in range(sp - count, sp))
        return Event(kind, number, arguments, self._read_register(HostRegister.PC), self.tick)

    def _run_once(self) -> RunResult:
        result = RunResult()
        beams, retired = self._beam_buffer, self._retired_buffer
        self._library.rtl_run(
            self._handle,
            _HANG_CYCLES,
            self.options.ready_256,
            beams.ctypes.data if beams is not None else None,
            len(beams) if beams is not None else 0,
            retired.ctypes.data if retired is not None else None,
            len(retired) if retired is not None else 0,
            ctypes.byref(result),
        )
        self.cycles += result.cycles
        if beams is not None:
            self._beams.append(beams[: result.beams].tobytes())
        if retired is not None:
            self._retired.append(retired[: result.retired].copy())
        return result
