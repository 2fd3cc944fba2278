"""QWave bus at 0x20: packets, beams above all, published under a topic and ingested by the machines that subscribe.

| register | `in` | `out` |
|---|---|---|
| 0 waiting | packets that can be read | takes the first one away unread; refused when there is none |
| 1 topic | topic that `write` publishes under | sets it |
| 2 subscribe | subscriptions | to this topic, from the next packet to arrive; refused beyond 64 |
| 3 unsubscribe | refused | from this topic; refused when there is no such subscription |
| 4 first topic | topic of the first packet; refused when there is none | refused |
| 5 sender | machine that published it; refused when there is none | refused |
| 6, 7 EID | low and high cell of its entanglement id; refused when there is none | refused |
| 8 left | bytes of it still to read; refused when there is none | refused |
| 9 lost | packets that found no room | refused |
| 10 receive | waits until a packet can be read; the ticks that took | longest wait in ticks, 0xFFFFFFFF for ever |

System call `write` publishes all its bytes as one packet, at most 64 KiB; `read` gives bytes of the first packet, never
of two. A packet has one entanglement id in all machines: publisher and subscribers are entangled by it. Before a packet
goes into a machine the machine's policy is asked (action `ingest`); a veto is recorded, and the packet is gone. The
wait of `receive` is that of the net (`vac.devices.net`); it ends at a packet of a subscription, also at a vetoed one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from ..isa.limits import CELL_BITS, CELL_MASK
from .device import ACCEPTED, REFUSAL, Access, BaseDevice, DeviceStateError, Reply, counted, saved_number
from .mailbox import DEFAULT_CAPACITY, MAX_MESSAGE_BYTES, Mailbox
from .message_bus import Message, MessageBus
from .waits import FOREVER

WAITING = 0
TOPIC = 1
SUBSCRIBE = 2
UNSUBSCRIBE = 3
FIRST_TOPIC = 4
SENDER = 5
EID_LOW = 6
EID_HIGH = 7
PACKET_LEFT = 8
LOST = 9
RECEIVE = 10
MAX_SUBSCRIPTIONS = 64
_KIND = "packet"


@dataclass(frozen=True)
class Entanglement:
    """One end of a packet's way. eid: `eid::<run>::<hash>`. tick, time: of the machine, when it was published or read;
    time is virtual."""

    eid: str
    machine: int
    tick: int
    time: int
    is_source: bool


class QWave(BaseDevice):
    """number: of this machine on the bus, u16. topics: subscriptions to begin with. run: names the run in EIDs.

    entanglements: what this machine published and ingested. Raises BusError.
    """

    def __init__(
        self,
        bus: MessageBus,
        number: int,
        topics: Iterable[int] = (),
        run: str = "run",
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        self.bus = bus
        self.number = number
        self.run = run
        self.entanglements: list[Entanglement] = []
        self._topic = 0
        self._topics = set(topics)
        self._longest = FOREVER
        self._mailbox = Mailbox(bus.join(number), capacity)

    def read_register(self, register: int, tick: int) -> Reply:
        if register == TOPIC:
            return Reply(self._topic)
        if register == SUBSCRIBE:
            return Reply(len(self._topics))
        if register == RECEIVE:
            return self._mailbox.receive(self, self._longest, frozenset(self._topics), _KIND)
        if register not in (WAITING, FIRST_TOPIC, SENDER, EID_LOW, EID_HIGH, PACKET_LEFT, LOST):
            return REFUSAL
        self._settle()
        if register == WAITING:
            return counted(len(self._mailbox))
        if register == LOST:
            return counted(self._mailbox.lost)
        first = self._mailbox.first
        if first is None:
            return REFUSAL
        if register in (EID_LOW, EID_HIGH):
            return Reply(_hash_of(first) >> (CELL_BITS if register == EID_HIGH else 0) & CELL_MASK)
        return {FIRST_TOPIC: Reply(first.topic), SENDER: Reply(first.sender)}.get(
            register, counted(self._mailbox.left)
        )  # fmt: skip

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        if register == TOPIC:
            self._topic = value
            return ACCEPTED
        if register == RECEIVE:
            self._longest = value
            return ACCEPTED
        if register not in (WAITING, SUBSCRIBE, UNSUBSCRIBE):
            return REFUSAL
        self._settle()  # what has arrived by now goes by the subscriptions until now
        if register == WAITING:
            return ACCEPTED if self._mailbox.drop() else REFUSAL
        return self._set_subscription(register, value)

    def _set_subscription(self, register: int, topic: int) -> Reply:
        if register == SUBSCRIBE and (topic in self._topics or len(self._topics) < MAX_SUBSCRIPTIONS):
            self._topics.add(topic)
            return ACCEPTED
        if register == UNSUBSCRIBE and topic in self._topics:
            self._topics.remove(topic)
            return ACCEPTED
        return REFUSAL

    def read(self, length: int) -> bytes:
        self._settle()
        first = self._mailbox.first
        is_fresh = first is not None and self._mailbox.left == len(first.data)
        data = self._mailbox.read(length)
        if first and is_fresh and data:
            self._entangle(first, is_source=False)
        return data

    def write(self, data: bytes) -> int | None:
        if len(data) > MAX_MESSAGE_BYTES:
            return None
        port, time, labels = self._mailbox.port, self.machine.time, self.machine.labels()
        message = Message(time + self.bus.latency, self.number, port.sent, self._topic, labels, data)
        port.send(None, self._topic, labels, data, time)
        self._entangle(message, is_source=True)
        return len(data)

    def follow(self, access: Access) -> None:
        """As `Net.follow`."""
        if access.is_output:
            if access.register is None:
                self._mailbox.port.sent += 1
            elif access.register in (SUBSCRIBE, UNSUBSCRIBE):
                self._set_subscription(access.register, access.value)
            elif access.register != WAITING:
                self.write_register(access.register, access.value, access.tick)
        elif access.register == RECEIVE:
            self.machine.sleep(access.value)

    def save(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "topic": self._topic,
            "longest": self._longest,
            "topics": sorted(self._topics),
            "mailbox": self._mailbox.save(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """`entanglements` begins anew."""
        topic, topics = saved_number(saved, "topic", 32), saved.get("topics")
        longest = saved_number({"longest": FOREVER, **saved}, "longest", 32)
        if saved.get("number") != self.number:
            raise DeviceStateError(f"it was machine {saved.get('number')} of the run, and is machine {self.number} now")
        if not isinstance(topics, list) or any(type(each) is not int for each in topics):
            raise DeviceStateError("its subscriptions are damaged")
        self._mailbox.restore(saved.get("mailbox") or {})
        self._topic, self._topics, self._longest = topic, set(topics), longest

    def _settle(self) -> None:
        self._mailbox.settle(self, lambda message: message.topic in self._topics, _KIND)

    def _entangle(self, message: Message, is_source: bool) -> None:
        eid = f"eid::{self.run}::{_hash_of(message):016x}"
        self.entanglements.append(Entanglement(eid, self.number, self.machine.tick, self.machine.time, is_source))


def _hash_of(message: Message) -> int:
    """64 bits that name a packet, in every machine the same."""
    head = f"{message.sender}:{message.sequence}:{message.arrival}:{message.topic}:{message.labels}:".encode()
    return int.from_bytes(blake3(head + message.data).digest(8), "little")
