"""What an instruction can reach outside the stacks and memory: core registers, devices, system calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class CoreRegister(IntEnum):
    """Registers that `rd` pushes. Values are those before the reading instruction retires."""

    TICK_LOW = 0
    TICK_HIGH = 1
    COHERENCE = 2
    ENTROPY = 3
    DRIFT = 4
    SCORE = 5
    CONE_IN_LOW = 6
    """LightCone: tick count at which the last input had been taken in; 0 when there was none."""
    CONE_IN_HIGH = 7
    CONE_OUT_LOW = 8
    """LightCone: tick count at which the last output had been let out; 0 when there was none."""
    CONE_OUT_HIGH = 9
    STACK_DEPTH = 10
    JOINS = 11
    VERSION = 12


class Device(IntEnum):
    """First address of each device; a device has sixteen addresses."""

    CONSOLE = 0x00
    CLOCK = 0x10
    QWAVE = 0x20
    STORAGE = 0x30
    NET = 0x40


CONSOLE_DATA = 0x00
"""`out`: one byte to the console. `in`: the next input byte, or 0xFFFFFFFF with the refused mark at the end."""
CONSOLE_COUNT = 0x01
"""`in`: input bytes waiting."""


@dataclass(frozen=True)
class SystemCall:
    """A system call: `arguments` are popped (the last one is on top), one result is pushed."""

    number: int
    name: str
    arguments: tuple[str, ...]
    takes_input: bool
    """True when the answer brings something in from outside: moves the inner LightCone register."""
    lets_output: bool
    """True when something leaves the machine: moves the outer LightCone register."""
    doc: str


SYSTEM_CALLS = (
    SystemCall(
        0,
        "read",
        ("device", "pointer", "length"),
        True,
        False,
        "Reads up to `length` bytes from a device into memory; result: the number of bytes read.",
    ),
    SystemCall(
        1,
        "write",
        ("device", "pointer", "length"),
        False,
        True,
        "Writes `length` bytes of memory to a device; result: the number of bytes written.",
    ),
    SystemCall(
        2,
        "alloc",
        ("window", "length"),
        True,
        False,
        "Grants fresh zeroed memory through a window register; result: the length granted.",
    ),
    SystemCall(
        3,
        "map",
        ("window", "shard_low", "shard_high", "offset_low", "offset_high", "length", "permissions"),
        True,
        False,
        "Grants a window onto a shard that the capabilities name; result: the length granted.",
    ),
    SystemCall(4, "sleep", ("ticks",), False, False, "Advances virtual time; result: 0."),
    SystemCall(
        5,
        "beam_emit",
        ("pointer", "length"),
        False,
        True,
        "Attaches `length` bytes of memory to this beam as its payload; result: 0.",
    ),
    SystemCall(6, "entropy_probe", (), True, False, "Result: 32 bits of the recorded random generator."),
)
SYSTEM_CALL_BY_NAME = {call.name: call for call in SYSTEM_CALLS}
REFUSED = 0xFFFFFFFF
"""Result cell that the host gives, with the refused mark, when it declines without trapping."""
