"""The machine that a host drives, whatever engine runs it at the moment."""

from __future__ import annotations

from collections.abc import Callable

from ..image.image import Image
from ..machine.protocol import Answer, Leaf, Machine, MachineError, Stop, StopReason
from ..machine.state import State


class GuardedMachine:
    """Hands everything on to an engine, which can be changed for another in mid-run.

    guard: called before the host hears of a page miss or an event; what it raises comes out of `run`, and the machine
    stands before the instruction that asked. answered: answers so far. last_reason: of the last stop.
    """

    def __init__(self, engine: Machine) -> None:
        self.engine = engine
        self.guard: Callable[[Stop], None] | None = None
        self.answered = 0
        self.last_reason: StopReason | None = None

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

    # ---- the protocol ------------------------------------------------------------------------------------------

    def load(self, image: Image) -> None:
        self.engine.load(image)

    def run(self, until_tick: int) -> Stop:
        self.last_reason = None
        stop = self.engine.run(until_tick)
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
