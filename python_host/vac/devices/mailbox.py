"""What a machine has been sent: messages that have arrived, up to a capacity, with a veto at the door."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from .device import REFUSAL, BaseDevice, DeviceStateError, Reply, saved_number
from .message_bus import Message, Port
from .waits import FOREVER

DEFAULT_CAPACITY = 1 << 16
MAX_MESSAGE_BYTES = 1 << 16


class Mailbox:
    """capacity: bytes of all messages together; one that finds no room when it arrives is lost, which is counted.

    Looking and taking happen at stated virtual times, so what is lost does not depend on when the host got to it.
    """

    def __init__(self, port: Port, capacity: int = DEFAULT_CAPACITY) -> None:
        self.port = port
        self.lost = 0
        self._capacity = capacity
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._read = 0
        """Bytes of the first message that have been read."""

    def settle(self, device: BaseDevice, is_wanted: Callable[[Message], bool], kind: str) -> None:
        """Takes in what has arrived. Raises PeersBehind."""
        self._admit(self.port.arrived(device.machine.time), device, is_wanted, kind)

    def receive(self, device: BaseDevice, longest: int, topics: frozenset[int] | None, kind: str) -> Reply:
        """Waits until there is a message, of these topics or of any; replies how many ticks that took.

        longest: FOREVER, or ticks after which it goes on without one. It also goes on when a message was vetoed; a
        machine that no other can send to is refused to wait for ever. Raises PeersBehind, and MessageAwaited as long as
        nothing has come.
        """

        def is_wanted(message: Message) -> bool:
            return topics is None or message.topic in topics

        self.settle(device, is_wanted, kind)
        if self._messages:
            return Reply(0)
        if longest == FOREVER and self.port.is_alone:
            return REFUSAL
        start = device.machine.time
        end, arrived = self.port.await_next(start, None if longest == FOREVER else longest, topics)
        device.machine.sleep(end - start)
        self._admit(arrived, device, is_wanted, kind)
        return Reply(end - start)

    def _admit(
        self, messages: list[Message], device: BaseDevice, is_wanted: Callable[[Message], bool], kind: str
    ) -> None:  # fmt: skip
        for message in messages:
            if not is_wanted(message):
                continue
            what = f"{kind} {message.sequence} of machine {message.sender}"
            if not device.machine.admit(message.labels, len(message.data), what):
                continue
            if self._bytes + len(message.data) > self._capacity:
                self.lost += 1
                continue
            self._messages.append(message)
            self._bytes += len(message.data)

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def first(self) -> Message | None:
        return self._messages[0] if self._messages else None

    @property
    def left(self) -> int:
        """Bytes of the first message that have not been read."""
        return len(self._messages[0].data) - self._read if self._messages else 0

    def read(self, length: int) -> bytes:
        """Of the first message, which goes when all of it has been read."""
        if not self._messages:
            return b""
        data = self._messages[0].data[self._read : self._read + length]
        self._read += len(data)
        if self._read == len(self._messages[0].data):
            self.drop()
        return data

    def drop(self) -> bool:
        """The first message goes; False when there is none."""
        if not self._messages:
            return False
        self._bytes -= len(self._messages.popleft().data)
        self._read = 0
        return True

    def save(self) -> dict[str, Any]:
        messages = [message.to_json() for message in self._messages]
        return {"port": self.port.save(), "messages": messages, "read": self._read, "lost": self.lost}

    def restore(self, saved: dict[str, Any]) -> None:
        rows, read, lost = saved.get("messages"), saved_number(saved, "read"), saved_number(saved, "lost")
        if not isinstance(rows, list) or not isinstance(saved.get("port"), dict):
            raise DeviceStateError("its mailbox is damaged")
        messages = deque(Message.from_json(row) for row in rows)
        if read > (len(messages[0].data) if messages else 0):
            raise DeviceStateError("more of a message has been read than there is")
        self.port.restore(saved["port"])
        self._messages, self._read, self.lost = messages, read, lost
        self._bytes = sum(len(message.data) for message in messages)
