"""Clock at 0x10: virtual time in ticks. Wall time is nowhere to be had.

| register | `in` | `out` |
|---|---|---|
| 0 low | low cell of virtual time; keeps the high cell for register 1 | refused |
| 1 high | high cell, as of the last reading of register 0 | refused |
| 2 frozen | 1 while virtual time stands still, else 0 | 0 lets it go on from there, else freezes it |
| 3 step | refused | moves frozen time on by so many ticks; refused while it runs |

Virtual time is the tick count plus all ticks slept. System call `sleep` moves it on without retiring anything, frozen
or not.
"""

from __future__ import annotations

from typing import Any

from ..isa.limits import CELL_BITS, CELL_MASK
from .device import ACCEPTED, REFUSAL, Access, BaseDevice, DeviceStateError, Reply, saved_number

TIME_LOW = 0
TIME_HIGH = 1
FROZEN = 2
STEP = 3
_LONG = (1 << 2 * CELL_BITS) - 1


class Clock(BaseDevice):
    """slept: ticks that `sleep` has added in all."""

    def __init__(self) -> None:
        self.slept = 0
        self._behind = 0
        """Ticks by which freezing has held virtual time back."""
        self._frozen_at: int | None = None
        self._kept_high: int | None = None

    def time(self, tick: int) -> int:
        """Virtual time, 64 bits."""
        return (tick + self.slept - self._behind if self._frozen_at is None else self._frozen_at) & _LONG

    def sleep(self, ticks: int) -> None:
        self.slept += ticks
        if self._frozen_at is not None:
            self._frozen_at += ticks

    @property
    def is_frozen(self) -> bool:
        return self._frozen_at is not None

    def freeze(self, tick: int) -> None:
        """Virtual time stands still from this tick on."""
        if self._frozen_at is None:
            self._frozen_at = self.time(tick)

    def step(self, ticks: int) -> bool:
        """Moves frozen time on; False where it is not frozen."""
        if self._frozen_at is None:
            return False
        self._frozen_at += ticks
        return True

    def thaw(self, tick: int) -> None:
        """Virtual time goes on from where it stands."""
        if self._frozen_at is not None:
            self._behind = tick + self.slept - self._frozen_at
            self._frozen_at = None

    def read_register(self, register: int, tick: int) -> Reply:
        time = self.time(tick)
        if register == TIME_LOW:
            self._kept_high = time >> CELL_BITS
            return Reply(time & CELL_MASK)
        if register == TIME_HIGH:
            return Reply(time >> CELL_BITS if self._kept_high is None else self._kept_high)
        if register == FROZEN:
            return Reply(int(self.is_frozen))
        return REFUSAL

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        if register == FROZEN:
            if value:
                self.freeze(tick)
            else:
                self.thaw(tick)
            return ACCEPTED
        if register == STEP and self.step(value):
            return ACCEPTED
        return REFUSAL

    def follow(self, access: Access) -> None:
        if access.register is None:
            return
        if access.is_output:
            self.write_register(access.register, access.value, access.tick)
        else:
            self.read_register(access.register, access.tick)

    def save(self) -> dict[str, Any]:
        return {
            "slept": self.slept,
            "behind": self._behind,
            "frozen_at": self._frozen_at,
            "kept_high": self._kept_high,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        slept = saved_number(saved, "slept")
        frozen_at = None if saved.get("frozen_at") is None else saved_number(saved, "frozen_at", 65)
        kept_high = None if saved.get("kept_high") is None else saved_number(saved, "kept_high", CELL_BITS)
        behind = saved.get("behind")
        if type(behind) is not int:
            raise DeviceStateError(f"behind is {behind!r}; a number belongs there")
        self.slept, self._behind, self._frozen_at, self._kept_high = slept, behind, frozen_at, kept_high
