"""The machine that a host drives, whatever engine runs it at the moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..image.image import Image
from ..link.session import LinkError
from ..machine.protocol import Answer, Leaf, Machine, MachineError, Stop, StopReason
from ..machine.state import State
from .executors import TimeSlicedMachine
from .remote_machine import RemoteMachine


class GuardedMachine:
    """Hands everything on to an engine, which can be changed for another in mid-run.

    guard: called before the host hears of a page miss or an event; what it raises comes out of `run`, and the machine
    stands before the instruction that asked. answered: answers so far. last_reason: of the last stop. is_lost: the link
    to the engine has failed, and the machine's state was there.
    """

    def __init__(self, engine: Machine) -> None:
        self.engine = engine
        self.guard: Callable[[Stop], None] | None = None
        self.answered = 0
        self.last_reason: StopReason | None = None
        self.is_lost = False

    def move_to(self, engine: Machine) -> None:
        """Goes on there, from the same state with the same leaves; the other engine must be empty, and beams
        have been drained. Raises MachineError when that engine cannot take the machine,
        which then stays where it is."""
        old = self.engine
        taken: list[tuple[int, int]] = []
        try:
            for key in old.leaves():
                engine.install(*key, old.read_leaf(*key))
                taken.append(key)
            engine.set_state(old.state())
        except MachineError:
            for key in taken:
                engine.evict(*key)
            raise
        for key in taken:
            old.evict(*key)
        self.engine = engine
        if isinstance(old, RemoteMachine):
            old.release()

    # ---- the protocol ------------------------------------------------------------------------------------------

    def load(self, image: Image) -> None:
        self.engine.load(image)

    def run(self, until_tick: int) -> Stop:
        self.last_reason = None
        try:
            stop = self.engine.run(until_tick)
        except LinkError:
            self.is_lost = not (isinstance(self.engine, TimeSlicedMachine) and self.engine.is_saved)
            raise
        if self.guard and stop.reason in (StopReason.PAGE_MISS, StopReason.EVENT):
            self.guard(stop)
        self.last_reason = stop.reason
        return stop

    def answer(self, answer: Answer) -> None:
        self.engine.answer(answer)
        self.answered += 1

    def state(self) -> State:
        return self.engine.state()

    def set_state(self, state: State) -> None:
        self.engine.set_state(state)

    def leaves(self) -> list[tuple[int, int]]:
        return self.engine.leaves()

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        self.engine.install(slot, number, leaf)

    def evict(self, slot: int, number: int) -> Leaf:
        return self.engine.evict(slot, number)

    def read_leaf(self, slot: int, number: int) -> Leaf:
        return self.engine.read_leaf(slot, number)

    def drain_beams(self) -> bytes:
        return self.engine.drain_beams()

    # ---- beyond the protocol -----------------------------------------------------------------------------------

    def install_run(self, slot: int, first: int, leaves: Sequence[Leaf]) -> int:
        """Neighbouring leaves together; returns how many there was room for."""
        if isinstance(self.engine, RemoteMachine):
            return self.engine.install_run(slot, first, leaves)
        for index, leaf in enumerate(leaves):
            try:
                self.engine.install(slot, first + index, leaf)
            except MachineError:
                return index
        return len(leaves)

    def evict_run(self, slot: int, first: int, count: int) -> list[Leaf]:
        """Neighbouring leaves together. Raises MachineError."""
        if isinstance(self.engine, RemoteMachine):
            return self.engine.evict_run(slot, first, count)
        return [self.engine.evict(slot, first + index) for index in range(count)]
