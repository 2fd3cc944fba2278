"""The gate between a machine's requests and what they reach."""

from __future__ import annotations

from ..devices.clock import Clock
from ..isa.limits import LEAF_BITS
from ..isa.ports import SYSTEM_CALLS
from ..machine.protocol import Event, EventKind, Machine
from ..machine.state import State
from .address_space import AddressSpace
from .guard import QWAVE, Action, Denial, DenialKind, DenialLog, Denied, Facts, Guard, Resource


class _FactsUnavailable(Exception):
    """The engine or a tier failed; that is no decision."""


class Gate:
    """Asks the guard about the request at hand; without a guard everything passes that the capabilities let through.

    Also what devices know of the machine (`devices.device.Surroundings`), while a request is at hand.
    """

    def __init__(
        self, machine: Machine, memory: AddressSpace, clock: Clock, guard: Guard | None, denials: DenialLog
    ) -> None:  # fmt: skip
        self._machine = machine
        self._memory = memory
        self._clock = clock
        self._guard = guard
        self._denials = denials
        self._event = Event(EventKind.DEVICE_IN, 0, (), 0, 0)
        self._state: State | None = None
        self._range: tuple[int, int, int] | None = None
        self._labels: int | None = None

    def begin(self, event: Event) -> None:
        """Another request is at hand."""
        self._event = event
        self._state = self._range = self._labels = None

    def stand(self, state: State) -> None:
        """No request of the program is at hand; the machine stands here."""
        self.begin(Event(EventKind.DEVICE_IN, 0, (), state.pc, state.tick))
        self._state = state

    def lets_out(self, slot: int, offset: int, length: int) -> None:
        """The request lets out this memory."""
        self._range = slot, offset, length

    @property
    def state(self) -> State:
        """Of the machine, before the waiting instruction."""
        if self._state is None:
            self._state = self._machine.state()
        return self._state

    # ---- what devices know -----------------------------------------------------------------------------------------

    @property
    def tick(self) -> int:
        return self._event.tick

    @property
    def time(self) -> int:
        return self._event.tick + self._clock.slept

    def labels(self) -> int:
        """Of the arguments, and of all leaves that the memory let out lies in. Raises PagingError."""
        if self._labels is None:
            state, count = self.state, len(self._event.arguments)
            labels = 0
            if state.has_labels:
                for index in range(state.sp - count, state.sp):
                    labels |= state.labels[index]
                if self._range and self._range[2]:
                    slot, offset, length = self._range
                    for number in range(offset >> LEAF_BITS, (offset + length - 1 >> LEAF_BITS) + 1):
                        labels |= self._memory.leaf(slot, number).labels
            self._labels = labels
        return self._labels

    def sleep(self, ticks: int) -> None:
        self._clock.sleep(ticks)

    def admit(self, labels: int, length: int, what: str) -> bool:
        return self.permits(Action.INGEST, QWAVE, labels, length, what)

    # ---- decisions -------------------------------------------------------------------------------------------------

    def check(
        self, action: Action, resource: Resource, length: int = 0, permissions: int = 0, register: int = 0
    ) -> None:  # fmt: skip
        """Raises Denied; and what the engine or a tier raises where facts cannot be had, which lets nothing pass."""
        veto = self._veto(action, resource, (length, permissions, register))
        if veto is not None:
            raise Denied(*veto)

    def permits(self, action: Action, resource: Resource, labels: int, length: int, what: str) -> bool:
        """Whether something may go in or out that no request of the program carries; a veto is recorded as `what`."""
        sqi = self.state.sqi
        veto = self._veto(action, resource, Facts(labels, sqi, length, tick=self._event.tick))
        if veto is not None:
            self.record(action, resource, f"tick {self._event.tick}, pc {self._event.pc:#x}: {what}", *veto)
        return veto is None

    def record(self, action: str, resource: Resource, request: str, policy: str, kind: DenialKind) -> None:
        event = self._event
        self._denials.add(Denial(event.tick, event.pc, action, str(resource), request, policy, kind))

    def _veto(
        self, action: Action, resource: Resource, known: Facts | tuple[int, int, int]
    ) -> tuple[str, DenialKind] | None:
        if self._guard is None:
            return None

        def facts() -> Facts:
            if isinstance(known, Facts):
                return known
            try:
                return Facts(self.labels(), self.state.sqi, *known, tick=self._event.tick)
            except Exception as error:
                raise _FactsUnavailable from error

        try:
            policy = self._guard.decide(action, resource, facts)
        except _FactsUnavailable as unavailable:
            assert unavailable.__cause__
            raise unavailable.__cause__ from None
        except Exception as error:
            return f"error while deciding: {type(error).__name__}: {error}", DenialKind.ERROR
        return None if policy is None else (policy, DenialKind.POLICY)


def describe(event: Event) -> str:
    """A request in words."""
    if event.kind is EventKind.SYSTEM_CALL:
        call = SYSTEM_CALLS[event.number]
        arguments = ", ".join(f"{name} {value:#x}" for name, value in zip(call.arguments, event.arguments, strict=True))
        what = f"sys {call.name}({arguments})"
    else:
        what = f"{event.kind.value} {event.number:#04x}"
    return f"tick {event.tick}, pc {event.pc:#x}: {what}"
