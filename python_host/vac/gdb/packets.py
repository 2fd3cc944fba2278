"""Packets of the remote serial protocol: ``$payload#checksum``, with acknowledgements and the interrupt byte.

In a payload ``}`` escapes the next byte, which stands XOR 0x20; ``*`` repeats the byte before it as often as the next
byte says, less 29. The checksum is the sum of the bytes as they are sent, modulo 256, in two hexadecimal digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MOST_PAYLOAD = 1 << 16
"""Bytes of an incoming packet; a longer one is refused."""
_ESCAPED = frozenset(b"#$}*")
_MOST_REPEATS = 126 - 29
_LEAST_REPEATS = 3
_NOT_AS_COUNT = frozenset(b"#$+-")


class Signal(Enum):
    """What comes beside packets."""

    ACK = "+"
    NAK = "-"
    INTERRUPT = "\x03"
    BROKEN = "broken"
    """A packet whose checksum is wrong, or that is too long."""


@dataclass(frozen=True)
class Packet:
    payload: bytes


def frame(payload: bytes, is_short: bool = True) -> bytes:
    """The packet's bytes. is_short: with runs of a byte written as such, as only a server may."""
    body = bytearray()
    position = 0
    while position < len(payload):
        byte = payload[position]
        run = 1
        while is_short and run <= _MOST_REPEATS and payload[position + run : position + run + 1] == bytes([byte]):
            run += 1
        body += bytes((0x7D, byte ^ 0x20)) if byte in _ESCAPED else bytes((byte,))
        repeats = run - 1
        while repeats >= _LEAST_REPEATS and repeats + 29 in _NOT_AS_COUNT:
            repeats -= 1
        if repeats >= _LEAST_REPEATS and byte not in _ESCAPED:
            body += bytes((0x2A, repeats + 29))
            position += 1 + repeats
        else:
            position += 1
    return b"$%b#%02x" % (bytes(body), sum(body) & 0xFF)


def unpack(body: bytes) -> bytes | None:
    """The payload of what stands between ``$`` and ``#``; None where an escape or a run is cut off or wrong."""
    payload = bytearray()
    position = 0
    while position < len(body):
        byte = body[position]
        if byte in (0x7D, 0x2A):
            position += 1
            if position == len(body):
                return None
            if byte == 0x7D:
                payload.append(body[position] ^ 0x20)
            elif not payload or not 32 <= body[position] <= 126:
                return None
            else:
                payload += payload[-1:] * (body[position] - 29)
        else:
            payload.append(byte)
        position += 1
    return bytes(payload) if len(payload) <= MOST_PAYLOAD else None


class PacketReader:
    """Cuts what arrives into packets and signals, whatever the pieces it arrives in."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Packet | Signal]:
        """What is complete now, in order."""
        self._held += data
        found: list[Packet | Signal] = []
        while self._held:
            first = self._held[0]
            if first != ord("$"):
                del self._held[0]
                if chr(first) in "+-\x03":
                    found.append(Signal(chr(first)))
                continue
            end = self._held.find(b"#")
            if end < 0 or len(self._held) < end + 3:
                if len(self._held) <= 2 * MOST_PAYLOAD:
                    break
                self._held.clear()
                found.append(Signal.BROKEN)
                continue
            body, digits = bytes(self._held[1:end]), bytes(self._held[end + 1 : end + 3])
            del self._held[: end + 3]
            payload = unpack(body) if digits.lower() == b"%02x" % (sum(body) & 0xFF) else None
            found.append(Signal.BROKEN if payload is None else Packet(payload))
        return found
