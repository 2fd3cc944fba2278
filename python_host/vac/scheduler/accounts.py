"""What each machine got, and how evenly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .quota import StopCause


@dataclass(slots=True)
class Account:
    """Of one machine. Ticks of others are those of the scheduler's clock.

    ticks, slices: run so far. answers: requests answered. waited: ticks of others between its slices, in all.
    largest_gap: the longest of these waits. waits: how many there were that were not 0. dismissals: times it had to
    leave memory to others. weighted_share: service by weight, as a part of what an ideal scheduler had given it while
    it was admitted, 1.0 when just that. stop: None while it can run.
    """

    name: str
    ticks: int = 0
    slices: int = 0
    answers: int = 0
    waits: int = 0
    waited: int = 0
    largest_gap: int = 0
    dismissals: int = 0
    weighted_share: float = 1.0
    stop: StopCause | None = None


@dataclass(frozen=True)
class Report:
    """clock: ticks of all machines. runnable: machines that could go on. accounts: in the order they were added."""

    clock: int
    runnable: int
    accounts: tuple[Account, ...]

    @property
    def jain(self) -> float:
        """Weighted Jain index: 1.0 when all got their share by weight. Means little where machines ended early."""
        return jain_index([account.weighted_share for account in self.accounts])

    @property
    def largest_gap(self) -> int:
        """The longest that any machine waited between two slices, in ticks of others."""
        return max((account.largest_gap for account in self.accounts), default=0)

    def __str__(self) -> str:
        ended = stop_counts(self.accounts)
        stops = ", ".join(f"{count} {cause.value}" for cause, count in ended.items()) or "none stopped"
        return (
            f"{len(self.accounts)} machines, {self.clock} ticks, {self.runnable} can go on ({stops}); "
            f"weighted Jain index {self.jain:.4f}, largest gap {self.largest_gap} ticks"
        )


def jain_index(shares: Sequence[float]) -> float:
    """(sum x)^2 / (n * sum x^2): 1.0 when all are equal, 1/n when one has everything; 1.0 of nothing."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def stop_counts(accounts: Iterable[Account]) -> dict[StopCause, int]:
    """How many stopped for each cause that there was."""
    counts: dict[StopCause, int] = {}
    for account in accounts:
        if account.stop:
            counts[account.stop] = counts.get(account.stop, 0) + 1
    return counts
