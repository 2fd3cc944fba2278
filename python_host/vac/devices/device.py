"""What a device is to the host: sixteen registers and, where it has one, a stream of bytes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Protocol

from ..isa.limits import CELL_MASK
from ..isa.ports import REFUSED

REGISTERS = 16
"""Addresses of one device; the low four bits of an address name the register."""


@dataclass(frozen=True)
class Reply:
    """A device's answer. value: the cell that `in` pushes. refused: the program is told no."""

    value: int = 0
    refused: bool = False


REFUSAL = Reply(REFUSED, refused=True)
"""The answer of every register that a device does not have, and of every device at its end."""

ACCEPTED = Reply()


def counted(count: int) -> Reply:
    """A count as a cell, at most one below REFUSED, so that no count reads as a refusal."""
    return Reply(min(count, CELL_MASK - 1))


class AccessDenied(Exception):
    """A device must not do for this program what it asks; the request traps DENIED. reason: why, in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotYet(Exception):
    """What the program asks for is not settled yet: the machine waits before the instruction, and asks again."""


class DeviceStateError(Exception):
    """What a checkpoint kept of a device does not fit the device that it is given to."""


class Restorable(Protocol):
    """What a checkpoint can hold of a device, or of the host: everything that later answers depend on."""

    def save(self) -> dict[str, Any]:
        """Its state as JSON values: the same state always gives the same ones."""
        ...

    def restore(self, saved: dict[str, Any]) -> None:
        """Becomes what `save` was called on. Raises DeviceStateError, and is unchanged then."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """A request that was answered. register: None for the system calls. value: the cell that came in or went out, or
    the count of bytes. data: what `read` gave, or `write` took."""

    is_output: bool
    register: int | None
    value: int
    data: bytes
    tick: int


class Surroundings(Protocol):
    """What a device may know of the machine that asks."""

    @property
    def tick(self) -> int:
        """Retired instructions before the request."""
        ...

    @property
    def time(self) -> int:
        """Virtual time of the request: ticks, and ticks slept. Never goes back."""
        ...

    def labels(self) -> int:
        """Label set of what the request lets out."""
        ...

    def sleep(self, ticks: int) -> None:
        """The request takes so much virtual time."""
        ...

    def admit(self, labels: int, length: int, what: str) -> bool:
        """Whether something from another machine may come in. A veto is recorded, under the words `what`."""
        ...


class Device(Restorable, Protocol):
    """tick: retired instructions before the request.

    Every method may raise OSError, which the program sees as a refusal; AccessDenied; and NotYet, if it has changed
    nothing.
    """

    def read_register(self, register: int, tick: int) -> Reply:
        """`in`: a register, 0 to 15."""
        ...

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        """`out`: a cell into a register, 0 to 15."""
        ...

    def read(self, length: int) -> bytes | None:
        """System call `read`: up to `length` bytes, none at the end; None when there is nothing to read here, ever."""
        ...

    def write(self, data: bytes) -> int | None:
        """System call `write`: how many of the bytes were taken; None when nothing may be written here."""
        ...

    def follow(self, access: Access) -> None:
        """A recording gave the answer: moves the device's state as answering did, and shows again what was shown.

        Never called for a request that was refused or trapped.
        """
        ...


class BaseDevice:
    """To write a device, subclass this and say what differs: it has no register that can be read or written, no stream,
    and no state to keep. `machine` is set when a host takes the device."""

    machine: Surroundings

    def read_register(self, register: int, tick: int) -> Reply:
        return REFUSAL

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        return REFUSAL

    def read(self, length: int) -> bytes | None:
        return None

    def write(self, data: bytes) -> int | None:
        return None

    def follow(self, access: Access) -> None:
        """Nothing: for a device whose state no recording can move."""

    def save(self) -> dict[str, Any]:
        return {}

    def restore(self, saved: dict[str, Any]) -> None:
        """Nothing to restore."""


def saved_number(saved: dict[str, Any], name: str, bits: int = 64) -> int:
    """An unsigned number of a saved state. Raises DeviceStateError unless it is there and fits `bits`."""
    value = saved.get(name)
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise DeviceStateError(f"{name} is {value!r}; a number of {bits} bits belongs there")
    return value


def packed(data: bytes) -> str:
    """Bytes as a JSON string: Base64."""
    return base64.b64encode(data).decode()


def saved_bytes(saved: dict[str, Any], name: str) -> bytes:
    """Inverse of `packed`. Raises DeviceStateError unless there is such a string."""
    try:
        return base64.b64decode(saved[name], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise DeviceStateError(f"{name} is not there, or no Base64") from error
