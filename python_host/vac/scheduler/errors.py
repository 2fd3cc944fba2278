"""What can be asked of a scheduler in vain."""

from __future__ import annotations


class SchedulerError(Exception):
    """The scheduler cannot do what it was asked; it stands as it stood."""


class QuotaError(SchedulerError):
    """A quota that makes no sense, or one that a machine has used up already."""


class MachineEnded(SchedulerError):
    """A machine that has halted, trapped or failed cannot be continued."""


class SchedulerClosed(SchedulerError):
    """The scheduler was closed; nothing more can be run or added."""


class WorkerLost(SchedulerError):
    """A worker process ended though nobody had asked it to. No state is lost: its machines stand where their last
    finished slices left them, and go on in another process.

    machines: their names. ending: how the process ended.
    """

    def __init__(self, ending: str, machines: tuple[str, ...]) -> None:
        few = ", ".join(machines[:8]) + (f" and {len(machines) - 8} more" if len(machines) > 8 else "")
        super().__init__(f"{ending}; it ran {few}. Nothing is lost: resume them, and they go on in another process")
        self.machines = machines
        self.ending = ending
