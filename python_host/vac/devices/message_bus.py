"""What carries messages between the machines of a run, in virtual time.

A message that is sent at virtual time s arrives at s + latency, whatever slices the machines run in, on whatever engine
or process. A machine that asks at time t gets an answer when every other one has come so far that nothing can arrive
any more until t; until then it waits. One that waits for its next message gets it in the same way, and sends nothing
before that (`waits`). The machine furthest behind never waits for others, so some machine can always go on, unless each
waits for a message that only another one of them could send.
Messages that arrive at the same time are in the order of their senders' numbers, then as they were sent.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from threading import RLock
from typing import Any

from ..isa.limits import LABEL_BITS
from .device import DeviceStateError, NotYet, packed, saved_bytes
from .waits import ENDED, Wait, earliest_times

DEFAULT_LATENCY = 1000
"""Virtual time that a message takes. Longer lets machines run further apart without waiting for each other."""
MAX_MEMBERS = 1 << 16
_LOCK = RLock()
"""One for all busses: who can send on one of them may depend on what arrives on another."""


class BusError(Exception):
    """A machine is on the bus already, or is not, or its number is out of range."""


class PeersBehind(NotYet):
    """Nothing can be said until other machines have run further. peers: their numbers."""

    def __init__(self, time: int, peers: tuple[int, ...]) -> None:
        super().__init__(f"virtual time {time} is not settled: it waits for {', '.join(map(str, peers))}")
        self.time = time
        self.peers = peers


class MessageAwaited(NotYet):
    """The machine waits for its next message, and none has arrived yet."""

    def __init__(self, wait: Wait) -> None:
        super().__init__(f"machine {wait.number} waits from virtual time {wait.since} on for a message")
        self.wait = wait


@dataclass(frozen=True, order=True, slots=True)
class Message:
    """arrival: virtual time. sequence: counts what its sender has sent. topic: 0 on a bus without topics. labels: the
    label set of the data, as it was with its sender."""

    arrival: int
    sender: int
    sequence: int
    topic: int
    labels: int
    data: bytes

    def to_json(self) -> list[Any]:
        *numbers, data = astuple(self)
        return [*numbers, packed(data)]

    @staticmethod
    def from_json(row: Any) -> Message:
        """Raises DeviceStateError."""
        if not isinstance(row, list) or len(row) != 6 or any(type(n) is not int or n < 0 for n in row[:5]):
            raise DeviceStateError(f"no message: {row!r:.80}")
        if row[4] >> LABEL_BITS:
            raise DeviceStateError(f"a message with the label set {row[4]:#x}")
        arrival, sender, sequence, topic, labels, data = row
        return Message(arrival, sender, sequence, topic, labels, saved_bytes({"data": data}, "data"))


class Port:
    """One machine on a bus; made by `MessageBus.join`. hears: the machines that can send to it; None for all."""

    def __init__(self, bus: MessageBus, number: int, hears: frozenset[int] | None) -> None:
        self.number = number
        self.hears = hears
        self.coming: list[Message] = []
        """What was sent and has not been taken, in order."""
        self.sent = 0
        self._bus = bus

    def send(self, receivers: Iterable[int] | None, topic: int, labels: int, data: bytes, time: int) -> None:
        """receivers: numbers; None for all others that hear this machine."""
        self._bus.carry(self, receivers, topic, labels, data, time)

    def arrived(self, time: int) -> list[Message]:
        """Takes what has arrived by now. Raises PeersBehind, and nothing is taken then."""
        return self._bus.collect(self, time)

    @property
    def is_alone(self) -> bool:
        """Whether no other member can send to this one."""
        return not self._bus.heard_by(self.number)

    def await_next(self, time: int, longest: int | None, topics: frozenset[int] | None) -> tuple[int, list[Message]]:
        """Waits from `time` on for the next message of these topics (None: of any), at most so long (None: for ever).
        The time at which the wait ends, and what has arrived by then. Raises MessageAwaited, and nothing is taken."""
        return self._bus.await_next(self, Wait(self._bus, self.number, time, longest, topics))

    def save(self) -> dict[str, Any]:
        return {"sent": self.sent, "coming": [message.to_json() for message in self.coming]}

    def restore(self, saved: dict[str, Any]) -> None:
        sent, coming = saved.get("sent"), saved.get("coming")
        if type(sent) is not int or sent < 0 or not isinstance(coming, list):
            raise DeviceStateError("what was on the way over the bus is damaged")
        messages = sorted(Message.from_json(row) for row in coming)
        self.sent, self.coming = sent, messages


class MessageBus:
    """latency: 1 and more, in ticks. Machines join before any of them runs. For use by several threads.

    Machines in another process are members as well (`expect`); what is theirs goes through `take_news` there and
    `give_news` here, as JSON values, as often as one likes.
    """

    def __init__(self, latency: int = DEFAULT_LATENCY) -> None:
        if latency < 1:
            raise ValueError(f"a latency of {latency}; give 1 tick or more")
        self.latency = latency
        self._ports: dict[int, Port] = {}
        self._times: dict[int, int] = {}
        """Virtual time that each member has come to; it sends nothing before that any more."""
        self._waits: dict[int, Wait] = {}
        """Members that wait for a message, here or on another bus."""
        self._hears: dict[int, frozenset[int] | None] = {}
        self._news: list[tuple[int, Message]] = []
        self._lock = _LOCK

    def join(self, number: int, hears: Iterable[int] | None = None) -> Port:
        """A machine of this process. Raises BusError."""
        with self._lock:
            self.expect(number, hears)
            port = self._ports[number] = Port(self, number, self._hears[number])
            return port

    def expect(self, number: int, hears: Iterable[int] | None = None) -> None:
        """A machine in another process. Raises BusError."""
        if not 0 <= number < MAX_MEMBERS or number in self._times:
            taken = number in self._times
            raise BusError(f"machine {number} is on the bus already" if taken else f"no machine can be number {number}")
        self._times[number] = 0
        self._hears[number] = None if hears is None else frozenset(hears)

    @property
    def members(self) -> list[int]:
        return sorted(self._times)

    def note_time(self, number: int, time: int) -> None:
        """The machine has come to this virtual time; ENDED when it sends nothing any more."""
        self._times[number] = time
        if time >= ENDED:
            self._waits.pop(number, None)

    def note_wait(self, number: int, wait: Wait | None) -> None:
        """The machine stands before a request that waits for a message, here or elsewhere; None: it does not any
        more."""
        with self._lock:
            if wait is None:
                self._waits.pop(number, None)
            else:
                self._waits[number] = wait

    def heard_by(self, number: int) -> list[int]:
        """Members that can send to this one."""
        hears = self._hears[number]
        heard = self._times.keys() if hears is None else hears & self._times.keys()
        return sorted(heard - {number})

    def time_of(self, number: int) -> int | Wait:
        """Virtual time that a member has come to; its wait, where it waits for a message."""
        return self._waits.get(number) or self._times[number]

    @property
    def waits(self) -> list[Wait]:
        """Of its members, here or elsewhere."""
        return list(self._waits.values())

    def first_awaited(self, wait: Wait) -> int | None:
        """When the first message arrives, of those on their way, that ends a wait here."""
        coming = self._ports[wait.number].coming
        return next((message.arrival for message in coming if wait.is_for(message.topic)), None)

    def carry(
        self, port: Port, receivers: Iterable[int] | None, topic: int, labels: int, data: bytes, time: int
    ) -> None:  # fmt: skip
        """`Port.send`."""
        with self._lock:
            message = Message(time + self.latency, port.number, port.sent, topic, labels, data)
            port.sent += 1
            for receiver in self.members if receivers is None else receivers:
                hears = self._hears.get(receiver)
                if receiver == port.number or receiver not in self._times:
                    continue
                if hears is None or port.number in hears:
                    self._deliver(receiver, message)

    def collect(self, port: Port, time: int) -> list[Message]:
        """`Port.arrived`."""
        with self._lock:
            times = earliest_times(self)
            behind = [n for n in self.heard_by(port.number) if times[n] + self.latency <= time]
            if behind:
                raise PeersBehind(time, tuple(behind))
            return self._take(port, time)

    def await_next(self, port: Port, wait: Wait) -> tuple[int, list[Message]]:
        """`Port.await_next`."""
        with self._lock:
            before, self._waits[port.number] = self._waits.get(port.number), wait
            times = earliest_times(self)
            # It ends when nothing that any other one may still send can arrive before.
            end = times[port.number]
            if end >= ENDED or any(times[n] + self.latency <= end for n in self.heard_by(port.number)):
                self.note_wait(port.number, before)
                raise MessageAwaited(wait)
            self.note_wait(port.number, None)
            self._times[port.number] = max(end, self._times[port.number])
            return end, self._take(port, end)

    @staticmethod
    def _take(port: Port, time: int) -> list[Message]:
        count = sum(message.arrival <= time for message in port.coming)
        taken, port.coming = port.coming[:count], port.coming[count:]
        return taken

    def take_news(self) -> dict[str, Any]:
        """For the other processes: how far the machines here have come, and what they sent since the last call."""
        with self._lock:
            news, self._news = self._news, []
            times = earliest_times(self)
            return {
                "times": {str(number): times[number] for number in self._ports},
                "messages": [[receiver, *message.to_json()] for receiver, message in news],
            }

    def give_news(self, news: dict[str, Any]) -> None:
        """From another process; each piece once, in the order of its calls. Raises DeviceStateError, BusError."""
        with self._lock:
            messages = [(row[0], Message.from_json(row[1:])) for row in news["messages"]]
            times = {int(number): time for number, time in news["times"].items()}
            if strange := [number for number in times if number not in self._times or number in self._ports]:
                raise BusError(f"machine {strange[0]} is not expected from another process")
            for receiver, message in messages:
                if receiver in self._ports:
                    self._deliver(receiver, message)
            self._times |= times

    def _deliver(self, receiver: int, message: Message) -> None:
        if receiver in self._ports:
            insort(self._ports[receiver].coming, message)
        else:
            self._news.append((receiver, message))
