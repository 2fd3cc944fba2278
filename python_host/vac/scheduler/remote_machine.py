"""A machine whose engine is in a worker process, with what it takes to build it again elsewhere: a checkpoint, and what
it was told since. As an engine does the same whenever it is told the same, that leads to the same state and beams.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..image.image import Image
from ..isa.limits import LEAF_BYTES
from ..machine.protocol import Answer, Leaf, MachineError, Stop, StopReason
from ..machine.state import State
from .errors import WorkerLost
from .shared_leaves import SHARED_LEAVES
from .state_copy import copy_of
from .worker import LeafKey
from .worker_process import ProcessEnded, WorkerProcess

if TYPE_CHECKING:
    from .worker_pool import WorkerSlot

Result = TypeVar("Result")

_CHECKPOINT_SECONDS = 1.0
"""Time of running after which a checkpoint is taken: what it takes to run that again is lost when a process dies."""
_CHECKPOINT_SHARE = 0.05
"""A checkpoint that takes long is taken less often, so that all of them take this part of the time at most."""
_TOLD_BYTES = 8 << 20
"""Bytes of leaves since the last checkpoint that lead to another one."""
_DEATHS = 3
"""Processes that may end under a machine, without a finished slice in between, before it is held to be its doing. A
process that had ended before it was asked is nobody's doing here."""


class SliceUnderway(Exception):
    """The worker is still running; the same call gives the answer later."""


class RemoteMachine:
    """The `Machine` protocol for an engine in a worker. Made by `WorkerPool.machine`.

    blocks: whether `run` waits; where it does not, it raises SliceUnderway until the worker is done, and is then to be
    called again with the same tick. Every other method waits for a run that is under way.

    Raises WorkerLost from `run` where the process has ended; every other method builds the engine again in
    another process and goes on, as the next `run` does. Raises MachineError where that does not help.
    """

    def __init__(self, slot: WorkerSlot, number: int, name: str, engine: str, keeps_beams: bool) -> None:
        self.name = name
        self.slot = slot
        self.blocks = True
        self._number = number
        self._create = ("create", number, engine, keeps_beams)
        self._keeps_beams = keeps_beams
        self._process: WorkerProcess | None = None
        """Where the engine is; None where it has to be built."""
        self._saved: tuple[State, dict[LeafKey, Leaf]] | None = None
        self._told: list[tuple[Any, ...]] = []
        """What the engine was told since the checkpoint, and has done."""
        self._told_bytes = 0
        self._seconds = 0.0
        self._checkpoint_after = _CHECKPOINT_SECONDS
        self._answers: list[tuple[Any, ...]] = []
        """Not sent yet: they travel with the next request."""
        self._ticket: int | None = None
        self._until = 0
        self._outcome: Stop | Exception | None = None
        self._state: State | None = None
        self._beams: list[bytes] = []
        self._deaths = 0
        slot.machines[number] = self
        try:
            self._asked(lambda process: None)  # builds it, also where the process has ended a moment ago
        except BaseException:
            del slot.machines[number]
            raise

    # ---- running -------------------------------------------------------------------------------------------------

    def run(self, until_tick: int) -> Stop:
        if self._ticket is not None and until_tick != self._until:
            self._settle()
            self._ticket = self._outcome = None
        if self._ticket is None:
            self._start(until_tick)
            if not self.blocks:
                raise SliceUnderway
        elif not self.blocks and not self.is_ready():
            raise SliceUnderway
        self._settle()
        outcome, self._ticket, self._outcome = self._outcome, None, None
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome
        return outcome

    def is_ready(self) -> bool:
        """Whether a run is done, or none is under way."""
        if self._ticket is None or self._outcome is not None:
            return True
        assert self._process
        try:
            return self._process.is_ready(self._ticket)
        except ProcessEnded as ended:
            self.slot.lost(self._process, ended)
            return True

    def _start(self, until: int) -> None:
        if self._seconds > self._checkpoint_after or self._told_bytes > _TOLD_BYTES:
            self._take_checkpoint()
        process = self._built()
        try:
            self._ticket = process.send([*self._answers, ("run", self._number, until)])
        except ProcessEnded as ended:
            raise self._verdict(self.slot.lost(process, ended), ended.was_asked) from None
        self._until, self._state = until, None

    def _settle(self) -> None:
        """Waits for a run that is under way; `run` gives what came of it."""
        if self._ticket is None or self._outcome is not None:
            return
        assert self._process
        try:
            seconds, stop, self._state = self._process.reply(self._ticket)
        except ProcessEnded as ended:
            self.slot.lost(self._process, ended)
            return
        except MachineError as error:
            self._answers.clear()
            self._outcome = error
            return
        self._done(("run", self._number, self._until))
        self._seconds += seconds
        self._deaths = 0
        self._outcome = stop or Stop(StopReason.TICK)

    def engine_is_gone(self, loss: WorkerLost) -> None:
        """Its process has ended; for the slot."""
        self._process = None
        if self._ticket is not None and self._outcome is None:
            self._outcome = self._verdict(loss)

    def _verdict(self, loss: WorkerLost, was_asked: bool = True) -> Exception:
        self._deaths += was_asked
        if self._deaths < _DEATHS:
            return loss
        return MachineError(f"{self.name} cannot be run: {loss.ending}, as {_DEATHS - 1} before it at the same place")

    # ---- the protocol ------------------------------------------------------------------------------------------

    def load(self, image: Image) -> None:
        self._call("load", image, changes=True)
        self._state = None
        self._beams.clear()

    def answer(self, answer: Answer) -> None:
        """As the protocol; where no event waits, the next call raises the MachineError."""
        self._settle()
        self._answers.append(("answer", self._number, answer))
        self._state = None

    def state(self) -> State:
        self._settle()
        if self._state is None:
            self._state = self._call("state")
        assert self._state
        return copy_of(self._state)

    def set_state(self, state: State) -> None:
        self._call("set_state", state, changes=True)
        self._state = None

    def leaves(self) -> list[LeafKey]:
        return self._call("resident")

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        self._install([((slot, number), leaf)])

    def evict(self, slot: int, number: int) -> Leaf:
        return self._moved("evict", [(slot, number)])[0]

    def read_leaf(self, slot: int, number: int) -> Leaf:
        return self._moved("read", [(slot, number)])[0]

    def drain_beams(self) -> bytes:
        self._beams.append(self._drained())
        beams = b"".join(self._beams)
        self._beams.clear()
        return beams

    # ---- beyond the protocol -----------------------------------------------------------------------------------

    def install_run(self, slot: int, first: int, leaves: Sequence[Leaf]) -> int:
        """Neighbouring leaves together; returns how many there was room for."""
        return self._installed([((slot, first + index), leaf) for index, leaf in enumerate(leaves)])[0]

    def evict_run(self, slot: int, first: int, count: int) -> list[Leaf]:
        """Neighbouring leaves together."""
        return self._moved("evict", [(slot, first + index) for index in range(count)])

    def move_to_slot(self, slot: WorkerSlot) -> None:
        """Its engine is built there when it is next needed; not while a run is under way."""
        self._take_checkpoint()
        self.release()
        self.slot = slot
        slot.machines[self._number] = self

    def release(self) -> None:
        """The engine is not needed any more."""
        process, self._process = self._process, None
        self.slot.machines.pop(self._number, None)
        if process:
            try:
                process.call(("forget", self._number))
            except ProcessEnded as ended:
                self.slot.lost(process, ended)

    # ---- requests ------------------------------------------------------------------------------------------------

    def _call(self, operation: str, *arguments: Any, changes: bool = False) -> Any:
        request = (operation, self._number, *arguments)
        result = self._asked(lambda process: process.call(*self._answers, request))
        self._done(*((request,) if changes else ()))
        return result

    def _asked(self, ask: Callable[[WorkerProcess], Result]) -> Result:
        """What a request gives, in another process where the first one ends."""
        self._settle()
        ending = ""
        for _ in range(_DEATHS):
            try:
                process = self._built()
            except WorkerLost as loss:
                ending = loss.ending
                continue
            try:
                return ask(process)
            except ProcessEnded as ended:
                ending = self.slot.lost(process, ended).ending
        raise MachineError(f"{self.name} cannot be reached: {ending}, as {_DEATHS - 1} before it")

    def _done(self, *requests: tuple[Any, ...]) -> None:
        self._told += [*self._answers, *requests]
        self._answers.clear()

    def _install(self, leaves: Sequence[tuple[LeafKey, Leaf]]) -> None:
        count, error = self._installed(leaves)
        if count < len(leaves):
            raise MachineError(error)

    def _installed(self, leaves: Sequence[tuple[LeafKey, Leaf]]) -> tuple[int, str]:
        for _, leaf in leaves:
            if len(leaf.data) != LEAF_BYTES:
                raise MachineError(f"a leaf has {LEAF_BYTES} bytes, not {len(leaf.data)}")
        for first in range(0, len(leaves), SHARED_LEAVES):
            part = leaves[first : first + SHARED_LEAVES]
            count, error = self._asked(lambda process, part=part: self._put(process, part))
            self._done(("install", part[:count]))
            self._told_bytes += LEAF_BYTES * count
            if count < len(part):
                return first + count, error
        return len(leaves), ""

    def _put(self, process: WorkerProcess, leaves: Sequence[tuple[LeafKey, Leaf]]) -> tuple[int, str]:
        process.leaves.put([leaf for _, leaf in leaves])
        return process.call(*self._answers, ("install", self._number, [key for key, _ in leaves]))

    def _moved(self, operation: str, keys: Sequence[LeafKey]) -> list[Leaf]:
        found: list[Leaf] = []
        for first in range(0, len(keys), SHARED_LEAVES):
            part = list(keys[first : first + SHARED_LEAVES])
            request = (operation, self._number, part)

            def ask(process: WorkerProcess, request: tuple[Any, ...] = request, count: int = len(part)) -> list[Leaf]:
                process.call(*self._answers, request)
                return process.leaves.take(count)

            found += self._asked(ask)
            self._done(*((request,) if operation == "evict" else ()))
        return found

    def _drained(self) -> bytes:
        request = ("beams", self._number)

        def ask(process: WorkerProcess) -> bytes:
            beams = process.call(*self._answers, request)
            return process.leaves.take_bytes(beams) if isinstance(beams, int) else beams

        beams = self._asked(ask)
        self._done(request)
        return beams

    # ---- another process -----------------------------------------------------------------------------------------

    def _take_checkpoint(self) -> None:
        began = time.monotonic()
        self._settle()
        if self._keeps_beams:
            self._beams.append(self._drained())
        state, resident, changed = self.state(), self.leaves(), self._call("changed")
        before = self._saved[1] if self._saved else {}
        stale = set(resident if changed is None else changed)
        kept = {key: before[key] for key in resident if key in before and key not in stale}
        wanted = [key for key in resident if key not in kept]
        kept.update(zip(wanted, self._moved("read", wanted), strict=True))
        self._saved = state, kept
        self._told.clear()
        self._told_bytes, self._seconds = 0, 0.0
        self._checkpoint_after = max(_CHECKPOINT_SECONDS, (time.monotonic() - began) / _CHECKPOINT_SHARE)

    def _built(self) -> WorkerProcess:
        """The process with the engine in it, as it was left. Raises WorkerLost, MachineError, EngineError."""
        if self._process:
            return self._process
        process = self.slot.process
        try:
            process.call(self._create)
            if self._saved:
                state, leaves = self._saved
                kept = list(leaves.items())
                for first in range(0, len(kept), SHARED_LEAVES):
                    self._repeat(process, ("install", kept[first : first + SHARED_LEAVES]))
                process.call(("set_state", self._number, state))
            for request in self._told:
                self._repeat(process, request)
        except ProcessEnded as ended:
            raise self._verdict(self.slot.lost(process, ended), ended.was_asked) from None
        self._process = process
        return process

    def _repeat(self, process: WorkerProcess, request: tuple[Any, ...]) -> None:
        if request[0] == "install":
            leaves: Sequence[tuple[LeafKey, Leaf]] = request[1]
            process.leaves.put([leaf for _, leaf in leaves])
            process.call(("install", self._number, [key for key, _ in leaves]))
        else:
            process.call(request)
