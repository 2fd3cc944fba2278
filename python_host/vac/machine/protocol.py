"""The protocol that the host speaks with every engine: golden, fast, jit, rtl, board."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from ..image.image import Image, Window
from ..isa.traps import Trap
from .state import State


class EventKind(Enum):
    DEVICE_IN = "in"
    DEVICE_OUT = "out"
    SYSTEM_CALL = "sys"


@dataclass(frozen=True)
class Event:
    """A request to the host; the machine waits before the instruction.

    number: device address or system call. arguments: cells in the order pushed. Nothing has been popped yet.
    """

    kind: EventKind
    number: int
    arguments: tuple[int, ...]
    pc: int
    tick: int


@dataclass(frozen=True)
class Answer:
    """The host's answer to an event; with it the waiting instruction retires.

    value: the cell that is pushed (ignored by `out`). refused: the program is told no; counts in the SQI.
    trap: when set, the instruction traps instead and nothing else of the answer applies.
    windows: window registers granted. writes: (slot, offset, bytes) put into memory first.
    """

    value: int = 0
    refused: bool = False
    trap: Trap = Trap.NONE
    windows: tuple[tuple[int, Window], ...] = ()
    writes: tuple[tuple[int, int, bytes], ...] = ()


@dataclass(frozen=True)
class Leaf:
    """4096 bytes of memory and the union of the label sets stored into them."""

    data: bytes
    labels: int = 0


@dataclass(frozen=True)
class PageMiss:
    """The next instruction needs a 4 KiB leaf that is not there. Costs no tick, leaves no beam."""

    slot: int
    number: int
    """Leaf number: offset / 4096."""


class StopReason(Enum):
    TICK = "tick limit reached"
    HALTED = "halted"
    TRAPPED = "trapped"
    EVENT = "waiting for the host"
    PAGE_MISS = "page miss"


@dataclass(frozen=True)
class Stop:
    """Why `run` came back. `event` and `miss` are set for their reasons."""

    reason: StopReason
    event: Event | None = None
    miss: PageMiss | None = None


class MachineError(Exception):
    """The host asked an engine for something that makes no sense in its present state."""


class OutOfFrames(MachineError):
    """Every frame of the engine holds a leaf; one has to be evicted first."""


class Machine(Protocol):
    """One virtual machine on some engine.

    Memory is addressed as (slot, offset) with 4 KiB leaves. An engine never invents a leaf: it stops with PAGE_MISS.
    """

    def load(self, image: Image) -> None:
        """Becomes a fresh machine: initial state, the image's leaves resident, no beams."""
        ...

    def run(self, until_tick: int) -> Stop:
        """Runs until `tick` equals `until_tick`, or something needs the host. Returns at once when already there."""
        ...

    def answer(self, answer: Answer) -> None:
        """Completes the event that `run` stopped for. Raises MachineError when there is none."""
        ...

    def state(self) -> State:
        """A copy of the architectural state; while an event waits, the state before its instruction."""
        ...

    def set_state(self, state: State) -> None:
        """Takes over this state, as from another engine; a waiting event is forgotten and will be raised again."""
        ...

    def leaves(self) -> list[tuple[int, int]]:
        """(slot, leaf) of every resident leaf, sorted."""
        ...

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        """Makes a leaf resident. Raises MachineError when its data is not 4096 bytes."""
        ...

    def evict(self, slot: int, number: int) -> Leaf:
        """Takes a leaf away and returns it. Raises MachineError when it is not resident."""
        ...

    def read_leaf(self, slot: int, number: int) -> Leaf:
        """A copy of a resident leaf. Raises MachineError when it is not resident."""
        ...

    def drain_beams(self) -> bytes:
        """Packed 16-byte records retired since the last call, oldest first."""
        ...
