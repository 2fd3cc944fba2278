"""What a machine may ask its host for. What is not granted is denied: the request traps."""

from __future__ import annotations

from enum import Flag, auto

from ..isa.ports import Device


class Capability(Flag):
    CONSOLE = auto()
    CLOCK = auto()
    """The clock's registers, and system call `sleep`."""
    STORAGE = auto()
    ENTROPY = auto()
    """System call `entropy_probe`."""
    MEMORY = auto()
    """System call `alloc`, up to the host's limit."""
    MAP = auto()
    """System call `map`, for the shards that the host was given."""
    PAYLOAD = auto()
    """System call `beam_emit`."""


DEFAULT = Capability.CONSOLE | Capability.CLOCK | Capability.ENTROPY | Capability.MEMORY | Capability.PAYLOAD
"""Storage and shards are granted by giving some."""

CAPABILITY_OF_DEVICE = {
    Device.CONSOLE: Capability.CONSOLE,
    Device.CLOCK: Capability.CLOCK,
    Device.STORAGE: Capability.STORAGE,
}
CAPABILITY_OF_CALL = {
    "alloc": Capability.MEMORY,
    "map": Capability.MAP,
    "sleep": Capability.CLOCK,
    "beam_emit": Capability.PAYLOAD,
    "entropy_probe": Capability.ENTROPY,
}
"""`read` and `write` need the capability of their device."""
