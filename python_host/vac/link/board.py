"""The `board` engine: a core behind the host link, on an FPGA or simulated, as a `Machine`."""

from __future__ import annotations

from dataclasses import dataclass

from vac.image.image import Image
from vac.isa.limits import DATA_STACK_CELLS, ISA_VERSION, LEAF_BITS, LEAF_BYTES
from vac.isa.link import LinkStatus
from vac.isa.state_map import (
    FRAME_RAM_BASE,
    REGISTER_BASE,
    STACK_RAM_BASE,
    TLB_LABELS_SHIFT,
    BeamControlBit,
    FaultKind,
    HostRegister,
    StopCode,
    TlbEntryBit,
)
from vac.isa.traps import Trap
from vac.machine.host_port import SPANS, Segment, request_of, state_of, state_segments, window_segment
from vac.machine.protocol import Answer, Event, Leaf, MachineError, OutOfFrames, PageMiss, Stop, StopReason
from vac.machine.state import State, Status

from .session import LinkError, LinkSession

_LEAF_WORDS = LEAF_BYTES // 4
_BUDGET_MAX = (1 << 32) - 1
_HALT_POLLS = 100
_MOST_FRAME_BITS, _MOST_TLB_BITS = 16, 12
"""What a core can be built with: more is no core's."""
_MOST_RENEWED = 64
"""More stops than this without a retired instruction mean that the core hangs: one needs a few translations at most."""


@dataclass(frozen=True)
class Identity:
    """What the board says of itself. label_bits: width of its labels, 0 where it has none."""

    isa_version: int
    frames: int
    tlb_entries: int
    label_bits: int


@dataclass
class _Resident:
    """frame: where the leaf lies. data: its bytes while it is unchanged, then None: only the board has them."""

    frame: int
    labels: int
    data: bytes | None


@dataclass(frozen=True)
class _Stopped:
    """Registers that say why the core stopped and where."""

    code: StopCode
    trap: Trap
    fault: FaultKind
    slot: int
    number: int
    labels: int
    pc: int
    tick: int
    sp: int


class Board:
    """One core behind a link session. Stops the core; what it was doing stays until `load` or `set_state`.

    keeps_beams: ship every beam, so that `drain_beams` has them. Raises LinkError from every method where the link
    fails, and MachineError as `Machine` says. Writes are collected and travel with the next request that needs them.
    """

    def __init__(self, session: LinkSession, keeps_beams: bool = True) -> None:
        self._session = session
        self._keeps_beams = keeps_beams
        self._writes: list[Segment] = []
        self._beams: list[bytes] = []
        self._resident: dict[tuple[int, int], _Resident] = {}
        self._status, self._trap = Status.RUNNING, Trap.NONE
        self._waiting = False
        self._answered = False
        self.identity = self.identify(session)
        session.drop_beams()  # of whatever ran before
        self._free = list(reversed(range(self.identity.frames)))
        for entry in range(self.identity.tlb_entries):
            self._set(HostRegister.TLB_LEAF, entry)
            self._set(HostRegister.TLB_ENTRY, 0)
        self._set(HostRegister.BEAM_CONTROL, int(BeamControlBit.SHIP_ALL if keeps_beams else 0))
        self._tick = self._long(HostRegister.TICK_LOW)

    # ---- the protocol ------------------------------------------------------------------------------------------

    def load(self, image: Image) -> None:
        image.check()
        for key in list(self._resident):
            self._drop(key)
        labels = image.leaf_labels()
        for key, data in sorted(image.leaves().items()):
            self.install(*key, Leaf(data, labels.get(key, 0)))
        self.set_state(State.initial(image))
        self._take_beams()
        self._beams = []

    def run(self, until_tick: int) -> Stop:
        renewed = 0
        while True:
            if self._status is not Status.RUNNING:
                return Stop(StopReason.HALTED if self._status is Status.HALTED else StopReason.TRAPPED)
            if self._tick >= until_tick and not self._answered:
                return Stop(StopReason.TICK)
            before = self._tick
            stopped = self._run(until_tick)
            renewed = renewed + 1 if self._tick == before else 0
            if renewed > _MOST_RENEWED:
                raise MachineError(
                    f"the core does not get on at pc {stopped.pc:#x}: {stopped.code.name} again and again"
                )
            if stopped.code is StopCode.PAGE and not self._settle_fault(stopped):
                return Stop(StopReason.PAGE_MISS, miss=PageMiss(stopped.slot, stopped.number))
            if stopped.code is StopCode.EVENT:
                self._waiting = True
                return Stop(StopReason.EVENT, event=self._event(stopped))

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
            self._writes.append(window_segment(index, window))
        self._set(HostRegister.ANSWER_VALUE, answer.value & 0xFFFFFFFF)
        self._set(HostRegister.ANSWER_FLAGS, 1 | answer.refused << 1)
        self._answered = True  # the next run retires the instruction, and goes on from there

    def state(self) -> State:
        self._retire_answered()
        cells, labels, windows, registers = (self._read(address, count) for address, count in SPANS)
        if not self.identity.label_bits:
            labels = [0] * len(cells)
        return state_of(cells, labels, windows, registers, self._status, self._trap)

    def set_state(self, state: State) -> None:
        try:
            self._writes += state_segments(state, self.identity.label_bits)
        except ValueError as error:
            raise MachineError(str(error)) from None
        self._status, self._trap = state.status, state.trap
        self._waiting = self._answered = False
        self._tick = state.tick

    def leaves(self) -> list[tuple[int, int]]:
        return sorted(self._resident)

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        if len(leaf.data) != LEAF_BYTES:
            raise MachineError(f"a leaf has {LEAF_BYTES} bytes, not {len(leaf.data)}")
        key = (slot, number)
        resident = self._resident.get(key)
        if resident is None:
            if not self._free:
                raise OutOfFrames(f"all {self.identity.frames} frames are taken")
            resident = self._resident[key] = _Resident(self._free.pop(), 0, None)
        else:
            self._forget(key)
        if resident.data != leaf.data:
            words = memoryview(leaf.data).cast("I")
            self._writes.append((FRAME_RAM_BASE + resident.frame * _LEAF_WORDS, words))
        resident.data, resident.labels = bytes(leaf.data), leaf.labels
        self._translate(key)

    def evict(self, slot: int, number: int) -> Leaf:
        leaf = self.read_leaf(slot, number)
        self._drop((slot, number))
        return leaf

    def read_leaf(self, slot: int, number: int) -> Leaf:
        resident = self._resident.get((slot, number))
        if resident is None:
            raise MachineError(f"leaf {number} of slot {slot} is not resident")
        self._retire_answered()
        if resident.data is not None:
            return Leaf(resident.data, resident.labels)
        words = self._read(FRAME_RAM_BASE + resident.frame * _LEAF_WORDS, _LEAF_WORDS)
        return Leaf(b"".join(word.to_bytes(4, "little") for word in words), resident.labels)

    def drain_beams(self) -> bytes:
        if not self._keeps_beams:
            raise MachineError("beams were not kept; ask for them when the machine is made")
        self._retire_answered()
        beams, self._beams = b"".join(self._beams), []
        return beams

    # ---- beyond the protocol -----------------------------------------------------------------------------------

    @staticmethod
    def identify(session: LinkSession) -> Identity:
        """Stops the core before its next instruction, and asks the board what it is.

        Raises LinkError where it does not stop, or has another instruction set.
        """
        session.halt()
        for _ in range(_HALT_POLLS):
            if LinkStatus.STOPPED in session.status:
                break
            session.drop_beams()  # a core that is held back by a full buffer cannot stop
            session.poll()
        else:
            raise LinkError("the core does not stop; configure the board again")
        identity = session.read(REGISTER_BASE + HostRegister.IDENTITY, 1)[0]
        version, frame_bits, tlb_bits, label_bits = identity.to_bytes(4, "little")
        if version != ISA_VERSION:
            raise LinkError(f"the board has instruction set {version}, this host {ISA_VERSION}: build and flash again")
        if frame_bits > _MOST_FRAME_BITS or tlb_bits > _MOST_TLB_BITS:
            raise LinkError(f"the board says that it has 2^{frame_bits} frames and 2^{tlb_bits} TLB entries: too many")
        return Identity(version, 1 << frame_bits, 1 << tlb_bits, label_bits)

    def leave(self) -> None:
        """Sends everything and makes every leaf writable, for a core that goes on without this host."""
        for key, resident in self._resident.items():
            resident.data = None
            self._translate(key)
        self.flush()

    def flush(self) -> None:
        """Sends what is to be written."""
        writes, self._writes = self._writes, []
        self._session.write(writes)

    # ---- running -----------------------------------------------------------------------------------------------

    def _run(self, until_tick: int) -> _Stopped:
        self._set(HostRegister.BUDGET, max(1, min(until_tick - self._tick, _BUDGET_MAX)))
        writes, self._writes = self._writes, []
        self._session.run(writes)
        while LinkStatus.STOPPED not in self._session.status or LinkStatus.BEAMS_WAIT in self._session.status:
            if self._keeps_beams:
                self._take_beams()
            else:
                self._session.poll()
        stopped = self._why()
        if stopped.tick > self._tick:
            self._answered = False
        self._tick = stopped.tick
        if stopped.code is StopCode.HALTED:
            self._status = Status.HALTED
        elif stopped.code is StopCode.TRAPPED:
            self._status, self._trap = Status.TRAPPED, stopped.trap
            self._answered = False
        return stopped

    def _why(self) -> _Stopped:
        spans = (HostRegister.PC, 4), (HostRegister.STOP, 3), (HostRegister.FAULT_LABELS, 1)
        words = self._session.read_spans([(REGISTER_BASE + register, count) for register, count in spans])
        pc, low, high, sp, stop, slot, number, labels = words
        code, trap, fault, _ = stop.to_bytes(4, "little")
        try:
            cause = Trap(trap) if code == StopCode.TRAPPED else Trap.NONE
            return _Stopped(StopCode(code), cause, FaultKind(fault & 3), slot, number, labels, pc, low | high << 32, sp)
        except ValueError as error:
            raise LinkError(f"the board stopped for something that this host does not know: {error}") from error

    def _event(self, stopped: _Stopped) -> Event:
        try:
            kind, count = request_of(stopped.number, stopped.slot)
        except LookupError as error:
            raise LinkError(f"the board waits for an answer to an instruction that asks nothing: {error}") from error
        if not count <= stopped.sp <= DATA_STACK_CELLS:
            raise LinkError(f"the board waits with {stopped.sp} cells on the data stack, {count} of them arguments")
        arguments = self._read(STACK_RAM_BASE + stopped.sp - count, count)
        return Event(kind, stopped.slot, tuple(arguments), stopped.pc, stopped.tick)

    def _retire_answered(self) -> None:
        """What an answer promised: the waiting instruction retires."""
        while self._answered:
            stopped = self._run(self._tick + 1)
            if self._answered and not (stopped.code is StopCode.PAGE and self._settle_fault(stopped)):
                raise MachineError(f"the waiting instruction did not retire: {stopped.code.name}")

    def _take_beams(self) -> None:
        self._beams += [shipped.record for shipped in self._session.beams()]

    # ---- memory ------------------------------------------------------------------------------------------------

    def _settle_fault(self, stopped: _Stopped) -> bool:
        """Renews a resident leaf's translation; False where the leaf is not there."""
        key = (stopped.slot, stopped.number)
        resident = self._resident.get(key)
        if resident is None:
            return False
        if stopped.fault is FaultKind.READ_ONLY:
            resident.data = None
        elif stopped.fault is FaultKind.LABELS:
            resident.labels |= stopped.labels
            self._forget(key)  # no window may go on with the smaller label set
        self._translate(key)
        return True

    def _translate(self, key: tuple[int, int]) -> None:
        resident = self._resident[key]
        bits = TlbEntryBit.VALID if resident.data is not None else TlbEntryBit.VALID | TlbEntryBit.WRITABLE
        self._set(HostRegister.TLB_FRAME, resident.frame)
        self._set(HostRegister.TLB_LEAF, key[1] | key[0] << 24)
        self._set(HostRegister.TLB_ENTRY, int(bits) | resident.labels << TLB_LABELS_SHIFT)

    def _forget(self, key: tuple[int, int]) -> None:
        self._set(HostRegister.TLB_LEAF, key[1] | key[0] << 24)
        self._set(HostRegister.TLB_ENTRY, 0)

    def _drop(self, key: tuple[int, int]) -> None:
        self._forget(key)
        self._free.append(self._resident.pop(key).frame)

    def _poke(self, slot: int, offset: int, data: bytes) -> None:
        """An answer's bytes, in whole words of their leaves."""
        while data:
            number, start = offset >> LEAF_BITS, offset % LEAF_BYTES
            part, data = data[: LEAF_BYTES - start], data[LEAF_BYTES - start :]
            offset += len(part)
            resident = self._resident.get((slot, number))
            if resident is None:
                raise MachineError(f"leaf {number} of slot {slot} is not resident")
            first, last = start // 4, (start + len(part) - 1) // 4
            base = FRAME_RAM_BASE + resident.frame * _LEAF_WORDS
            content = bytearray()
            if resident.data is not None:
                content += resident.data[4 * first : 4 * last + 4]
            elif start % 4 or (start + len(part)) % 4:
                for word in self._read(base + first, last - first + 1):
                    content += word.to_bytes(4, "little")
            else:
                content += bytes(len(part))
            content[start - 4 * first : start - 4 * first + len(part)] = part
            self._writes.append((base + first, memoryview(bytes(content)).cast("I")))
            if resident.data is not None:
                before = resident.data
                resident.data = before[: 4 * first] + bytes(content) + before[4 * last + 4 :]

    # ---- access ------------------------------------------------------------------------------------------------

    def _set(self, register: HostRegister, value: int) -> None:
        self._writes.append((REGISTER_BASE + register, (value,)))

    def _long(self, low: HostRegister) -> int:
        words = self._read(REGISTER_BASE + low, 2)
        return words[0] | words[1] << 32

    def _read(self, address: int, count: int) -> list[int]:
        if self._writes:
            self.flush()
        return self._session.read(address, count) if count else []
