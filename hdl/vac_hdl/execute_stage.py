"""X: results, branch decisions, effective addresses."""

from contextlib import nullcontext

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from vac.isa.alu import AluFunction
from vac.isa.beam import BeamFlag
from vac.isa.limits import (
    LEAF_BITS,
    RETURN_STACK_CELLS,
    TABLE_WINDOW,
)
from vac.isa.ports import SYSTEM_CALLS
from vac.isa.traps import Trap

from .decoder import UnitCode
from .pipeline import Pipeline


def execute_stage(p: Pipeline, m: Module) -> None:
    x, op = p.x, p.x.op
    unit = op.unit
    alu, comparator, divider = p.alu, p.comparator, p.divider
    if p.config.in_words:
        m.d.comb += p.multiplier.wanted.eq(op.multiplies)
    m.d.comb += [
        comparator.a.eq(x.a),
        comparator.b.eq(x.b),
        comparator.equality.eq(op.equality),
        comparator.is_signed.eq(op.relation_signed),
        comparator.inverted.eq(op.relation_inverted),
        alu.control.eq(op.alu),
        alu.a.eq(x.a),
        alu.b.eq(x.b),
        alu.relation.eq(comparator.holds),
        p.multiplier.a.eq(x.a),
        p.multiplier.b.eq(x.b),
    ]
    is_prepare = op.prepares

    # Results that are not the ALU's.
    special = Signal(32)
    is_special = Signal()
    kept = Signal(4)
    m.d.comb += kept.eq(p.windows.window.permissions & op.operand_bytes[4:8])
    with m.Switch(unit):
        with m.Case(UnitCode.READ_REGISTER):
            m.d.comb += [special.eq(p.register_value), is_special.eq(1)]
        with m.Case(UnitCode.JOIN):
            m.d.comb += [special.eq(p.joins + 1), is_special.eq(1)]
        with m.Case(UnitCode.WINDOW_LENGTH):
            m.d.comb += [special.eq(p.windows.window.length), is_special.eq(1)]
        with m.Case(UnitCode.WINDOW_RESTRICT):
            m.d.comb += [special.eq(kept), is_special.eq(1)]
        with m.Case(UnitCode.TABLE_JUMP):
            m.d.comb += [special.eq(p.table_entry), is_special.eq(1)]
    with m.If(op.advances):
        m.d.comb += [special.eq(x.a + (1 << op.size_log2)), is_special.eq(1)]
    with m.If(op.divides):
        m.d.comb += [special.eq(divider.result), is_special.eq(1)]
    m.d.comb += p.x_result.eq(Mux(is_special, special, alu.result))

    # Division holds the stage.
    by_zero = Signal()
    divide_waits = Signal()
    m.d.comb += [
        by_zero.eq(op.divides & (x.b == 0)),
        divider.a.eq(x.a),
        divider.b.eq(x.b),
        divider.is_signed.eq((op.function == AluFunction.DIVS) | (op.function == AluFunction.REMS)),
        divider.remainder.eq((op.function == AluFunction.REMU) | (op.function == AluFunction.REMS)),
        # A division by zero takes as long as any: it traps in the end.
        divide_waits.eq(p.x_valid & op.divides & ~divider.done),
        divider.start.eq(divide_waits & ~divider.busy),
        divider.abort.eq(p.flush),
    ]

    # Control flow.
    taken = Signal()
    follows_cell = Signal()
    next_pc = Signal(24)
    target = Signal(24)
    jumps_to_entry = op.enters
    entry_frame = p.table_entry[24:32]
    table_rp = Signal(9)
    m.d.comb += [
        follows_cell.eq(op.returns | jumps_to_entry),
        taken.eq((op.branches & comparator.holds) | op.jumps | follows_cell),
        target.eq(Mux(op.returns, x.a[:24], Mux(jumps_to_entry, p.table_entry[:24], op.target))),
        next_pc.eq(Mux(taken, target, op.sequential_pc[:24])),
        table_rp.eq(op.fp + entry_frame),
    ]
    redirects = op.redirects | (op.branches & (comparator.holds ^ op.predicted_taken))

    # Effective address. A narrowing adds its offset in the same way.
    narrows = op.narrows
    window, translation = p.windows.window, p.windows.translation
    displacement = Signal(32)
    address = Signal(32)
    base_part = Signal(32)
    index_part = Signal(32)
    offset = Signal(32, name="x_offset")
    terms = [Signal(LEAF_BITS, name=f"leaf_{part}") for part in ("pointer", "base", "index")]
    leaf_offset = Signal(LEAF_BITS)
    size_mask = Signal(2)
    permission_bad = Signal()
    misaligned = Signal()
    bound = Signal(33)
    m.d.comb += [
        base_part.eq(Cat(x.a[:28], x.a[28:] & narrows.replicate(4))),
        # No instruction has both an index and a displacement.
        index_part.eq(
            (x.b & op.index_scale[0].replicate(32))
            | (Cat(Const(0, 1), x.b[:31]) & op.index_scale[1].replicate(32))
            | (Cat(Const(0, 2), x.b[:30]) & op.index_scale[2].replicate(32))
        ),
        offset.eq(index_part | op.value[:22]),
        displacement.eq(base_part + offset),
        address.eq(window.base + base_part + offset),
        size_mask.eq(Mux(op.size_log2 == 2, 3, Mux(op.size_log2 == 1, 1, 0))),
        misaligned.eq(Mux(narrows, x.a[:2].any(), (displacement[:2] & size_mask).any())),
        bound.eq(
            Mux(
                narrows,
                x.a + x.b,
                Cat(displacement | size_mask, is_prepare & x.b[30:32].any()),
            )
        ),
        permission_bad.eq(
            Mux(narrows, window.permissions == 0, Mux(op.is_store, ~window.permissions[1], ~window.permissions[0]))
        ),
    ]
    reads_memory = op.reads_memory
    read_address = Cat(address[2:LEAF_BITS], translation.at.frame)
    if not p.config.in_words:
        m.d.comb += [
            # An adder of its own for what the memory is to hear: who has the bus is asked in front of it.
            terms[0].eq(Mux(p.bus_taken, Cat(Const(0, 2), p.bus_taken_address[: LEAF_BITS - 2]), x.a)),
            terms[1].eq(Mux(p.bus_taken, 0, window.base)),
            terms[2].eq(Mux(p.bus_taken, 0, offset)),
            leaf_offset.eq(
                (terms[0] ^ terms[1] ^ terms[2])
                + Cat(Const(0, 1), (terms[0] & terms[1]) | ((terms[0] | terms[1]) & terms[2]))
            ),
            p.data_bus.address.eq(
                Cat(
                    leaf_offset[2:LEAF_BITS],
                    Mux(p.bus_taken, p.bus_taken_address[LEAF_BITS - 2 :], translation.at.frame),
                )
            ),
        ]
    if p.config.in_words:
        with m.If(p.bus_taken):
            m.d.comb += p.data_bus.address.eq(p.bus_taken_address)
        with m.Elif(reads_memory):
            m.d.comb += p.data_bus.address.eq(read_address)
    load_collides = Signal()
    m.d.comb += [
        # One port: a store in M writes in this cycle.
        load_collides.eq(p.x_valid & reads_memory & p.m_takes_bus),
        p.x_ready.eq(~(divide_waits | load_collides)),
        p.data_bus.read.eq(p.x_valid & reads_memory),
    ]

    # Labels of the result.
    joined = Signal(p.config.label_bits)
    if p.config.label_bits:
        m.d.comb += joined.eq(Mux(op.joins, Const(1) << p.joins[: (p.config.label_bits - 1).bit_length()], 0))
    # A swap moves cells; everything else joins what it reads.
    read_labels = x.labels_a | (x.labels_b & (~op.swaps).replicate(p.config.label_bits))
    if p.config.in_words:
        with m.If(p.has_labels):
            with m.If(~jumps_to_entry):
                m.d.comb += p.x_labels.eq(read_labels | joined)
            m.d.comb += p.x_cell_labels.eq(Mux(op.advances, x.labels_a, p.x_labels))
    else:
        m.d.comb += [
            p.x_labels.eq(Mux(p.has_labels & ~jumps_to_entry, read_labels | joined, 0)),
            # The pointer that a store leaves behind comes from the pointer alone.
            p.x_cell_labels.eq(Mux(op.advances & p.has_labels, x.labels_a, p.x_labels)),
        ]

    is_memory = op.is_memory
    trap = Signal(Trap)
    with m.If(op.trap != Trap.NONE):
        m.d.comb += trap.eq(op.trap)
    with m.Elif(by_zero):
        m.d.comb += trap.eq(Trap.DIVISION_BY_ZERO)
    with m.Elif((unit == UnitCode.TABLE_CALL) & ~is_prepare & (table_rp > RETURN_STACK_CELLS)):
        m.d.comb += trap.eq(Trap.RETURN_OVERFLOW)
    takes_input, lets_output = _light_cone_effects(p, m, unit, op.operand_bytes)

    c = p.m
    store_mask = (Mux(op.size_log2 == 2, 0b1111, Mux(op.size_log2 == 1, 0b0011, 0b0001)) << displacement[:2])[:4]
    m.d.sync += [
        p.m_valid.eq(p.x_valid & p.x_ready & ~p.flush),
        p.m_takes_bus.eq(p.x_valid & op.is_store),
        p.m_writes_late.eq(p.x_will_write_late),
        p.m_writes_cell.eq(p.x_valid & p.x_ready & op.writes),
    ]
    m.d.comb += p.x_will_write_late.eq(p.x_valid & op.writes & (op.is_load | op.multiplies | op.is_event))
    m.d.sync += [
        c.step.eq(op.step),
        *(c[flag].eq(op[flag]) for flag in ("is_load", "is_store", "is_event", "brings_value", "narrows")),
        *(c[flag].eq(op[flag]) for flag in ("branches", "emits", "joins", "halts")),
        c.takes_input.eq(takes_input),
        c.lets_output.eq(lets_output),
        *([] if p.config.in_words else [c.store_mask.eq(store_mask)]),
        c.opcode.eq(op.opcode),
        c.pc.eq(op.pc),
        c.next_pc.eq(next_pc),
        c.length.eq(op.length),
        c.redirect.eq(redirects),
        c.learn.eq(taken & ~follows_cell & ~op.marked),
        c.forget.eq(op.marked & ~taken & ~op.backward),
        c.taken.eq(taken),
        c.result.eq(p.x_result),
        c.store_data.eq(x.b),
        c.aux.eq(Mux(jumps_to_entry, p.table_address, Mux(is_memory, address, Mux(op.numbered, op.operand_bytes, 0)))),
        c.flags.eq(op.flags | Mux(taken, BeamFlag.TAKEN.value, 0)),
        c.labels.eq(p.x_labels),
        c.cell_labels.eq(p.x_cell_labels),
        c.advances.eq(op.advances),
        c.writes.eq(op.writes),
        c.cell.eq(op.cell),
        c.sp.eq(op.sp),
        c.rp.eq(Mux((unit == UnitCode.TABLE_CALL), table_rp, op.rp)),
        c.fp.eq(Mux(op.returns, op.rp - x.a[24:32], op.fp)),
        c.is_multiply.eq(op.multiplies),
        c.multiply_high.eq(op.function != AluFunction.MUL),
        c.multiply_signed.eq(op.function == AluFunction.MULHS),
        c.size_log2.eq(op.size_log2),
        c.is_signed.eq(op.is_signed),
        c.trap.eq(trap),
        c.number.eq(op.operand_bytes),
        c.history_index.eq(op.pc[:4] ^ op.pc[4:8]),
    ]
    # What is judged of a memory access alone need not move for a simulator where there is none.
    with m.If(is_memory | op.narrows | op.restricts) if p.config.in_words else nullcontext():
        m.d.sync += [
            p.m_permission_bad.eq(permission_bad),
            p.m_misaligned.eq(misaligned),
            p.m_bound.eq(bound),
            p.m_window_length.eq(window.length),
            p.m_narrow.eq(op.narrows | op.restricts),
            p.m_window.base.eq(Mux(narrows, address, window.base)),
            p.m_window.length.eq(Mux(narrows, x.b, window.length)),
            p.m_window.permissions.eq(Mux(narrows, window.permissions, kept)),
            p.m_window.slot.eq(window.slot),
            p.m_window_index.eq(Mux(is_prepare, TABLE_WINDOW, x.a[28:32])),
            p.m_way.eq(p.x_way),
            p.m_translation.eq(translation),
            p.m_translation_valid.eq(p.windows.translation_valid),
        ]
    m.d.sync += p.m_is_memory.eq(is_memory)
    if p.config.in_words:
        m.d.sync += p.m_narrow.eq(op.narrows | op.restricts)
        with m.If(op.is_store):
            m.d.sync += c.store_mask.eq(store_mask)


def _light_cone_effects(p: Pipeline, m: Module, unit: Value, number: Value) -> tuple[Signal, Signal]:
    """Whether an answered event brings something in, and whether it lets something out."""
    takes_input = Signal(name="takes_input")
    lets_output = Signal(name="lets_output")
    with m.Switch(unit):
        with m.Case(UnitCode.DEVICE_IN):
            m.d.comb += takes_input.eq(1)
        with m.Case(UnitCode.DEVICE_OUT):
            m.d.comb += lets_output.eq(1)
        with m.Case(UnitCode.SYSTEM_CALL):
            with m.Switch(number):
                for call in SYSTEM_CALLS:
                    with m.Case(call.number):
                        m.d.comb += [takes_input.eq(call.takes_input), lets_output.eq(call.lets_output)]
    return takes_input, lets_output
