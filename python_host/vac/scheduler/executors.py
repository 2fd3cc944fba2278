"""Who runs the slices: an engine for each machine, or one core for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ..engines.registry import create_machine
from ..image.image import Image
from ..link.session import LinkError
from ..machine.protocol import Answer, Leaf, Machine, MachineError, Stop
from ..machine.state import State
from .state_copy import copy_of


class Executor(Protocol):
    """Gives machines to run on. keeps_beams: whether `drain_beams` may be asked of them."""

    keeps_beams: bool

    def machine(self, name: str = "") -> Machine:
        """One more machine, without memory. name: for errors that speak of it. Raises EngineError, MachineError."""
        ...


class OneEach:
    """An engine of its own for each machine. engine: a name, or what makes one; it must then heed keeps_beams."""

    def __init__(self, engine: str | Callable[[], Machine] = "fast", *, keeps_beams: bool = False) -> None:
        self.keeps_beams = keeps_beams
        self._engine = engine

    def machine(self, name: str = "") -> Machine:
        if isinstance(self._engine, str):
            return create_machine(self._engine, self.keeps_beams)
        return self._engine()


class SharedCore:
    """One core, time-sliced. A machine has it until another one runs; then its architectural state, its leaves and its
    beams are saved, and are put back when it runs again.

    core: any engine; what it holds is dropped. keeps_beams: must be what the core was made with. switches: times that
    the core was given to another machine.

    When the link to the core fails, nobody knows what it holds: it is given to nobody any more, and every machine that
    wants it gets a LinkError. The one that had it is lost; the others are saved here, and can move.
    """

    def __init__(self, core: Machine, *, keeps_beams: bool = False) -> None:
        self.core = core
        self.keeps_beams = keeps_beams
        self.switches = 0
        self._holder: TimeSlicedMachine | None = None
        self._failure: LinkError | None = None
        for key in core.leaves():
            core.evict(*key)

    def machine(self, name: str = "") -> Machine:
        return TimeSlicedMachine(self)

    def is_held_by(self, machine: TimeSlicedMachine) -> bool:
        return self._holder is machine

    def give_to(self, machine: TimeSlicedMachine) -> None:
        """Saves whoever has the core, and restores this machine on it. Raises MachineError when the core has no room
        for its leaves; nobody has the core then, and nothing is lost."""
        if self._failure:
            raise LinkError(f"the link to the shared core has failed ({self._failure}); move the machine elsewhere")
        if self._holder is machine:
            return
        with self.watched():
            if self._holder:
                self._holder.save(self.core)
                self._holder = None
            machine.restore(self.core)
        self._holder = machine
        self.switches += 1

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The core is of no use any more once its link fails in here."""
        try:
            yield
        except LinkError as error:
            self._failure = error
            raise


class TimeSlicedMachine:
    """The `Machine` protocol for one of many on a core. Made by `SharedCore.machine`.

    `run` and what needs a running engine take the core; everything else looks at what was saved while another has it.
    """

    def __init__(self, shared: SharedCore) -> None:
        self._shared = shared
        self._state = State()
        self._leaves: dict[tuple[int, int], Leaf] = {}
        self._beams: list[bytes] = []

    def save(self, core: Machine) -> None:
        """Takes everything from the core."""
        self._state = core.state()
        if self._shared.keeps_beams:
            self._beams.append(core.drain_beams())
        for key in core.leaves():
            self._leaves[key] = core.evict(*key)

    def restore(self, core: Machine) -> None:
        """Puts everything onto an empty core. Raises MachineError; the core is empty again then."""
        put: list[tuple[int, int]] = []
        try:
            for key, leaf in self._leaves.items():
                core.install(*key, leaf)
                put.append(key)
            core.set_state(self._state)
        except MachineError:
            for key in put:
                core.evict(*key)
            raise
        self._leaves.clear()

    @property
    def is_saved(self) -> bool:
        """Whether all of it is here, whatever becomes of the core."""
        return self._core is None

    @property
    def _core(self) -> Machine | None:
        return self._shared.core if self._shared.is_held_by(self) else None

    # ---- the protocol ------------------------------------------------------------------------------------------

    def load(self, image: Image) -> None:
        image.check()
        self._shared.give_to(self)
        self._shared.core.load(image)
        self._beams.clear()

    def run(self, until_tick: int) -> Stop:
        self._shared.give_to(self)
        with self._shared.watched():
            return self._shared.core.run(until_tick)

    def answer(self, answer: Answer) -> None:
        if self._core is None:
            raise MachineError("no event waits for an answer")
        self._core.answer(answer)

    def state(self) -> State:
        if self._core:
            return self._core.state()
        return copy_of(self._state)

    def set_state(self, state: State) -> None:
        self._shared.give_to(self)
        self._shared.core.set_state(state)

    def leaves(self) -> list[tuple[int, int]]:
        return self._core.leaves() if self._core else sorted(self._leaves)

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        self._shared.give_to(self)
        self._shared.core.install(slot, number, leaf)

    def evict(self, slot: int, number: int) -> Leaf:
        if self._core:
            return self._core.evict(slot, number)
        self.read_leaf(slot, number)
        return self._leaves.pop((slot, number))

    def read_leaf(self, slot: int, number: int) -> Leaf:
        if self._core:
            return self._core.read_leaf(slot, number)
        if (slot, number) not in self._leaves:
            raise MachineError(f"leaf {number} of slot {slot} is not resident")
        return self._leaves[slot, number]

    def drain_beams(self) -> bytes:
        if self._core and self._shared.keeps_beams:
            self._beams.append(self._core.drain_beams())
        beams = b"".join(self._beams)
        self._beams.clear()
        return beams
