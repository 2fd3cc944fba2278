"""Where the operands lie in the scratch RAM: stack depth, frame, and what can be wrong with them."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vac.isa.limits import DATA_STACK_CELLS, STACK_OPERAND

from .decode_table import DECODE_LAYOUT, Place
from .micro_op import Read
from .scratch_map import CELL_ADDRESS_BITS

_DETAILS = data.StructLayout({"offset": CELL_ADDRESS_BITS, "is_stack": 1, "moves": 1, "frame_wrong": 1, "illegal": 1})
"""offset: from the frame, or of an operand on the stack from the depth. moves: pops or pushes."""


class OperandAddress(wiring.Component):
    """Attributes: instruction: In(40), decoded: In(DECODE_LAYOUT), read: In(Read): B, A and DESTINATION are resolved in
    this order, once in an instruction, from the second cycle with its `decoded` on. address: Out(9), combinational.
    a_is_read, b_is_value, has_destination: Out(1). pushes: Out(1), the result is being reserved on the stack.
    begin: In(1), begins an instruction: nothing is popped, nothing wrong. commit: In(1), the depth becomes what pops
    and pushes left. depth: Out(7). frame_size: Out(8). number_wrong: In(1).
    wrong: Out(1), any of illegal, frame_wrong, stack_short: Out(1), or an overflow.
    load_depth, load_base, load_size, load_size_high: In(1), from `result`: In(32).
    """

    instruction: In(40)
    decoded: In(DECODE_LAYOUT)
    read: In(Read)
    address: Out(CELL_ADDRESS_BITS)
    a_is_read: Out(1)
    b_is_value: Out(1)
    has_destination: Out(1)
    pushes: Out(1)
    begin: In(1)
    commit: In(1)
    depth: Out(7)
    frame_size: Out(8)
    number_wrong: In(1)
    wrong: Out(1)
    illegal: Out(1)
    frame_wrong: Out(1)
    stack_short: Out(1)
    result: In(32)
    load_depth: In(1)
    load_base: In(1)
    load_size: In(1)
    load_size_high: In(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        decoded: Any = self.decoded
        m.d.comb += [
            self.a_is_read.eq((decoded.a != Place.NONE) & (decoded.a != Place.ARGUMENTS)),
            self.b_is_value.eq(decoded.b == Place.VALUE),
            self.has_destination.eq(decoded.destination != Place.NONE),
        ]
        operands = {
            Read.B: self._details(m, "b", decoded.b),
            Read.A: self._details(m, "a", decoded.a),
            Read.DESTINATION: self._details(m, "destination", decoded.destination, is_destination=True),
        }
        operand: Any = Signal(_DETAILS)
        offset = Signal(CELL_ADDRESS_BITS)
        is_destination = self.read == Read.DESTINATION
        with m.Switch(self.read):
            for read, details in operands.items():
                with m.Case(read):
                    m.d.comb += [operand.eq(details), offset.eq(details.offset)]
            with m.Case(Read.LINK_FREE):
                m.d.comb += offset.eq(self.frame_size)
            with m.Case(Read.LINK):
                m.d.comb += offset.eq(-1)
        depth_left = Signal(7)
        frame_base = Signal(CELL_ADDRESS_BITS)
        total = Signal(CELL_ADDRESS_BITS)
        m.d.comb += [
            self.pushes.eq(operand.is_stack & is_destination),
            total.eq(Mux(operand.is_stack, depth_left, frame_base) + offset),
            self.address.eq(Mux(self.pushes, depth_left, total)),
        ]

        overflow = Signal()
        m.d.comb += self.wrong.eq(self.illegal | self.frame_wrong | self.stack_short | overflow)
        with m.If(self.begin):
            m.d.sync += [
                depth_left.eq(self.depth),
                self.illegal.eq(0),
                self.frame_wrong.eq(0),
                self.stack_short.eq(0),
                overflow.eq(0),
            ]
        with m.Else():
            with m.If(operand.moves):
                m.d.sync += depth_left.eq(total)
            with m.If(operand.is_stack & ~is_destination & total[-1]):
                m.d.sync += self.stack_short.eq(1)
            with m.If(self.pushes & (depth_left == DATA_STACK_CELLS)):
                m.d.sync += overflow.eq(1)
            with m.If(operand.frame_wrong):
                m.d.sync += self.frame_wrong.eq(1)
            with m.If(operand.illegal | self.number_wrong):
                m.d.sync += self.illegal.eq(1)
        with m.If(self.load_depth):
            m.d.sync += self.depth.eq(self.result)
        with m.Elif(self.commit):
            m.d.sync += self.depth.eq(depth_left)
        with m.If(self.load_base):
            m.d.sync += frame_base.eq(self.result)
        with m.If(self.load_size):
            m.d.sync += self.frame_size.eq(self.result)
        with m.If(self.load_size_high):
            m.d.sync += self.frame_size.eq(self.result[24:])
        return m

    def _details(self, m: Module, name: str, place: Any, is_destination: bool = False) -> Any:
        """What is known of an operand before the stack depth is: a register, right two cycles after the decoding."""
        index, is_local, is_nibble, is_pointer = Signal(8), Signal(), Signal(), Signal()
        with m.Switch(place):
            for code, low in ((Place.NIBBLE_8, 8), (Place.NIBBLE_12, 12), (Place.NIBBLE_16, 16)):
                with m.Case(code):
                    m.d.comb += [index.eq(self.instruction[low : low + 4]), is_nibble.eq(1)]
            if name == "a":  # b and the destination have no room for these codes
                for code, low in ((Place.POINTER_8, 8), (Place.POINTER_12, 12)):
                    with m.Case(code):
                        m.d.comb += [index.eq(self.instruction[low : low + 4]), is_pointer.eq(1)]
            with m.Case(Place.LOCAL_BYTE):
                m.d.comb += [index.eq(self.instruction[8:16]), is_local.eq(1)]
            with m.Case(Place.LOCAL_OPCODE):
                m.d.comb += [index.eq(self.instruction[:3]), is_local.eq(1)]
        names_stack, is_stack, peeks, in_frame = Signal(), Signal(), Signal(), Signal()
        found: Any = Signal(_DETAILS, name=f"found_{name}")
        details: Any = Signal(_DETAILS, name=f"details_{name}")
        m.d.comb += [
            names_stack.eq(index[:4] == STACK_OPERAND),
            in_frame.eq(is_local | is_pointer | (is_nibble & ~names_stack)),
            peeks.eq((place == Place.PEEK) | (place == Place.PEEK_SECOND)),
            is_stack.eq((is_nibble & names_stack) | (place == Place.STACK) | (place == Place.ARGUMENTS) | peeks),
            found.is_stack.eq(is_stack),
            found.moves.eq(is_stack & ~peeks),
            found.frame_wrong.eq(in_frame & (index >= self.frame_size)),
            found.illegal.eq(is_pointer & names_stack),
            found.offset.eq(index),
        ]
        with m.If(is_stack):
            m.d.comb += found.offset.eq(1 if is_destination else -1)
            if not is_destination:
                with m.If(place == Place.PEEK_SECOND):
                    m.d.comb += found.offset.eq(-2)
                with m.Elif(place == Place.ARGUMENTS):
                    m.d.comb += found.offset.eq(-self.decoded.detail)
        m.d.sync += details.eq(found)
        return details
