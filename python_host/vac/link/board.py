"""A core on a board: loading an image, running it, reading its state."""

from __future__ import annotations

from dataclasses import dataclass

from vac.image.image import Image
from vac.isa.beam import Beam
from vac.isa.limits import ISA_VERSION, LEAF_BYTES, STACK_RAM_CELLS
from vac.isa.link import LinkStatus
from vac.isa.state_map import (
    FRAME_RAM_BASE,
    REGISTER_BASE,
    STACK_RAM_BASE,
    WINDOW_BASE,
    BeamControlBit,
    FaultKind,
    HostRegister,
    StopCode,
    TlbEntryBit,
)
from vac.isa.traps import Trap
from vac.machine.state import State

from .session import LinkError, LinkSession

_LEAF_WORDS = LEAF_BYTES // 4


@dataclass(frozen=True, slots=True)
class BoardStop:
    """Why the core stopped.

    trap: NONE unless it trapped. slot, number: of a page fault the shard slot and leaf, of an event its number and
    opcode.
    """

    code: StopCode
    trap: Trap
    slot: int
    number: int


class Board:
    """One core behind a link session. Raises LinkError where it does not fit this host or the program.

    Attributes: frames: 4 KiB frames it has. label_bits: width of its labels. beams: taken so far.
    """

    def __init__(self, session: LinkSession) -> None:
        self._session = session
        self.halt()
        identity = self.register(HostRegister.IDENTITY)
        version, frame_bits, self._tlb_bits, self.label_bits = identity.to_bytes(4, "little")
        if version != ISA_VERSION:
            raise LinkError(f"the board has instruction set {version}, this host {ISA_VERSION}: build and flash again")
        self.frames = 1 << frame_bits
        self.beams: list[Beam] = []
        self._frame_of: dict[tuple[int, int], int] = {}

    def load(self, image: Image) -> None:
        """Puts an image's leaves into frames and the core into the state before its first tick."""
        image.check()
        leaves = sorted(image.leaves().items())
        if len(leaves) > self.frames:
            raise LinkError(f"the image has {len(leaves)} leaves of 4 KiB; the board has {self.frames} frames")
        state = State.initial(image)
        if state.has_labels and not self.label_bits:
            raise LinkError("the image declares labels, and this build of the core has none")
        self._frame_of = {}
        for frame, (key, content) in enumerate(leaves):
            words = memoryview(content.ljust(LEAF_BYTES, b"\0")).cast("I")
            self._session.write(FRAME_RAM_BASE + frame * _LEAF_WORDS, words)
            self._frame_of[key] = frame
        self._forget_translations()
        for key in self._frame_of:
            self._translate(key)
        self._set_state(state)
        self.beams = []

    def run(self, ticks: int) -> BoardStop:
        """Lets up to `ticks` instructions (below 2**32) retire, collecting beams; renews lost translations."""
        self._write_register(HostRegister.BUDGET, ticks)
        while True:
            self._session.start()
            while LinkStatus.STOPPED not in self._session.status or LinkStatus.BEAMS_WAIT in self._session.status:
                self.beams += [shipped.beam for shipped in self._session.beams()]
            stop = self._stop()
            resident = (stop.slot, stop.number) in self._frame_of
            if stop.code is not StopCode.PAGE or not resident:
                return stop
            self._translate((stop.slot, stop.number))

    def halt(self) -> None:
        """Stops the core."""
        self._session.halt()
        for _ in range(100):
            if LinkStatus.STOPPED in self._session.status:
                return
            self._session.beams()  # a core that is held back by a full buffer cannot stop
        raise LinkError("the core does not stop; configure the board again")

    def register(self, register: HostRegister) -> int:
        return self._session.read(REGISTER_BASE + register, 1)[0]

    def registers(self) -> dict[HostRegister, int]:
        """All registers of the host port."""
        words = self._session.read(REGISTER_BASE, len(HostRegister))
        return {register: words[register] for register in HostRegister}

    def cells(self) -> list[int]:
        """The stack RAM."""
        return self._session.read(STACK_RAM_BASE, STACK_RAM_CELLS)

    def read_leaf(self, slot: int, number: int) -> bytes:
        """4096 bytes of a resident leaf; KeyError where it is not resident."""
        words = self._session.read(FRAME_RAM_BASE + self._frame_of[slot, number] * _LEAF_WORDS, _LEAF_WORDS)
        return b"".join(word.to_bytes(4, "little") for word in words)

    def _stop(self) -> BoardStop:
        words = self._session.read(REGISTER_BASE + HostRegister.STOP, 3)
        code, trap, fault, _ = words[0].to_bytes(4, "little")
        cause = Trap(trap) if code == StopCode.TRAPPED else Trap.NONE
        stop = BoardStop(StopCode(code), cause, words[1], words[2])
        if stop.code is StopCode.PAGE and FaultKind(fault) is FaultKind.LABELS:
            raise LinkError("a store brought labels to a leaf; labels over the link are not supported")
        return stop

    def _forget_translations(self) -> None:
        pairs: list[tuple[int, int]] = []
        for entry in range(1 << self._tlb_bits):
            pairs += [(REGISTER_BASE + HostRegister.TLB_LEAF, entry), (REGISTER_BASE + HostRegister.TLB_ENTRY, 0)]
        self._session.write_each(pairs)

    def _translate(self, key: tuple[int, int]) -> None:
        slot, number = key
        self._session.write_each(
            (REGISTER_BASE + register, value)
            for register, value in (
                (HostRegister.TLB_FRAME, self._frame_of[key]),
                (HostRegister.TLB_LEAF, number | slot << 24),
                (HostRegister.TLB_ENTRY, int(TlbEntryBit.VALID | TlbEntryBit.WRITABLE)),
            )
        )

    def _write_register(self, register: HostRegister, value: int) -> None:
        self._session.write(REGISTER_BASE + register, (value,))

    def _set_state(self, state: State) -> None:
        sqi = state.sqi
        registers = {
            HostRegister.PC: state.pc,
            HostRegister.SP: state.sp,
            HostRegister.RP: state.rp,
            HostRegister.FP: state.fp,
            HostRegister.CODE_LENGTH: state.code_length,
            HostRegister.FLAGS: int(state.has_labels),
            HostRegister.COHERENCE: sqi.coherence,
            HostRegister.ENTROPY: sqi.entropy,
            HostRegister.DRIFT: sqi.drift,
            HostRegister.MISPREDICTIONS: sqi.mispredictions,
            HostRegister.DISTANCE: sqi.distance,
            HostRegister.REFUSALS: sqi.refusals,
            HostRegister.HISTORY: sqi.history,
            HostRegister.LAST_EMIT: sqi.last_emit,
            HostRegister.JOINS: state.joins,
            HostRegister.ANSWER_FLAGS: 0,
            HostRegister.BEAM_CONTROL: int(BeamControlBit.SHIP_ALL),
        }
        for low, value in (
            (HostRegister.TICK_LOW, state.tick),
            (HostRegister.CONE_IN_LOW, state.cone_in),
            (HostRegister.CONE_OUT_LOW, state.cone_out),
            (HostRegister.DIGEST_LOW, state.digest or 0),
        ):
            registers[low] = value & 0xFFFFFFFF
            registers[HostRegister(low + 1)] = value >> 32
        self._session.write_each((REGISTER_BASE + register, value) for register, value in registers.items())
        self._session.write(STACK_RAM_BASE, state.cells)
        words: list[int] = []
        for window in state.windows:
            words += [window.base, window.length, window.permissions | window.slot << 8, 0]
        self._session.write(WINDOW_BASE, words)
