"""A session: one machine, driven. Serves page misses, answers events, records every answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ..devices.clock import Clock
from ..devices.console import Console
from ..devices.device import REFUSAL, REGISTERS, Device, DeviceStateError, Reply, saved_number
from ..devices.entropy import Entropy
from ..devices.storage import Storage
from ..image.image import PERMISSION_READ, Image
from ..isa import ports
from ..isa.ports import CONSOLE_DATA, SYSTEM_CALLS
from ..isa.traps import Trap
from ..machine.protocol import Answer, Event, EventKind, Machine, Stop, StopReason
from ..memory.pager import Pager
from .address_space import AddressSpace, PointerTrap, Shard
from .capabilities import CAPABILITY_OF_DEVICE, DEFAULT, Capability
from .input_log import Entry, InputLog, InputLogError
from .system_calls import SystemCalls

LOG = logging.getLogger("vac.host")

ALLOCATION_LIMIT = 16 << 20
"""Bytes that `alloc` grants in all where nothing else is said."""

STATE_VERSION = 1
"""Of what `Host.save` gives."""

DENIED = Answer(trap=Trap.DENIED)


class Host:
    """Drives any engine. `run` goes on through page misses and events until something ends the run.

    console, storage: what stands behind those devices; storage is granted by giving it. seed: of `entropy_probe`.
    granted: capabilities; everything else is denied, which traps. shards: memory that `map` can grant, which grants
    the call. replay: gives the answers from this log; console output and payloads come out again, storage stays
    untouched. pager: pages the machine's memory, together with other machines'; without one all of it stays here.
    """

    def __init__(
        self,
        machine: Machine,
        image: Image,
        *,
        console: Console | None = None,
        storage: Storage | None = None,
        seed: int = 0,
        granted: Capability = DEFAULT,
        shards: Sequence[Shard] = (),
        allocation_limit: int = ALLOCATION_LIMIT,
        replay: InputLog | None = None,
        pager: Pager | None = None,
    ) -> None:
        if storage:
            granted |= Capability.STORAGE
        if shards:
            granted |= Capability.MAP
        self.machine = machine
        self.console = console or Console()
        self.granted = granted
        self.input_log = InputLog()
        self.denials: list[str] = []
        """One line for each denied request."""
        self.payloads: list[tuple[int, bytes]] = []
        """What `beam_emit` attached: (tick of the beam, bytes)."""
        clock = Clock()
        self.entropy = Entropy(seed)
        self.answered = 0
        """Entries of the input log so far, those before a restored checkpoint included."""
        self._devices: dict[ports.Device, Device] = {ports.Device.CONSOLE: self.console, ports.Device.CLOCK: clock}
        if storage:
            self._devices[ports.Device.STORAGE] = storage
        self.memory = AddressSpace(machine, image, tuple(shards), allocation_limit, pager)
        self._calls = SystemCalls(self.memory, self.device, self.payloads, clock, self.entropy, granted)
        self._recording = replay
        self._replay = replay.answers() if replay else None
        self._is_interrupted = False
        self._answer_held: Entry | None = None
        """The answer to an event that could not be completed yet."""
        self._is_output_due = False

    def interrupt(self) -> None:
        """Makes `run` come back before its tick, at the next request to the host; may be called by a signal handler."""
        self._is_interrupted = True

    def run(self, until_tick: int) -> Stop:
        """Runs until `tick` equals `until_tick`, or the machine has halted or trapped.

        After `interrupt` it comes back once with the reason TICK, whatever the tick.
        Raises ReplayError when a replay asks for something else than was recorded, and PagingError when a tier of the
        pager's fails: nothing is lost then, and `run` can be called again.
        """
        while True:
            if self._is_interrupted:
                self._is_interrupted = False
                return Stop(StopReason.TICK)
            stop = self.machine.run(until_tick)
            if stop.reason is StopReason.PAGE_MISS:
                assert stop.miss
                self.memory.serve(stop.miss)
            elif stop.reason is StopReason.EVENT:
                assert stop.event
                self._serve(stop.event)
            else:
                return stop

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def save(self) -> dict[str, Any]:
        """Everything on which later answers depend, the machine's state and memory apart, as JSON values.

        Between two calls of `run`. Raises OSError where a device cannot be read.
        """
        held = self._answer_held
        return {
            "version": STATE_VERSION,
            "answered": self.answered,
            "allocated": self.memory.allocated,
            "entropy": self.entropy.save(),
            "devices": {f"{address:#04x}": device.save() for address, device in sorted(self._devices.items())},
            "held": {"entry": held.to_json(), "is_output_due": self._is_output_due} if held else None,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Goes on where `save` was called; a replay goes on at that entry of its log.

        For a host that has not run yet, with the same image, devices and shards; the caller restores the machine's
        state and memory. Raises DeviceStateError when the saved state does not fit, OSError where a device cannot be
        put back; throw the host away then.
        """
        if saved.get("version") != STATE_VERSION:
            raise DeviceStateError(f"host state of version {saved.get('version')!r}; this host reads {STATE_VERSION}")
        kept = saved.get("devices")
        here = {f"{address:#04x}": device for address, device in self._devices.items()}
        if not isinstance(kept, dict) or set(kept) != set(here):
            there = ", ".join(sorted(kept)) if isinstance(kept, dict) else "none"
            raise DeviceStateError(f"saved with the devices {there}, restored with {', '.join(sorted(here))}")
        self.answered = saved_number(saved, "answered")
        self.memory.take_over(saved_number(saved, "allocated"))
        for address, device in here.items():
            try:
                device.restore(kept[address])
            except DeviceStateError as error:
                raise DeviceStateError(f"device {address}: {error}") from error
        self.entropy.restore(saved.get("entropy") or {})
        self._answer_held, self._is_output_due = None, False
        if held := saved.get("held"):
            try:
                self._answer_held, self._is_output_due = Entry.from_json(held["entry"]), bool(held["is_output_due"])
            except (InputLogError, KeyError, TypeError) as error:
                raise DeviceStateError(f"the answer held for the waiting instruction is damaged: {error}") from error
        if self._recording:
            taken = self.answered + (self._answer_held is not None)
            self._replay = InputLog(self._recording.entries[taken:]).answers()

    def device(self, address: int) -> Device | None:
        """The device whose first address this is, or None when it is not there or not granted."""
        try:
            device = ports.Device(address)
        except ValueError:
            return None
        if not CAPABILITY_OF_DEVICE.get(device, Capability(0)) & self.granted:
            return None
        return self._devices.get(device)

    def _serve(self, event: Event) -> None:
        # Where a tier fails on the way, the same answer is given later: what a device gave is not to be had twice.
        if self._answer_held is None:
            answer = self._replay.answer(event) if self._replay else self._answer(event)
            self._answer_held = Entry(event.tick, event.kind, event.number, answer)
            self._is_output_due = self._replay is not None
        answer = self._answer_held.answer
        if self._is_output_due:
            self._repeat_output(event, answer)
            self._is_output_due = False
        for slot, offset, data in answer.writes:
            self.memory.make_resident(slot, offset, len(data))
        for _, window in answer.windows:
            self.memory.note_grant(window)
        self._answer_held = None
        self.answered += 1
        self.input_log.record(event, answer)
        self.machine.answer(answer)

    def _answer(self, event: Event) -> Answer:
        """Fails closed: a device that cannot do its work refuses."""
        try:
            if event.kind is EventKind.SYSTEM_CALL:
                answer = self._calls.answer(event, self.machine.state())
            else:
                answer = self._access(event)
        except PointerTrap as trapped:
            answer = Answer(trap=trapped.trap)
        except OSError as error:
            LOG.info("%s refused: %s", describe(event), error)
            answer = _answer_of(REFUSAL)
        if answer.trap is Trap.DENIED:
            line = f"{describe(event)} denied: not granted"
            self.denials.append(line)
            LOG.info(line)
        return answer

    def _access(self, event: Event) -> Answer:
        register = event.number % REGISTERS
        device = self.device(event.number - register)
        if device is None:
            return DENIED
        if event.kind is EventKind.DEVICE_IN:
            return _answer_of(device.read_register(register, event.tick))
        return _answer_of(device.write_register(register, event.arguments[0], event.tick))

    def _repeat_output(self, event: Event, answer: Answer) -> None:
        if answer.refused or answer.trap:
            return
        if event.kind is EventKind.DEVICE_OUT and event.number == ports.Device.CONSOLE + CONSOLE_DATA:
            self.console.write_register(CONSOLE_DATA, event.arguments[0], event.tick)
        elif event.kind is EventKind.SYSTEM_CALL and SYSTEM_CALLS[event.number].name in ("write", "beam_emit"):
            pointer, length = event.arguments[-2:]
            where = self.memory.locate(self.machine.state(), pointer, length, PERMISSION_READ)
            data = self.memory.read(*where, length)
            if SYSTEM_CALLS[event.number].name == "beam_emit":
                self.payloads.append((event.tick, data))
            elif event.arguments[0] == ports.Device.CONSOLE:
                self.console.write(data[: answer.value])


def _answer_of(reply: Reply) -> Answer:
    return Answer(reply.value, reply.refused)


def describe(event: Event) -> str:
    """A request in words."""
    if event.kind is EventKind.SYSTEM_CALL:
        call = SYSTEM_CALLS[event.number]
        arguments = ", ".join(f"{name} {value:#x}" for name, value in zip(call.arguments, event.arguments, strict=True))
        what = f"sys {call.name}({arguments})"
    else:
        what = f"{event.kind.value} {event.number:#04x}"
    return f"tick {event.tick}, pc {event.pc:#x}: {what}"
