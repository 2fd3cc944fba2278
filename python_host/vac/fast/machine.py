"""The `Machine` protocol over the fast engine's library."""

from __future__ import annotations

import ctypes as c
import struct
import weakref
from collections.abc import Callable
from enum import Enum

from ..image.image import Image, Window
from ..isa.beam import BEAM_BYTES
from ..isa.limits import LEAF_BITS, LEAF_BYTES, SLOT_BITS, STACK_RAM_CELLS
from ..isa.sqi import Sqi
from ..isa.traps import Trap
from ..machine.protocol import Answer, Event, EventKind, Leaf, MachineError, PageMiss, Stop, StopReason
from ..machine.state import State, Status
from . import abi
from .compiler import FAST, Flavour

_EVENT_KINDS = (EventKind.DEVICE_IN, EventKind.DEVICE_OUT, EventKind.SYSTEM_CALL)
_FIRST_ROOM = 1 << 14
"""Beams that fit without growing."""
_LASTING_ROOM = 1 << 18
"""A larger buffer is given back once it is drained."""
_LAST_TICK = (1 << 64) - 1
_WINDOWS = struct.Struct("<QIBBxx")
"""As `abi.CWindow`."""
assert _WINDOWS.size == c.sizeof(abi.CWindow)
_NO_WINDOW = Window()
_PLAIN_STOPS = {
    abi.STOP_TICK: StopReason.TICK,
    abi.STOP_HALTED: StopReason.HALTED,
    abi.STOP_TRAPPED: StopReason.TRAPPED,
}


class Trace(Enum):
    """What a machine makes of the instructions that it retires."""

    NOTHING = "nothing"
    """Fastest. The digest is unknown: `state().digest` is None."""
    DIGEST = "digest"
    """Beams are made, digested and dropped."""
    BEAMS = "beams"
    """Beams are kept until they are drained."""


class FastMachine:
    """One machine of the fast engine, exact to the golden model in everything that its `trace` lets it know.

    Not for use by two threads at a time. Raises EngineBuildError when the engine cannot be built here.
    """

    def __init__(self, trace: Trace = Trace.BEAMS, flavour: Flavour = FAST) -> None:
        self.trace = trace
        self._library = abi.library(flavour)
        handle = self._library.vac_new(int(trace is not Trace.NOTHING))
        if not handle:
            raise MachineError("no memory for another machine")
        self._handle = handle
        self._finalizer = weakref.finalize(self, self._library.vac_free, handle)
        self._room = _FIRST_ROOM if trace is Trace.BEAMS else 0
        self._buffer = (c.c_char * (BEAM_BYTES * self._room))()
        self._held = 0
        self._count = c.c_size_t()
        self._stop = abi.CStop()

    @property
    def raw(self) -> tuple[c.CDLL, int]:
        """The library and the machine's handle, for C that drives it. They last as long as this object."""
        return self._library, self._handle

    # ---- the protocol ------------------------------------------------------------------------------------------

    def load(self, image: Image) -> None:
        image.check()
        self._library.vac_clear_memory(self._handle)
        self._set_state(State.initial(image), self.trace is not Trace.NOTHING)
        labels = image.leaf_labels()
        for key, data in image.leaves().items():
            self.install(*key, Leaf(data, labels.get(key, 0)))
        self._held = 0

    def run(self, until_tick: int) -> Stop:
        until = max(0, min(until_tick, _LAST_TICK))
        stop, count = self._stop, self._count
        while True:
            place, room = None, self._room - self._held
            if self.trace is Trace.BEAMS:
                place = c.addressof(self._buffer) + BEAM_BYTES * self._held
            error = self._library.vac_run(self._handle, until, place, room, c.byref(count), c.byref(stop))
            if error:
                raise MachineError("no memory for the run's beams")
            self._held += count.value
            if stop.reason != abi.STOP_BUFFER:
                return self._stop_from(stop)
            self._grow()

    def answer(self, answer: Answer) -> None:
        if not self._library.vac_is_waiting(self._handle):
            raise MachineError("no event waits for an answer")
        beam, retired = (c.c_char * BEAM_BYTES)(), c.c_uint32()
        if not answer.trap:
            for slot, offset, data in answer.writes:
                if self._library.vac_write(self._handle, slot, offset, data, len(data)):
                    self.set_state(self.state())  # the event is forgotten, as after any answer
                    raise MachineError(f"a leaf of slot {slot} that the answer writes to is not resident")
            for index, window in answer.windows:
                window.check()
                granted = abi.CWindow(window.base, window.length, window.slot, window.permissions, 0)
                if self._library.vac_grant(self._handle, index, c.byref(granted)):
                    raise MachineError(f"window {index} does not exist")
        value, refused, trap = answer.value & 0xFFFFFFFF, int(answer.refused), int(answer.trap)
        self._library.vac_answer(self._handle, value, refused, trap, beam, c.byref(retired))
        if retired.value and self.trace is Trace.BEAMS:
            if self._held == self._room:
                self._grow()
            c.memmove(c.addressof(self._buffer) + BEAM_BYTES * self._held, beam, BEAM_BYTES)
            self._held += 1

    def state(self) -> State:
        raw = abi.CState()
        self._library.vac_get_state(self._handle, c.byref(raw))
        return _state_from(raw)

    def set_state(self, state: State) -> None:
        self._set_state(state, state.digest is not None)

    def leaves(self) -> list[tuple[int, int]]:
        return self._listed(self._library.vac_leaves)

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        if len(leaf.data) != LEAF_BYTES:
            raise MachineError(f"a leaf has {LEAF_BYTES} bytes, not {len(leaf.data)}")
        error = self._library.vac_install(self._handle, slot, number, leaf.data, leaf.labels)
        if error:
            raise MachineError(
                f"no memory for leaf {number} of slot {slot}"
                if error == abi.ERROR_MEMORY
                else f"leaf {number} of slot {slot} cannot exist"
            )

    def evict(self, slot: int, number: int) -> Leaf:
        leaf = self.read_leaf(slot, number)
        self._library.vac_evict(self._handle, slot, number)
        return leaf

    def read_leaf(self, slot: int, number: int) -> Leaf:
        data, labels = (c.c_char * LEAF_BYTES)(), c.c_uint16()
        is_possible = 0 <= slot < 1 << SLOT_BITS and 0 <= number < 1 << (32 - LEAF_BITS)
        if not is_possible or self._library.vac_read_leaf(self._handle, slot, number, data, c.byref(labels)):
            raise MachineError(f"leaf {number} of slot {slot} is not resident")
        return Leaf(data.raw, labels.value)

    def drain_beams(self) -> bytes:
        """As the protocol; raises MachineError unless the machine keeps its beams."""
        beams: list[bytes] = []
        self.drain_beams_into(lambda view: beams.append(bytes(view)))
        return beams[0]

    # ---- beyond the protocol -----------------------------------------------------------------------------------

    def drain_beams_into(self, consume: Callable[[memoryview], object]) -> None:
        """As `drain_beams`, without a copy: `consume` is called once with the bytes, which are its own only until it
        returns. When it raises, the beams are still there. Raises MachineError unless the machine keeps its beams."""
        if self.trace is not Trace.BEAMS:
            raise MachineError(f"this machine keeps no beams (trace: {self.trace.value}); ask for Trace.BEAMS")
        consume(memoryview(self._buffer).cast("B")[: self._held * BEAM_BYTES].toreadonly())
        self._held = 0
        if self._room > _LASTING_ROOM:
            self._room = _FIRST_ROOM
            self._buffer = (c.c_char * (BEAM_BYTES * self._room))()

    def dirty_leaves(self) -> list[tuple[int, int]]:
        """(slot, leaf) of every leaf that was installed or stored to since the last `mark_clean`, sorted."""
        return self._listed(self._library.vac_dirty_leaves)

    def read_dirty(self) -> list[tuple[tuple[int, int], Leaf]]:
        """The `dirty_leaves` with what they hold, all read at once."""
        count = self._library.vac_dirty_leaves(self._handle, None, 0)
        if not count:
            return []
        keys, labels, data = (c.c_uint64 * count)(), (c.c_uint16 * count)(), (c.c_char * (LEAF_BYTES * count))()
        self._library.vac_read_dirty(self._handle, keys, data, labels, count)
        content = data.raw
        return [
            ((key >> 32, key & 0xFFFFFFFF), Leaf(content[LEAF_BYTES * index : LEAF_BYTES * (index + 1)], label))
            for index, (key, label) in enumerate(zip(keys, labels, strict=True))
        ]

    def mark_clean(self) -> None:
        """Counts the changes of memory anew from here."""
        self._library.vac_clean(self._handle)

    # ---- inside ------------------------------------------------------------------------------------------------

    def _grow(self) -> None:
        grown = (c.c_char * (2 * BEAM_BYTES * self._room))()
        c.memmove(grown, self._buffer, BEAM_BYTES * self._held)
        self._buffer, self._room = grown, 2 * self._room

    def _listed(self, function: Callable[..., int]) -> list[tuple[int, int]]:
        count = function(self._handle, None, 0)
        found = (c.c_uint64 * max(count, 1))()
        function(self._handle, found, count)
        return [(key >> 32, key & 0xFFFFFFFF) for key in found[:count]]

    def _stop_from(self, stop: abi.CStop) -> Stop:
        if stop.reason == abi.STOP_PAGE_MISS:
            return Stop(StopReason.PAGE_MISS, miss=PageMiss(stop.slot, stop.leaf))
        if stop.reason == abi.STOP_EVENT:
            kind, arguments = _EVENT_KINDS[stop.event_kind], tuple(stop.arguments[: stop.argument_count])
            event = Event(kind, stop.event_number, arguments, stop.pc, stop.tick)
            return Stop(StopReason.EVENT, event=event)
        return Stop(_PLAIN_STOPS[stop.reason])

    def _set_state(self, state: State, is_digest_known: bool) -> None:
        try:
            raw = _state_to(state, is_digest_known)
        except (TypeError, ValueError, OverflowError, IndexError) as error:
            raise MachineError(f"a state that no run can lead to: {error}") from error
        error = self._library.vac_set_state(self._handle, c.byref(raw))
        if error == abi.ERROR_STATE:
            raise MachineError("a state that no run can lead to: a pointer, window or link is out of range")
        if error:
            raise MachineError("no memory for the code of this state")


def _exact(value: int, bits: int, name: str) -> int:
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name} is {value}, outside of {bits} bits")
    return value


def _state_to(state: State, is_digest_known: bool) -> abi.CState:
    sqi = state.sqi
    raw = abi.CState(digest_known=int(is_digest_known))
    values = {
        "tick": state.tick, "cone_in": state.cone_in, "cone_out": state.cone_out, "digest": state.digest or 0,
    }  # fmt: skip
    for name, value in values.items():
        setattr(raw, name, _exact(value, 64, name))
    narrow = {
        "pc": state.pc, "status": int(state.status), "trap": int(state.trap), "sp": state.sp, "rp": state.rp,
        "fp": state.fp, "code_length": state.code_length, "has_labels": int(state.has_labels), "joins": state.joins,
        "coherence": sqi.coherence, "entropy": sqi.entropy, "drift": sqi.drift,
        "mispredictions": sqi.mispredictions, "distance": sqi.distance, "refusals": sqi.refusals,
        "history": sqi.history, "last_emit": sqi.last_emit,
    }  # fmt: skip
    for name, value in narrow.items():
        setattr(raw, name, _exact(value, 32, name))
    raw.cells[:] = state.cells
    raw.labels[:] = state.labels
    if len(state.windows) != abi.WINDOW_COUNT or len(state.cells) != STACK_RAM_CELLS:
        raise ValueError("wrong number of windows or cells")
    for index, window in enumerate(state.windows):
        raw.windows[index] = abi.CWindow(window.base, window.length, window.slot, window.permissions, 0)
    return raw


def _state_from(raw: abi.CState) -> State:
    return State(
        pc=raw.pc,
        tick=raw.tick,
        status=Status(raw.status),
        trap=Trap(raw.trap),
        sp=raw.sp,
        rp=raw.rp,
        fp=raw.fp,
        cells=raw.cells[:],
        labels=raw.labels[:],
        windows=[
            Window(slot, base, length, permissions) if base or length or slot or permissions else _NO_WINDOW
            for base, length, slot, permissions in _WINDOWS.iter_unpack(raw.windows)
        ],
        code_length=raw.code_length,
        has_labels=bool(raw.has_labels),
        sqi=Sqi(
            raw.coherence,
            raw.entropy,
            raw.drift,
            raw.mispredictions,
            raw.distance,
            raw.refusals,
            raw.history,
            raw.last_emit,
        ),
        cone_in=raw.cone_in,
        cone_out=raw.cone_out,
        joins=raw.joins,
        digest=raw.digest if raw.digest_known else None,
    )
