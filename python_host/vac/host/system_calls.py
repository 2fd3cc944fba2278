"""The system calls, as the host answers them.

A call whose capability is missing, or that the policy forbids, is denied and traps. A call that is allowed but cannot
be had (memory beyond the limit, a shard that was not granted, a device that takes no bytes) is refused: the program
gets REFUSED and goes on. `read` gives at most MAX_READ_BYTES at once, fewer where fewer are there; `write` takes all.
A pointer is checked as a load or store through its window would be, byte by byte: PERMISSION, then BOUNDS.
"""

from __future__ import annotations

from collections.abc import Callable

from ..devices.clock import Clock
from ..devices.device import Device
from ..devices.entropy import Entropy
from ..image.image import PERMISSION_READ, PERMISSION_WRITE, Window
from ..isa.limits import CELL_BITS, WINDOWS
from ..isa.ports import REFUSED, SYSTEM_CALLS
from ..machine.protocol import Answer, Event
from .address_space import AddressSpace
from .capabilities import CAPABILITY_OF_CALL, Capability
from .gate import Gate
from .guard import BEAMS, CLOCK, ENTROPY, MEMORY, NOT_GRANTED, Action, DenialKind, Denied, Resource, device_name

MAX_READ_BYTES = 1 << 16
"""All that a call reads must be resident when it retires, on the smallest machine as well."""

REFUSAL = Answer(REFUSED, refused=True)


class SystemCalls:
    """devices: gives the device of a first address, None when it is not granted. payloads: filled by `beam_emit`."""

    def __init__(
        self,
        memory: AddressSpace,
        devices: Callable[[int], Device | None],
        payloads: list[tuple[int, bytes]],
        clock: Clock,
        entropy: Entropy,
        granted: Capability,
        gate: Gate,
    ) -> None:
        self._memory = memory
        self._devices = devices
        self._payloads = payloads
        self._clock = clock
        self._entropy = entropy
        self._granted = granted
        self._gate = gate
        self._handlers: dict[str, Callable[..., Answer]] = {
            "read": self._read,
            "write": self._write,
            "alloc": self._alloc,
            "map": self._map,
            "sleep": self._sleep,
            "beam_emit": self._beam_emit,
            "entropy_probe": self._entropy_probe,
        }

    def answer(self, event: Event) -> Answer:
        """Raises PointerTrap where a pointer traps, Denied, OSError where a device fails."""
        name = SYSTEM_CALLS[event.number].name
        capability = CAPABILITY_OF_CALL.get(name)
        if capability and not capability & self._granted:
            raise Denied(NOT_GRANTED, DenialKind.CAPABILITY)
        return self._handlers[name](*event.arguments)

    def _device(self, address: int) -> tuple[Device, Resource]:
        device = self._devices(address)
        if device is None:
            raise Denied(NOT_GRANTED, DenialKind.CAPABILITY)
        return device, Resource("Device", device_name(address))

    def _read(self, address: int, pointer: int, length: int) -> Answer:
        device, resource = self._device(address)
        slot, offset = self._memory.locate(self._gate.state, pointer, length, PERMISSION_WRITE)
        self._gate.check(Action.READ, resource, length)
        data = device.read(min(length, MAX_READ_BYTES))
        if data is None:
            return REFUSAL
        return Answer(len(data), writes=((slot, offset, data),) if data else ())

    def _write(self, address: int, pointer: int, length: int) -> Answer:
        device, resource = self._device(address)
        slot, offset = self._memory.locate(self._gate.state, pointer, length, PERMISSION_READ)
        self._gate.lets_out(slot, offset, length)
        self._gate.check(Action.WRITE, resource, length)
        taken = device.write(self._memory.read(slot, offset, length))
        return REFUSAL if taken is None else Answer(taken)

    def _alloc(self, index: int, length: int) -> Answer:
        self._gate.check(Action.ALLOC, MEMORY, length)
        return _granted(index, self._memory.allocate(length) if index < WINDOWS else None)

    def _map(
        self, index: int, shard_low: int, shard_high: int, offset_low: int, offset_high: int, length: int,
        permissions: int,
    ) -> Answer:  # fmt: skip
        shard, offset = shard_high << CELL_BITS | shard_low, offset_high << CELL_BITS | offset_low
        self._gate.check(Action.MAP, Resource("Shard", str(shard)), length, permissions)
        if index >= WINDOWS:
            return REFUSAL
        return _granted(index, self._memory.map(shard, offset, length, permissions))

    def _sleep(self, ticks: int) -> Answer:
        self._gate.check(Action.SLEEP, CLOCK)
        self._clock.sleep(ticks)
        return Answer()

    def _beam_emit(self, pointer: int, length: int) -> Answer:
        slot, offset = self._memory.locate(self._gate.state, pointer, length, PERMISSION_READ)
        self._gate.lets_out(slot, offset, length)
        self._gate.check(Action.BEAM_EMIT, BEAMS, length)
        self._payloads.append((self._gate.state.tick, self._memory.read(slot, offset, length)))
        return Answer()

    def _entropy_probe(self) -> Answer:
        self._gate.check(Action.ENTROPY_PROBE, ENTROPY)
        return Answer(self._entropy.next())


def _granted(index: int, window: Window | None) -> Answer:
    return Answer(window.length, windows=((index, window),)) if window else REFUSAL
