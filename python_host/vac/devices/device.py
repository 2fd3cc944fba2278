"""What a device is to the host: sixteen registers and, where it has one, a stream of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


class Device(Protocol):
    """tick: retired instructions before the request."""

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


class RegisterDevice:
    """A device without a stream."""

    def read(self, length: int) -> bytes | None:
        return None

    def write(self, data: bytes) -> int | None:
        return None
