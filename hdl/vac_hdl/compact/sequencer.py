"""The sequencer: the microprogram's ROM, conditions, and the next address."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory

from vac.isa.alu import Condition as BranchCondition
from vac.isa.limits import LEAF_BITS

from .micro_op import MICRO_ADDRESS_BITS, MICRO_LAYOUT, Action, Condition

_LATE = (Condition.ZERO, Condition.HOLDS, Condition.DETAINED, Condition.MISPREDICTED, Condition.TLB_HIT)


def sequencer(m: Module, core: Any) -> None:
    """Connects it to the signals of a core being put together; drives its `micro`."""
    micro, decoded = core.micro, core.decoded
    rom = Memory(shape=MICRO_LAYOUT.size, depth=1 << MICRO_ADDRESS_BITS, init=core.words)
    m.submodules.microprogram = rom
    port = rom.read_port()
    m.d.comb += micro.as_value().eq(port.data)
    size, detail = decoded.detail[:2], decoded.detail
    holds = Signal()
    with m.Switch(detail):
        for condition, truth in (
            (BranchCondition.EQ, core.flag_equal),
            (BranchCondition.NE, ~core.flag_equal),
            (BranchCondition.LTU, core.flag_carry),
            (BranchCondition.LTS, core.flag_below),
            (BranchCondition.GEU, ~core.flag_carry),
            (BranchCondition.GES, ~core.flag_below),
        ):
            with m.Case(condition):
                m.d.comb += holds.eq(truth)
    detained, crosses, end = Signal(), Signal(), Signal(4)
    m.d.comb += [
        detained.eq(core.ports.host.halt_request | core.lanes.no_room | ~core.code_frame_known),
        end.eq(core.pc[:2] + core.length),
        crosses.eq(core.pc[2:LEAF_BITS].all() & (end > 4)),
    ]
    truths = {
        Condition.START: core.ports.host.start,
        Condition.ZERO: core.flag_zero,
        Condition.CARRY: core.flag_carry,
        Condition.BELOW_SIGNED: core.flag_below,
        Condition.LOW_BYTE_ZERO: core.flag_byte,
        Condition.HOLDS: holds,
        Condition.DETAINED: detained,
        Condition.HALT_REQUEST: core.ports.host.halt_request,
        Condition.NO_ROOM: core.lanes.no_room,
        Condition.CROSSES_PAGE: crosses,
        Condition.HAS_SUBOPERATION: decoded.again,
        Condition.MISPREDICTED: core.flag_zero == core.flags[0],
        Condition.HAS_TAIL: core.flags[8:].any(),
        Condition.BEAM_LOST: core.lanes.lost,
        Condition.HALTED: core.flags[6],
        Condition.CELL_BIT_0: core.cell[0],
        Condition.CELL_BIT_1: core.cell[1],
        Condition.MISALIGNED: ((core.a[0] & (size != 0)) | (core.a[1] & size[1])),
        Condition.TLB_HIT: core.translation.hit,
        Condition.WRITABLE: core.writable,
        Condition.A_NEGATIVE: core.a[31],
        Condition.B_NEGATIVE: core.b[31],
        Condition.B_ODD: core.b[0],
        Condition.COUNTED: core.count == 0,
        Condition.SHIFTED_OUT: core.shifted_out,
        Condition.KEPT: core.kept,
        Condition.FRAME_WRONG: core.operands.frame_wrong,
        Condition.STACK_SHORT: core.operands.stack_short,
        Condition.ILLEGAL: core.operands.illegal,
        # Of loads and stores, only loads have a destination.
        Condition.PERMITTED: Mux(core.operands.has_destination, core.cell[0], core.cell[1]),
        Condition.IS_LOAD: core.operands.has_destination,
    }
    # What takes long to find out joins last.
    late = {condition: truths.pop(condition) for condition in _LATE}
    early, base = Signal(), Signal(MICRO_ADDRESS_BITS)
    with m.Switch(micro.condition):
        for condition, value in truths.items():
            with m.Case(condition):
                m.d.comb += early.eq(value)
    m.d.comb += base.eq(micro.next)
    with m.If(micro.condition == Condition.DISPATCH):
        m.d.comb += base.eq(Mux(core.operands.wrong, core.labels["operands_wrong"], decoded.entry))
    link = Signal(MICRO_ADDRESS_BITS)
    with m.If(core.does(Action.LINK)):
        m.d.sync += link.eq(core.constant)
    with m.If(micro.condition == Condition.RETURN):
        m.d.comb += base.eq(link)
    is_late_true = Cat((micro.condition == condition) & value for condition, value in late.items()).any()
    m.d.comb += port.addr.eq(base | early | is_late_true)
