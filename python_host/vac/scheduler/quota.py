"""What a machine may use, and why it stopped."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum

from .errors import QuotaError

DEFAULT_SLICE_TICKS = 10_000
"""Shorter slices cost more in changing over than they give."""


class StopCause(Enum):
    """Why a machine is not run any more. All but the first two and FAILED can be continued, LINK only sometimes."""

    HALTED = "halted"
    TRAPPED = "trapped"
    TICKS = "max_ticks reached"
    RESIDENT_PAGES = "max_resident_pages reached"
    BEAMS = "max_beams reached"
    IO = "max_io_per_slice reached"
    DEADLINE = "deadline passed"
    PAGING = "a tier of memory failed"
    """Nothing is lost; continuing tries again."""
    WORKER = "its worker process ended"
    """Nothing is lost; continuing builds the engine in another process."""
    LINK = "the link to its engine failed"
    """What the engine held is lost with it. A machine that was saved when the link to a shared core failed can be moved
    to another executor and continued."""
    PEERS = "it waits for machines that do not go on"
    """Of the same run, over a bus; continuing one of those lets it be continued too."""
    FAILED = "the engine failed"

    @property
    def is_final(self) -> bool:
        return self in (StopCause.HALTED, StopCause.TRAPPED, StopCause.FAILED)


class QuotaReached(Exception):
    """Comes out of `Host.run` where a quota stops a machine; it stands before the instruction that asked."""

    def __init__(self, cause: StopCause) -> None:
        super().__init__(cause.value)
        self.cause = cause


@dataclass(frozen=True)
class Quota:
    """None: no limit. A machine that reaches one stops before the instruction that would go beyond.

    max_ticks: ticks run under this scheduler, in all. max_resident_pages: pages that it uses in frames of the pager, or
    leaves of 4 KiB in its engine where there is no pager; looked at when it misses one. max_beams: beams kept for it
    that nobody has taken. max_io_per_slice: requests answered in one slice. deadline: the scheduler's clock, ticks that
    all machines together have run.
    """

    max_ticks: int | None = None
    max_resident_pages: int | None = None
    max_beams: int | None = None
    max_io_per_slice: int | None = None
    deadline: int | None = None

    def check(self) -> None:
        """Raises QuotaError when a limit is no positive number."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 1:
                raise QuotaError(f"{field.name} is {value}; give 1 or more, or None for no limit")
