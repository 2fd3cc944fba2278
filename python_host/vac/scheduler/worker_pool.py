"""Several processes of this computer that run machines side by side."""

from __future__ import annotations

import logging
from types import TracebackType

from ..engines.registry import ENGINES, EngineError
from ..machine.protocol import MachineError
from .errors import SchedulerClosed, WorkerLost
from .remote_machine import RemoteMachine
from .worker_process import ProcessEnded, WorkerProcess

LOG = logging.getLogger("vac.scheduler")


class WorkerSlot:
    """One of a pool's places, with a process in it from when it is first needed. A process that has ended is replaced
    when the place is needed again.

    machines: those whose engines are there, by their numbers.
    """

    def __init__(self, pool: WorkerPool, index: int) -> None:
        self.pool = pool
        self.index = index
        self.machines: dict[int, RemoteMachine] = {}
        self._process: WorkerProcess | None = None

    @property
    def process(self) -> WorkerProcess:
        """The process; started where there is none. Raises MachineError when the pool is closed, EngineError where it
        cannot start."""
        if self._process is None:
            if self.pool.is_closed:
                raise MachineError("the worker pool is closed, and the machine's engine with it")
            try:
                self._process = WorkerProcess()
            except OSError as error:
                raise EngineError(f"cannot start a worker process: {error}; give the pool fewer of them") from error
        return self._process

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return self._process.pid if self._process else None

    def lost(self, process: WorkerProcess, ended: ProcessEnded) -> WorkerLost:
        """Takes note that this process has ended. Every machine here is rebuilt when it is next needed."""
        loss = WorkerLost(str(ended), tuple(machine.name for machine in self.machines.values()))
        if process is self._process:
            LOG.info("%s", loss)
            self.pool.losses.append(loss)
            self._process = None
            process.close()
            for machine in self.machines.values():
                machine.engine_is_gone(loss)
        return loss

    def end(self) -> None:
        """Tells the process to end, without waiting for it."""
        if self._process:
            self._process.end()
            loss = WorkerLost("the worker pool was closed", tuple(machine.name for machine in self.machines.values()))
            for machine in self.machines.values():
                machine.engine_is_gone(loss)

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process:
            process.close()


class WorkerPool:
    """Executor: machines on engines in so many worker processes, each machine in the one with the fewest at first.
    A scheduler runs a slice in each of them at the same time, and moves machines where that makes shares even.

    engine: a name. processes: 1 and more. Each starts when it is first needed, in about half a second. As a context
    manager the pool ends its processes; close the scheduler first. Also without that nothing outlives this process.
    Raises ValueError and, for an unknown engine, EngineError.
    """

    def __init__(self, engine: str = "fast", processes: int = 2, *, keeps_beams: bool = False) -> None:
        if processes < 1:
            raise ValueError(f"{processes} worker processes; give 1 or more")
        if engine not in ENGINES:
            raise EngineError(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
        if engine == "board" and processes > 1:
            raise ValueError("a board has one serial line: give it one process")
        self.engine = engine
        self.keeps_beams = keeps_beams
        self.is_closed = False
        self.losses: list[WorkerLost] = []
        """Of processes that ended on their own."""
        self.slots = tuple(WorkerSlot(self, index) for index in range(processes))
        self._machines = 0

    def machine(self, name: str = "") -> RemoteMachine:
        """One more machine. name: for errors that speak of it. Raises EngineError, SchedulerClosed."""
        if self.is_closed:
            raise SchedulerClosed("the worker pool is closed; it gives no more machines")
        self._machines += 1
        slot = min(self.slots, key=lambda each: len(each.machines))
        return RemoteMachine(slot, self._machines, name or f"machine {self._machines}", self.engine, self.keeps_beams)

    def close(self) -> None:
        """Ends all processes; their machines can be asked nothing any more."""
        self.is_closed = True
        for slot in self.slots:
            slot.end()
        for slot in self.slots:
            slot.close()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
