"""A worker process: machines on engines of its own, driven over a pipe. Started by `worker_process`.

A message is a list of requests, each an operation, a machine's number and arguments; they are executed in order. The
reply is a pair: True and the result of the last one, or False and the kind of error and its text. Leaves pass through
`SharedLeaves`, as do beams where they fit. The process ends when its pipe does, so it never outlives its parent.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..engines.registry import EngineError, create_machine
from ..image.image import Image, ImageError
from ..machine.protocol import Answer, EventKind, Machine, MachineError, Stop, StopReason
from ..machine.state import State
from .message_socket import MessageSocket
from .shared_leaves import SharedLeaves

LeafKey = tuple[int, int]
"""Slot and number."""


class Worker:
    """The machines of this process. leaves: what the parent sees as well."""

    def __init__(self, leaves: SharedLeaves) -> None:
        self._leaves = leaves
        self._machines: dict[int, Machine] = {}
        self._operations: dict[str, Callable[..., Any]] = {
            "create": self._create,
            "forget": self._forget,
            "load": self._load,
            "run": self._run,
            "answer": self._answer,
            "state": self._state,
            "set_state": self._set_state,
            "resident": self._resident,
            "install": self._install,
            "evict": self._evict,
            "read": self._read,
            "changed": self._changed,
            "beams": self._beams,
        }

    def execute(self, requests: Sequence[tuple[Any, ...]]) -> tuple[bool, Any]:
        """The reply to a message."""
        result = None
        try:
            for operation, *arguments in requests:
                result = self._operations[operation](*arguments)
        except EngineError as error:
            return False, ("EngineError", str(error))
        except ImageError as error:
            return False, ("ImageError", str(error))
        except MachineError as error:
            return False, ("MachineError", str(error))
        except Exception as error:  # an engine that fails like this fails its machine, not its neighbours
            return False, ("MachineError", f"{type(error).__name__}: {error}")
        return True, result

    def _create(self, number: int, engine: str, keeps_beams: bool) -> None:
        self._machines[number] = create_machine(engine, keeps_beams)

    def _forget(self, number: int) -> None:
        del self._machines[number]

    def _load(self, number: int, image: Image) -> None:
        self._machines[number].load(image)

    def _run(self, number: int, until: int) -> tuple[float, Stop | None, State | None]:
        """Seconds it took; what stopped it, None at the tick asked for; the state there where a host wants to see it,
        which costs more than all the rest."""
        machine, began = self._machines[number], time.perf_counter()
        stop = machine.run(until)
        seconds = time.perf_counter() - began
        if stop.reason is StopReason.TICK:
            return seconds, None, None
        is_for_device = stop.event is not None and stop.event.kind is not EventKind.SYSTEM_CALL
        return seconds, stop, None if is_for_device else machine.state()

    def _answer(self, number: int, answer: Answer) -> None:
        self._machines[number].answer(answer)

    def _state(self, number: int) -> State:
        return self._machines[number].state()

    def _set_state(self, number: int, state: State) -> None:
        self._machines[number].set_state(state)

    def _resident(self, number: int) -> list[LeafKey]:
        return self._machines[number].leaves()

    def _install(self, number: int, keys: Sequence[LeafKey]) -> tuple[int, str]:
        """How many could be installed, and what was wrong with the next one."""
        machine = self._machines[number]
        for index, (key, leaf) in enumerate(zip(keys, self._leaves.take(len(keys)), strict=True)):
            try:
                machine.install(*key, leaf)
            except MachineError as error:
                return index, str(error)
        return len(keys), ""

    def _evict(self, number: int, keys: Sequence[LeafKey]) -> None:
        machine = self._machines[number]
        self._leaves.put([machine.read_leaf(*key) for key in keys])
        for key in keys:
            machine.evict(*key)

    def _read(self, number: int, keys: Sequence[LeafKey]) -> None:
        machine = self._machines[number]
        self._leaves.put([machine.read_leaf(*key) for key in keys])

    def _changed(self, number: int) -> list[LeafKey] | None:
        """Leaves that may have changed since the last call; None where the engine does not keep count."""
        machine = self._machines[number]
        dirty = getattr(machine, "dirty_leaves", None)
        if dirty is None:
            return None
        found: list[LeafKey] = dirty()
        machine.mark_clean()  # pyright: ignore[reportAttributeAccessIssue]
        return found

    def _beams(self, number: int) -> int | bytes:
        """The beams, or how many bytes of them lie in the shared area."""
        beams = self._machines[number].drain_beams()
        return len(beams) if self._leaves.put_bytes(beams) else beams


def main(arguments: Sequence[str]) -> int:
    """arguments: descriptors of the pipe and of the shared area, both inherited."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when it is over
    pipe, memory = (int(argument) for argument in arguments)
    worker = Worker(SharedLeaves(memory))
    connection = MessageSocket(socket.socket(fileno=pipe))
    try:
        while True:
            connection.send(worker.execute(connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
