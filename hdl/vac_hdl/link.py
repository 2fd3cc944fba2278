"""Board side of the host link (see `vac.isa.link` for the protocol): byte streams to the core's host port and beams."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from vac.isa.link import (
    BEAM_WORDS,
    BEAMS_A_FRAME,
    ESCAPE,
    ESCAPE_MASK,
    FLAG,
    HELLO_MAGIC,
    PAYLOAD_WORDS,
    PROTOCOL_VERSION,
    RESPONSE,
    SEGMENT_COUNT_SHIFT,
    LinkStatus,
    Request,
)
from vac.isa.state_map import HOST_ADDRESS_BITS

from .signatures import BEAM_PORT, HostPort

_BUFFER_WORDS = 256
_HOST_WAIT = 7
"""Cycles from an address on the host port to its word, and from a start to `stopped` being 0, with some to spare."""

_HEADER = data.StructLayout({"kind": 8, "number": 8, "status": 8, "session": 8})


class LinkState(enum.Enum, shape=4):
    """Codes that are not listed lead back to RECEIVE."""

    RECEIVE = 0
    DISPATCH = 1
    FETCH = 2
    """The next word of the request is on its way out of the buffer."""
    SEGMENT = 3
    NEXT_WORD = 4
    WRITE_WORD = 5
    READ_WORD = 6
    HELLO = 7
    BEAMS = 8
    SETTLE = 9
    OPEN = 10
    LOAD = 11
    SEND = 12
    CLOSE = 13
    START = 14


class Link(wiring.Component):
    """Executes one request at a time. While it executes or responds it hears nothing.

    Attributes: received: In(stream of 8), always ready. sent: Out(stream of 8). host: Out(HostPort). beams: In(stream
    of SHIPPED_BEAM_LAYOUT).
    """

    received: In(stream.Signature(8, always_ready=True))
    sent: Out(stream.Signature(8))
    host: Out(HostPort())
    beams: In(BEAM_PORT)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Neither memory is ever read where it is being written.
        attributes: Any = {"no_rw_check": 1}
        m.submodules.request = request = Memory(shape=32, depth=_BUFFER_WORDS, init=[], attrs=attributes)
        m.submodules.response = response = Memory(shape=32, depth=_BUFFER_WORDS, init=[], attrs=attributes)
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        self._crc: Any = crc
        self._request_write, self._request_read = request.write_port(), request.read_port()
        self._response_write, self._response_read = response.write_port(), response.read_port()
        self._state = Signal(LinkState)
        self._header = Signal(_HEADER)
        self._words = Signal(range(_BUFFER_WORDS + 1))
        """Words received: header, payload and CRC."""
        self._responses = Signal(range(_BUFFER_WORDS))
        """Words of payload in the response buffer."""
        self._refused = Signal()
        self._outside = Signal()
        """The frame takes no effect. The response says so; its payload is that of the last one, which may have to be
        repeated, and means nothing."""
        m.d.comb += [self._request_read.en.eq(1), self._response_read.en.eq(1)]
        with m.Switch(self._state):
            with m.Case(LinkState.RECEIVE):
                pass
            self._execute(m)
            self._transmit(m)
            with m.Default():
                m.d.sync += self._state.eq(LinkState.RECEIVE)
        self._receive(m)
        return m

    def _receive(self, m: Module) -> None:
        """Collects a frame in the request buffer; dispatches it where its length and CRC are right."""
        byte: Any = self.received.payload
        valid = self.received.valid
        escaped = Signal()
        phase = Signal(2)
        unescaped = Signal(8)
        partial = Signal(24)
        word = Cat(partial, unescaped)
        receiving = Signal()
        m.d.comb += [
            receiving.eq(self._state == LinkState.RECEIVE),
            unescaped.eq(byte ^ Mux(escaped, ESCAPE_MASK, 0)),
            self._request_write.addr.eq(self._words[:8]),
            self._request_write.data.eq(word),
        ]
        with m.If(receiving & valid):
            with m.If(byte == FLAG):
                with m.If((phase == 0) & (self._words >= 2) & self._crc.match_detected & ~escaped):
                    m.d.sync += self._state.eq(LinkState.DISPATCH)
                with m.Else():
                    m.d.sync += self._words.eq(0)
                    m.d.comb += self._crc.start.eq(1)
                m.d.sync += [phase.eq(0), escaped.eq(0)]
            with m.Elif((byte == ESCAPE) & ~escaped):
                m.d.sync += escaped.eq(1)
            with m.Elif(self._words != _BUFFER_WORDS):
                m.d.comb += [self._crc.valid.eq(1), self._crc.data.eq(unescaped)]
                m.d.sync += [escaped.eq(0), phase.eq(phase + 1), partial.eq(word[8:])]
                with m.If(phase == 3):
                    m.d.comb += self._request_write.en.eq(1)
                    m.d.sync += self._words.eq(self._words + 1)
                    with m.If(self._words == 0):
                        header: Any = data.View(_HEADER, word)
                        m.d.sync += [
                            self._header.kind.eq(header.kind),
                            self._header.number.eq(header.number),
                            self._header.session.eq(header.session),
                        ]
            with m.Else():
                m.d.sync += phase.eq(1)  # too long: no end of this frame is a good one
        with m.If(~receiving):
            m.d.sync += [phase.eq(0), escaped.eq(0)]

    def _execute(self, m: Module) -> None:
        header, host, state = self._header, self.host, self._state
        session = Signal(8)
        last_number = Signal(8)
        in_session = Signal()
        is_next = Signal()
        is_last = Signal()
        opens = Signal()
        at = Signal(8)
        address = Signal(HOST_ADDRESS_BITS)
        left = Signal(8)
        wait = Signal(range(_HOST_WAIT + 1))
        halt = Signal()
        is_write = Signal()
        end = Signal(8)
        # Block RAM is slow on both sides: a word of the request is read in two cycles, one of the response is written
        # in the cycle behind.
        fetched, store, stores = Signal(32, name="request_word"), Signal(32, name="response_word"), Signal()
        m.d.sync += [
            fetched.eq(self._request_read.data),
            self._response_write.addr.eq(self._responses),
            self._response_write.data.eq(store),
            self._response_write.en.eq(stores),
        ]
        m.d.comb += [
            end.eq(self._words - 1),
            is_write.eq(header.kind != Request.READ),
            in_session.eq((header.session == session) & (session != 0)),
            is_next.eq(in_session & (header.number == (last_number + 1)[:8])),
            is_last.eq(in_session & (header.number == last_number)),
            opens.eq((header.kind == Request.HELLO) & (header.session != session) & (header.session != 0)),
            self._request_read.addr.eq(at),
            host.address.eq(address),
            host.write_data.eq(fetched),
            host.halt_request.eq(halt),
        ]

        def respond() -> None:
            m.d.sync += state.eq(LinkState.OPEN)

        def refuse() -> None:
            m.d.sync += self._refused.eq(1)
            respond()

        def put(word) -> None:
            m.d.comb += [store.eq(word), stores.eq(1)]
            m.d.sync += self._responses.eq(self._responses + 1)

        with m.Case(LinkState.DISPATCH):
            m.d.sync += [at.eq(1), left.eq(0), self._outside.eq(0)]
            with m.If(is_next | opens):
                m.d.sync += [
                    session.eq(header.session),
                    last_number.eq(header.number),
                    self._responses.eq(0),
                    self._refused.eq(0),
                    wait.eq(_HOST_WAIT),
                ]
                with m.Switch(header.kind):
                    with m.Case(Request.HELLO):
                        m.d.sync += state.eq(LinkState.HELLO)
                    with m.Case(Request.WRITE, Request.READ, Request.RUN):
                        m.d.sync += state.eq(LinkState.FETCH)
                        with m.If(~host.stopped):
                            refuse()
                    with m.Case(Request.HALT):
                        m.d.sync += [halt.eq(1), state.eq(LinkState.SETTLE)]
                    with m.Case(Request.POLL):
                        respond()
                    with m.Case(Request.BEAMS):
                        m.d.sync += state.eq(LinkState.BEAMS)
                        with m.If(self._words != 3):
                            refuse()
                    with m.Default():
                        refuse()
            with m.Else():
                # Either the response was lost and is repeated, or the frame is none of this session's turn.
                m.d.sync += self._outside.eq(~is_last)
                respond()
        with m.Case(LinkState.FETCH):
            m.d.sync += state.eq(LinkState.NEXT_WORD)
        with m.Case(LinkState.SEGMENT):
            m.d.sync += [address.eq(fetched), left.eq(fetched[SEGMENT_COUNT_SHIFT:]), at.eq(at + 1)]
            m.d.sync += state.eq(LinkState.FETCH)
            with m.If(at == end):
                respond()
                with m.If(header.kind == Request.RUN):
                    m.d.sync += state.eq(LinkState.START)
        with m.Case(LinkState.NEXT_WORD):
            m.d.sync += [wait.eq(_HOST_WAIT), state.eq(Mux(is_write, LinkState.WRITE_WORD, LinkState.READ_WORD))]
            with m.If(left == 0):
                m.d.sync += state.eq(LinkState.SEGMENT)
            with m.Elif(is_write & (at == end)):
                refuse()
        with m.Case(LinkState.WRITE_WORD):
            m.d.comb += host.write.eq(1)
            m.d.sync += [address.eq(address + 1), left.eq(left - 1), at.eq(at + 1), state.eq(LinkState.FETCH)]
        with m.Case(LinkState.READ_WORD):
            m.d.sync += wait.eq(wait - 1)
            with m.If(self._responses == PAYLOAD_WORDS):
                refuse()
            with m.Elif(wait == 0):
                put(host.read_data)
                m.d.sync += [address.eq(address + 1), left.eq(left - 1), state.eq(LinkState.NEXT_WORD)]
        with m.Case(LinkState.HELLO):
            put(Mux(self._responses == 0, HELLO_MAGIC, PROTOCOL_VERSION))
            with m.If(self._responses == 1):
                respond()
        with m.Case(LinkState.START):
            m.d.comb += host.start.eq(1)
            m.d.sync += [halt.eq(0), wait.eq(_HOST_WAIT), state.eq(LinkState.SETTLE)]
        self._take_beams(m, put, respond, fetched)
        with m.Case(LinkState.SETTLE):
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 0):
                respond()

    def _take_beams(self, m: Module, put, respond, wanted) -> None:
        taken, part = Signal(range(BEAMS_A_FRAME + 1)), Signal(range(BEAM_WORDS))
        words = self.beams.payload.as_value()
        reads, ready = Signal(name="wanted_is_on_its_way"), Signal(name="wanted_is_read")
        m.d.sync += [reads.eq(self._state == LinkState.BEAMS), ready.eq(reads & (self._state == LinkState.BEAMS))]
        with m.Case(LinkState.BEAMS):
            with m.If(ready):
                enough = (taken == BEAMS_A_FRAME) | (taken == wanted)
                with m.If((part == 0) & (enough | ~self.beams.valid)):
                    m.d.sync += taken.eq(0)
                    respond()
                with m.Else():
                    put(words.word_select(part, 32))
                    m.d.sync += part.eq(part + 1)
                    with m.If(part == BEAM_WORDS - 1):
                        m.d.comb += self.beams.ready.eq(1)
                        m.d.sync += [part.eq(0), taken.eq(taken + 1)]

    def _transmit(self, m: Module) -> None:
        state, crc, sent = self._state, self._crc, self.sent
        index = Signal(range(_BUFFER_WORDS))
        phase = Signal(2, name="sent_phase")
        word = Signal(32, name="sent_word")
        escaping = Signal()
        byte = word[:8]
        header: Any = Signal(_HEADER, name="sent_header")
        is_crc = Signal()
        m.d.comb += [
            # While a word is being sent, the next one is read.
            self._response_read.addr.eq(index),
            header.kind.eq(self._header.kind | RESPONSE),
            header.number.eq(self._header.number),
            header.status.eq(
                Mux(self.host.stopped, LinkStatus.STOPPED.value, 0)
                | Mux(self._refused & ~self._outside, LinkStatus.REFUSED.value, 0)
                | Mux(self.beams.valid, LinkStatus.BEAMS_WAIT.value, 0)
                | Mux(self._outside, LinkStatus.NO_SESSION.value, 0)
            ),
            header.session.eq(self._header.session),
            is_crc.eq(index == self._responses + 1),
        ]
        with m.Case(LinkState.OPEN):
            m.d.comb += [sent.valid.eq(1), sent.payload.eq(FLAG), crc.start.eq(1)]
            m.d.sync += [index.eq(0), phase.eq(0), escaping.eq(0)]
            with m.If(sent.ready):
                m.d.sync += state.eq(LinkState.LOAD)
        with m.Case(LinkState.LOAD):
            with m.If(index == 0):
                m.d.sync += word.eq(header)
            with m.Elif(is_crc):
                m.d.sync += word.eq(crc.crc)
            with m.Else():
                m.d.sync += word.eq(self._response_read.data)
            m.d.sync += state.eq(LinkState.SEND)
        with m.Case(LinkState.SEND):
            must_escape = ~escaping & ((byte == FLAG) | (byte == ESCAPE))
            m.d.comb += [
                sent.valid.eq(1),
                sent.payload.eq(Mux(must_escape, ESCAPE, byte ^ Mux(escaping, ESCAPE_MASK, 0))),
            ]
            with m.If(sent.ready):
                with m.If(must_escape):
                    m.d.sync += escaping.eq(1)
                with m.Else():
                    m.d.comb += [crc.valid.eq(1), crc.data.eq(byte)]
                    m.d.sync += [escaping.eq(0), word.eq(Cat(word[8:], Const(0, 8))), phase.eq(phase + 1)]
                    with m.If(phase == 3):
                        m.d.sync += [index.eq(index + 1), state.eq(Mux(is_crc, LinkState.CLOSE, LinkState.LOAD))]
        with m.Case(LinkState.CLOSE):
            m.d.comb += [sent.valid.eq(1), sent.payload.eq(FLAG)]
            with m.If(sent.ready):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [self._words.eq(0), state.eq(LinkState.RECEIVE)]
