"""Clock at 0x10: virtual time in ticks. Wall time is nowhere to be had.

| register | `in` | `out` |
|---|---|---|
| 0 low | low cell of virtual time; keeps the high cell for register 1 | refused |
| 1 high | high cell, as of the last reading of register 0 | refused |

Virtual time is the tick count plus all ticks slept. System call `sleep` moves it on without retiring anything.
"""

from __future__ import annotations

from typing import Any

from ..isa.limits import CELL_BITS, CELL_MASK
from .device import REFUSAL, RegisterDevice, Reply, saved_number

TIME_LOW = 0
TIME_HIGH = 1


class Clock(RegisterDevice):
    def __init__(self) -> None:
        self.slept = 0
        self._kept_high: int | None = None

    def time(self, tick: int) -> int:
        """Virtual time, 64 bits."""
        return (tick + self.slept) & ((1 << 2 * CELL_BITS) - 1)

    def sleep(self, ticks: int) -> None:
        self.slept += ticks

    def read_register(self, register: int, tick: int) -> Reply:
        time = self.time(tick)
        if register == TIME_LOW:
            self._kept_high = time >> CELL_BITS
            return Reply(time & CELL_MASK)
        if register == TIME_HIGH:
            return Reply(time >> CELL_BITS if self._kept_high is None else self._kept_high)
        return REFUSAL

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        return REFUSAL

    def save(self) -> dict[str, Any]:
        return {"slept": self.slept, "kept_high": self._kept_high}

    def restore(self, saved: dict[str, Any]) -> None:
        slept = saved_number(saved, "slept")
        self._kept_high = None if saved.get("kept_high") is None else saved_number(saved, "kept_high", CELL_BITS)
        self.slept = slept
