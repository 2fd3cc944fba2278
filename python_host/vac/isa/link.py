"""Host link: how requests to a board and its responses are framed. The one statement for both sides.

A frame is FLAG, body, FLAG on a byte stream (8N1 on boards). In the body FLAG and ESCAPE are sent as ESCAPE and the
byte exclusive-or ESCAPE_MASK. The unescaped body is whole words of 32 bits, low byte first: a header, the payload, and
the CRC-32 (ISO-HDLC, as zlib computes it) of all before it. Anything else is dropped without a response.

Header: byte 0 the `Request`, in a response with RESPONSE set; byte 1 the sequence number; byte 2 `LinkStatus` in
a response, 0 in a request; byte 3 the session.

A session is a number that the host chooses, 1 to 255. A HELLO under another session than the board's opens it, and its
sequence number is the first. From then on the board executes a request only where its session is the board's and its
number is the one behind the last. The number that it executed last it does not execute again: it repeats the response.
Every other frame takes no effect and is answered with NO_SESSION.

One request is under way at a time; a host that hears nothing sends it again under the same number. So each request
takes effect exactly once and in order, however many frames are lost, repeated or late, as long as none comes later
than by 254 others. Nothing in a session depends on time: it goes on where it was after any silence. Beams wait in the
core's buffer until a BEAMS request gives credit for them, and a full buffer holds the core back.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from .beam import BEAM_BYTES
from .state_map import HOST_ADDRESS_BITS

FLAG = 0x7E
ESCAPE = 0x7D
ESCAPE_MASK = 0x20

PROTOCOL_VERSION = 2
HELLO_MAGIC = int.from_bytes(b"VAC!", "little")
RESPONSE = 0x80
"""Set in byte 0 of a response's header."""

PAYLOAD_WORDS = 254
"""Most words of payload in a frame, so that it fits a buffer of 256 words with header and CRC."""
SEGMENT_COUNT_SHIFT = HOST_ADDRESS_BITS
SEGMENT_WORDS = 255
"""Most words of one segment. A segment word holds the first host-port address and, above it, the number of words."""

BEAM_WORDS = BEAM_BYTES // 4 + 1
"""A shipped beam: the record, then its tick modulo 2**32."""
BEAMS_A_FRAME = PAYLOAD_WORDS // BEAM_WORDS


class Request(IntEnum):
    HELLO = 0
    """Opens a session. Payload: none. Response: HELLO_MAGIC, PROTOCOL_VERSION."""
    WRITE = 1
    """Payload: segments, each a segment word and as many words, written at rising addresses. Response: none."""
    READ = 2
    """Payload: segment words. Response: their words, one after the other."""
    RUN = 3
    """Payload: segments, as for WRITE: a budget, a device's answer, a translation. Then takes a halt request back and
    lets the core run. Response: none."""
    HALT = 4
    """Payload: none. Requests that the core stops; it has done so when a response says STOPPED."""
    POLL = 5
    """Payload: none. For the status alone."""
    BEAMS = 6
    """Payload: the most beams wanted. Response: what is waiting, BEAM_WORDS a beam."""


class LinkStatus(IntFlag):
    STOPPED = 1
    """The core is stopped."""
    REFUSED = 2
    """The request was not carried out, or not wholly: unknown, too long, or an access or run while the core runs."""
    BEAMS_WAIT = 4
    """At least one beam is waiting."""
    NO_SESSION = 8
    """The request took no effect: the session is another one, or the number is not the next. The payload means
    nothing."""
