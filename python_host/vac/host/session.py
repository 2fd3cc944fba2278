"""A session: one machine, driven. Serves page misses, answers events, records every answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..devices.clock import Clock
from ..devices.console import Console
from ..devices.device import (
    REFUSAL,
    REGISTERS,
    Access,
    AccessDenied,
    BaseDevice,
    Device,
    DeviceStateError,
    NotYet,
    Reply,
    saved_number,
)
from ..devices.entropy import Entropy
from ..devices.message_bus import MessageAwaited
from ..devices.net import Net
from ..devices.qwave import QWave
from ..devices.storage import Storage
from ..devices.waits import ENDED
from ..image.image import PERMISSION_READ, Image
from ..isa import ports
from ..isa.limits import CELL_BITS
from ..isa.ports import SYSTEM_CALLS
from ..isa.traps import Trap
from ..machine.protocol import Answer, Event, EventKind, Machine, Stop, StopReason
from ..memory.pager import Pager
from .address_space import AddressSpace, PointerTrap, Shard
from .capabilities import CAPABILITY_OF_DEVICE, DEFAULT, Capability
from .gate import Gate, describe
from .guard import (
    BEAMS,
    CLOCK,
    ENTROPY,
    EXPORT,
    MEMORY,
    NOT_GRANTED,
    QWAVE,
    Action,
    DenialKind,
    DenialLog,
    Denied,
    Guard,
    Resource,
    device_name,
)
from .input_log import Entry, InputLog, InputLogError
from .residency import leaves_of_answer
from .system_calls import SystemCalls
from .traffic import Traffic

LOG = logging.getLogger("vac.host")

ALLOCATION_LIMIT = 16 << 20
"""Bytes that `alloc` grants in all where nothing else is said."""

STATE_VERSION = 1
"""Of what `Host.save` gives."""

DENIED = Answer(trap=Trap.DENIED)
_LAST_ADDRESS = 0xF0
_NAMED = frozenset(ports.Device)
_RESOURCE_OF_CALL = {
    Action.ALLOC: MEMORY,
    Action.SLEEP: CLOCK,
    Action.BEAM_EMIT: BEAMS,
    Action.ENTROPY_PROBE: ENTROPY,
}


class Host:
    """Drives any engine. `run` goes on through page misses and events until something ends the run.

    console, storage: what stands behind those devices. devices: others, or these in another make, by first address
    (0x20, 0x30, ... 0xF0). Storage and `devices` are granted by giving them. seed: of `entropy_probe`. granted:
    capabilities; everything else is denied, which traps. guard: a policy, asked about what the capabilities let
    through. shards: memory that `map` can grant, which grants the call. replay: gives the answers from this log;
    console output and payloads come out again, files stay untouched, nothing goes to other machines. pager: pages the
    machine's memory, together with other machines'; without one all of it stays here. Raises ValueError for an address
    where no device can be.
    """

    def __init__(
        self,
        machine: Machine,
        image: Image,
        *,
        console: Console | None = None,
        storage: Storage | None = None,
        devices: Mapping[int, Device] | None = None,
        seed: int = 0,
        granted: Capability = DEFAULT,
        guard: Guard | None = None,
        shards: Sequence[Shard] = (),
        allocation_limit: int = ALLOCATION_LIMIT,
        replay: InputLog | None = None,
        pager: Pager | None = None,
    ) -> None:
        clock = Clock()
        given: dict[int, Device] = {ports.Device.STORAGE: storage} if storage else {}
        given |= devices or {}
        for address in given:
            if address % REGISTERS or not ports.Device.QWAVE <= address <= _LAST_ADDRESS:
                raise ValueError(f"no device can be given at {address:#04x}: 0x20, 0x30 and so on to 0xf0 are for that")
            if address in _NAMED:
                granted |= CAPABILITY_OF_DEVICE[ports.Device(address)]
        if shards:
            granted |= Capability.MAP
        self.machine = machine
        self.console = console or Console()
        self.clock = clock
        self.granted = granted
        self.input_log = InputLog()
        self.denial_log = DenialLog()
        self.payloads: list[tuple[int, bytes]] = []
        """What `beam_emit` attached: (tick of the beam, bytes)."""
        self.entropy = Entropy(seed)
        self.answered = 0
        """Entries of the input log so far, those before a restored checkpoint included."""
        self.traffic = Traffic()
        """Since this host was made."""
        self.waits_for: NotYet | None = None
        """Why the last `run` came back early: the machine waits for others, before the instruction that asked."""
        self.is_wait_new = False
        """Whether that one began to wait for a message, so that others may now know enough to go on."""
        self._is_wait_noted = False
        self._devices: dict[int, Device] = {ports.Device.CONSOLE: self.console, ports.Device.CLOCK: clock, **given}
        self._busses = [(each.bus, each.number) for each in self._devices.values() if isinstance(each, Net | QWave)]
        self.memory = AddressSpace(machine, image, tuple(shards), allocation_limit, pager)
        self._gate = Gate(machine, self.memory, clock, guard, self.denial_log)
        for device in self._devices.values():
            if isinstance(device, BaseDevice):
                device.machine = self._gate
        self._calls = SystemCalls(
            self.memory, self.device, self.payloads, clock, self.entropy, granted, self._gate
        )  # fmt: skip
        self._recording = replay
        self._replay = replay.answers() if replay else None
        self._is_interrupted = False
        self._answer_held: Entry | None = None
        """The answer to an event that could not be completed yet."""
        self._is_output_due = False

    @property
    def denials(self) -> list[str]:
        """One line for each denied request."""
        return [str(denial) for denial in self.denial_log.records]

    def interrupt(self) -> None:
        """Makes `run` come back before its tick, at the next request to the host; may be called by a signal handler."""
        self._is_interrupted = True

    def run(self, until_tick: int) -> Stop:
        """Runs until `tick` equals `until_tick`, or the machine has halted or trapped.

        With the reason TICK, whatever the tick, it comes back once after `interrupt`, and where the machine has to wait
        until others have come further: `waits_for` says so. Raises ReplayError when a replay asks for something else
        than was recorded, and PagingError when a tier of the pager's fails: nothing is lost then, and `run` can be
        called again.
        """
        self.waits_for, self.is_wait_new = None, False
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
                self._note_time(stop.event.tick + self.clock.slept)
                if self._has_to_wait(stop.event):
                    return Stop(StopReason.TICK)
            else:
                self._note_time(until_tick + self.clock.slept if stop.reason is StopReason.TICK else ENDED)
                return stop

    def _note_time(self, time: int) -> None:
        for bus, number in self._busses:
            bus.note_time(number, time)

    def _has_to_wait(self, event: Event) -> bool:
        """Serves a request, unless it has to wait for others; then the busses know of it."""
        while True:
            try:
                self._serve(event)
                self.waits_for = None
                return False
            except NotYet as waits:
                self.waits_for = waits
                is_known = self._is_wait_noted or not isinstance(waits, MessageAwaited)
                if isinstance(waits, MessageAwaited):
                    for bus, number in self._busses:
                        bus.note_wait(number, waits.wait)
                    self._is_wait_noted = True
                if is_known:
                    return True
                self.is_wait_new = True  # asked again, now that all busses know: they may depend on each other

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

    # ---- policy --------------------------------------------------------------------------------------------------

    def may_export(self, labels: int, length: int, what: str) -> bool:
        """Whether what the run left (beams, payloads, a sheet) may leave the host. A veto is recorded as `what`."""
        self._gate.stand(self.machine.state())
        return self._gate.permits(Action.EXPORT, EXPORT, labels, length, what)

    def may_ingest(self, labels: int, length: int, what: str) -> bool:
        """Whether a beam, collapsed ones above all, may go back in. A veto is recorded as `what`."""
        self._gate.stand(self.machine.state())
        return self._gate.permits(Action.INGEST, QWAVE, labels, length, what)

    # ---- requests ------------------------------------------------------------------------------------------------

    def device(self, address: int) -> Device | None:
        """The device whose first address this is, or None when it is not there or not granted."""
        if address in _NAMED and not CAPABILITY_OF_DEVICE[ports.Device(address)] & self.granted:
            return None
        return self._devices.get(address)

    def _serve(self, event: Event) -> None:
        # Where a tier fails on the way, the same answer is given later: what a device gave is not to be had twice.
        if self._answer_held is None:
            answer = self._replay.answer(event) if self._replay else self._answer(event)
            self._answer_held = Entry(event.tick, event.kind, event.number, answer)
            self._is_output_due = self._replay is not None
        answer = self._answer_held.answer
        if self._is_output_due:
            self._follow(event, answer)
            self._is_output_due = False
        self.memory.residency.make_resident(leaves_of_answer(event, answer))
        for _, window in answer.windows:
            self.memory.note_grant(window)
        self.input_log.record(event, answer)
        self.answered += 1
        self.traffic.count(event, answer)
        self._answer_held = None
        if self._is_wait_noted:
            self._is_wait_noted = False
            for bus, number in self._busses:
                bus.note_wait(number, None)
        self.machine.answer(answer)

    def _answer(self, event: Event) -> Answer:
        """Fails closed: a device that cannot do its work refuses."""
        self._gate.begin(event)
        try:
            if event.kind is EventKind.SYSTEM_CALL:
                return self._calls.answer(event)
            return self._access(event)
        except PointerTrap as trapped:
            return Answer(trap=trapped.trap)
        except Denied as denied:
            self._gate.record(*_names_of(event), describe(event), denied.policy, denied.kind)
            return DENIED
        except AccessDenied as denied:
            self._gate.record(*_names_of(event), describe(event), denied.reason, DenialKind.DEVICE)
            return DENIED
        except OSError as error:
            LOG.info("%s refused: %s", describe(event), error)
            return _answer_of(REFUSAL)

    def _access(self, event: Event) -> Answer:
        register = event.number % REGISTERS
        device = self.device(event.number - register)
        if device is None:
            raise Denied(NOT_GRANTED, DenialKind.CAPABILITY)
        action, resource = _names_of(event)
        self._gate.check(action, resource, register=register)
        if event.kind is EventKind.DEVICE_IN:
            return _answer_of(device.read_register(register, event.tick))
        return _answer_of(device.write_register(register, event.arguments[0], event.tick))

    def _follow(self, event: Event, answer: Answer) -> None:
        """A recording gave this answer: what it moved then moves here too."""
        if answer.refused or answer.trap:
            return
        name = SYSTEM_CALLS[event.number].name if event.kind is EventKind.SYSTEM_CALL else ""
        if name == "sleep":
            self.clock.sleep(event.arguments[0])
        elif name == "entropy_probe":
            self.entropy.next()
        elif name == "beam_emit":
            self.payloads.append((event.tick, self._let_out(event)))
        elif name == "read":
            self._device_follows(event.arguments[0], Access(False, None, answer.value, _written(answer), event.tick))
        elif name == "write":
            data = self._let_out(event)[: answer.value]
            self._device_follows(event.arguments[0], Access(True, None, answer.value, data, event.tick))
        elif not name:
            register, is_output = event.number % REGISTERS, event.kind is EventKind.DEVICE_OUT
            value = event.arguments[0] if is_output else answer.value
            self._device_follows(event.number - register, Access(is_output, register, value, b"", event.tick))

    def _let_out(self, event: Event) -> bytes:
        pointer, length = event.arguments[-2:]
        where = self.memory.locate(self.machine.state(), pointer, length, PERMISSION_READ)
        return self.memory.read(*where, length)

    def _device_follows(self, address: int, access: Access) -> None:
        if device := self._devices.get(address):
            device.follow(access)


def _names_of(event: Event) -> tuple[Action, Resource]:
    """What a request is to a policy, or in the record of its denial."""
    if event.kind is not EventKind.SYSTEM_CALL:
        action = Action.IN if event.kind is EventKind.DEVICE_IN else Action.OUT
        return action, Resource("Device", device_name(event.number - event.number % REGISTERS))
    action = Action(SYSTEM_CALLS[event.number].name)
    if action in (Action.READ, Action.WRITE):
        return action, Resource("Device", device_name(event.arguments[0]))
    if action is Action.MAP:
        return action, Resource("Shard", str(event.arguments[2] << CELL_BITS | event.arguments[1]))
    return action, _RESOURCE_OF_CALL[action]


def _written(answer: Answer) -> bytes:
    return b"".join(data for _, _, data in answer.writes)


def _answer_of(reply: Reply) -> Answer:
    return Answer(reply.value, reply.refused)
