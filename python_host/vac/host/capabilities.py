"""What a machine may ask its host for. What is not granted is denied: the request traps."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag, auto

from ..isa.ports import Device


class Capability(Flag):
    CONSOLE = auto()
    CLOCK = auto()
    """The clock's registers, and system call `sleep`."""
    QWAVE = auto()
    STORAGE = auto()
    NET = auto()
    ENTROPY = auto()
    """System call `entropy_probe`."""
    MEMORY = auto()
    """System call `alloc`, up to the host's limit."""
    MAP = auto()
    """System call `map`, for the shards that the host was given."""
    PAYLOAD = auto()
    """System call `beam_emit`."""


DEFAULT = Capability.CONSOLE | Capability.CLOCK | Capability.ENTROPY | Capability.MEMORY | Capability.PAYLOAD
"""Shards and all other devices are granted by giving some."""

CAPABILITY_OF_DEVICE = {
    Device.CONSOLE: Capability.CONSOLE,
    Device.CLOCK: Capability.CLOCK,
    Device.QWAVE: Capability.QWAVE,
    Device.STORAGE: Capability.STORAGE,
    Device.NET: Capability.NET,
}
CAPABILITY_OF_CALL = {
    "alloc": Capability.MEMORY,
    "map": Capability.MAP,
    "sleep": Capability.CLOCK,
    "beam_emit": Capability.PAYLOAD,
    "entropy_probe": Capability.ENTROPY,
}
"""`read` and `write` need the capability of their device."""


class CapabilityError(Exception):
    """There is no capability of that name."""


def capabilities_of(names: Mapping[str, bool]) -> Capability:
    """As a manifest names them: `{"console": true, "clock": true}`. What is false or not there is not granted.

    Raises CapabilityError.
    """
    granted = Capability(0)
    for name, is_granted in names.items():
        if name.upper() not in Capability.__members__ or name != name.lower():
            known = ", ".join(member.lower() for member in Capability.__members__)
            raise CapabilityError(f"there is no capability {name!r}; there are {known}")
        if is_granted:
            granted |= Capability[name.upper()]
    return granted
