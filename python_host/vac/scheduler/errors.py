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
