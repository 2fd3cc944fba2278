"""Trying again: how often, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import TierUnavailable

Value = TypeVar("Value")


@dataclass(frozen=True)
class RetryLimits:
    """attempts: at most so many calls. seconds: no further call once so much time has passed. first_delay: seconds
    before the second call; the delay doubles from call to call."""

    attempts: int = 6
    seconds: float = 30.0
    first_delay: float = 0.05


def persist(
    tier: str, what: str, limits: RetryLimits, transient: type[Exception], call: Callable[[int], Value]
) -> Value:  # fmt: skip
    """The value of `call`, which is given the number of the attempt from 0 and may fail with `transient`.

    Raises TierUnavailable when the limits are reached; other errors pass through at once.
    """
    began, delay = time.monotonic(), limits.first_delay
    for attempt in range(limits.attempts):
        try:
            return call(attempt)
        except transient as error:
            passed = time.monotonic() - began
            if attempt + 1 == limits.attempts or passed + delay > limits.seconds:
                raise TierUnavailable(
                    tier, f"{what} failed {attempt + 1} times in {passed:.1f} s, last: {_first_line(error)}"
                ) from error
        time.sleep(delay)
        delay *= 2
    raise TierUnavailable(tier, f"{what} was not allowed a single attempt")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
