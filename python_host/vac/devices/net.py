"""Net loopback at 0x40: messages between the machines of a run. Nothing here reaches a network.

| register | `in` | `out` |
|---|---|---|
| 0 waiting | messages that can be read | takes the first one away unread; refused when there is none |
| 1 own | number of this machine | refused |
| 2 peer | number of the machine that `write` sends to | sets it |
| 3 sender | who sent the first message; refused when there is none | refused |
| 4 left | bytes of the first message still to read; refused when there is none | refused |
| 5 lost | messages that found no room | refused |
| 6 receive | waits until a message can be read; the ticks that took | longest wait in ticks, 0xFFFFFFFF for ever |

System call `write` sends all its bytes as one message, at most 64 KiB; `read` gives bytes of the first message, never
of two, and none when nothing waits. Each peer is a capability: what goes to another machine than those is denied. While
a machine waits in `receive` it runs no instruction, but virtual time goes on; where that took the longest wait, or
0xFFFFFFFE ticks, nothing may have come. It is refused to wait for ever where no other machine can send to this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .device import (
    ACCEPTED,
    REFUSAL,
    Access,
    AccessDenied,
    BaseDevice,
    DeviceStateError,
    Reply,
    counted,
    saved_number,
)
from .mailbox import DEFAULT_CAPACITY, MAX_MESSAGE_BYTES, Mailbox
from .message_bus import MessageBus
from .waits import FOREVER

WAITING = 0
OWN = 1
PEER = 2
SENDER = 3
MESSAGE_LEFT = 4
LOST = 5
RECEIVE = 6
_KIND = "message"


class Net(BaseDevice):
    """number: of this machine on the bus, u16. peers: machines that it may send to. capacity: bytes that can wait.

    hears: machines that can send to it; None for any. Raises BusError.
    """

    def __init__(
        self,
        bus: MessageBus,
        number: int,
        peers: Iterable[int] = (),
        hears: Iterable[int] | None = None,
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        self.bus = bus
        self.number = number
        self.peers = frozenset(peers)
        self._peer = min(self.peers, default=0)
        self._longest = FOREVER
        self._mailbox = Mailbox(bus.join(number, hears), capacity)

    def read_register(self, register: int, tick: int) -> Reply:
        if register == OWN:
            return Reply(self.number)
        if register == PEER:
            return Reply(self._peer)
        if register == RECEIVE:
            return self._mailbox.receive(self, self._longest, None, _KIND)
        if register not in (WAITING, SENDER, MESSAGE_LEFT, LOST):
            return REFUSAL
        self._settle()
        first = self._mailbox.first
        if register == WAITING:
            return counted(len(self._mailbox))
        if register == LOST:
            return counted(self._mailbox.lost)
        if first is None:
            return REFUSAL
        return Reply(first.sender) if register == SENDER else counted(self._mailbox.left)

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        if register == PEER:
            self._peer = value
            return ACCEPTED
        if register == RECEIVE:
            self._longest = value
            return ACCEPTED
        if register == WAITING:
            self._settle()
            return ACCEPTED if self._mailbox.drop() else REFUSAL
        return REFUSAL

    def read(self, length: int) -> bytes:
        self._settle()
        return self._mailbox.read(length)

    def write(self, data: bytes) -> int | None:
        if self._peer not in self.peers:
            raise AccessDenied(f"peer {self._peer} was not granted")
        if len(data) > MAX_MESSAGE_BYTES:
            return None
        self._mailbox.port.send((self._peer,), 0, self.machine.labels(), data, self.machine.time)
        return len(data)

    def follow(self, access: Access) -> None:
        """What this machine set, sent and waited: who else was there, and what came, is not in the recording."""
        if access.is_output:
            if access.register is None:
                self._mailbox.port.sent += 1
            elif access.register != WAITING:
                self.write_register(access.register, access.value, access.tick)
        elif access.register == RECEIVE:
            self.machine.sleep(access.value)

    def save(self) -> dict[str, Any]:
        saved = {"number": self.number, "peer": self._peer, "longest": self._longest}
        return saved | {"mailbox": self._mailbox.save()}

    def restore(self, saved: dict[str, Any]) -> None:
        peer = saved_number(saved, "peer", 32)
        longest = saved_number({"longest": FOREVER, **saved}, "longest", 32)
        if saved.get("number") != self.number:
            raise DeviceStateError(f"it was machine {saved.get('number')} of the run, and is machine {self.number} now")
        self._mailbox.restore(saved.get("mailbox") or {})
        self._peer, self._longest = peer, longest

    def _settle(self) -> None:
        self._mailbox.settle(self, lambda message: True, _KIND)
