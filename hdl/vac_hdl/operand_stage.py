"""O: operands from the stack RAM or from the stages ahead; issue."""

from collections.abc import Iterable

from amaranth.hdl import Const, Module, Mux, Signal, Value

from vac.isa.alu import AluFunction
from vac.isa.limits import (
    LEAF_BITS,
    TABLE_WINDOW,
)

from .micro_op import Step
from .pipeline import Mode, Pipeline


def operand_stage(p: Pipeline, m: Module) -> None:
    o = p.o
    host_reads = p.mode == Mode.STOPPED
    read_cells = {}
    for name, port in (("a", p.cell_read_a), ("b", p.cell_read_b)):
        # An operation that waits in O is read again every cycle, so that it sees what was written meanwhile.
        address = Mux(p.o_free, p.r_op[f"{name}_cell"], o[f"{name}_cell"])
        read_cells[name] = Signal(8, name=f"read_cell_{name}")
        m.d.comb += [read_cells[name].eq(address), port.en.eq(1), port.addr.eq(read_cells[name])]
    with m.If(host_reads):
        m.d.comb += p.cell_read_a.addr.eq(p.host_in.address[:8])
    if p.config.label_bits:
        m.d.comb += [
            p.label_read_a.en.eq(1),
            p.label_read_b.en.eq(1),
            p.label_read_a.addr.eq(p.cell_read_a.addr),
            p.label_read_b.addr.eq(p.cell_read_b.addr),
        ]

    # Whether the operation waits for a result that is not there yet. Asked early for one that stays in O; for one that
    # has just come, late, but little is left to ask.
    waits_if_moved: Value = Const(0, 1)
    waits_if_not: Value = Const(0, 1)
    moved = Signal(name="o_moved")
    m.d.sync += moved.eq(p.r_fire)
    operand, labels, early_part, from_ram = {}, {}, {}, {}
    for name, port in (("a", p.cell_read_a), ("b", p.cell_read_b)):
        used = o[f"{name}_used"]
        # Where the operand is, the youngest writer first; what none of them writes is in the RAM.
        in_x, in_m, in_w, in_v, in_ram = (Signal(name=f"{name}_in_{place}") for place in ("x", "m", "w", "v", "ram"))
        operand[name] = Signal(32, name=f"o_{name}")
        labels[name] = Signal(p.config.label_bits, name=f"o_labels_{name}")
        stored_labels = (p.label_read_a if name == "a" else p.label_read_b).data if p.config.label_bits else Const(0, 0)
        arrived, (is_x, is_m, is_w, is_v) = _cell_matches(p, m, name, moved)
        in_flight = Signal(name=f"{name}_in_flight")
        m.d.comb += [
            in_x.eq(p.x_writes_cell & is_x),
            in_m.eq(p.m_writes_cell & is_m & ~in_x),
            in_w.eq(p.w_writes_cell & is_w & ~in_x & ~in_m),
            in_v.eq(p.v_writes & is_v & ~in_x & ~in_m & ~in_w),
            in_flight.eq(in_x | in_m | in_w | in_v),
            in_ram.eq(used & ~in_flight),
        ]
        sources = [
            (in_x, p.alu.quick_result, p.x_cell_labels),
            (in_m, p.m.result, p.m.cell_labels),
            (in_w, p.w_forwarded, p.w.cell_labels),
            (in_v, p.v_value, p.v_labels),
        ]
        if name == "a":
            # The step before is in X just now, and leaves it together with this one leaving O.
            swapped = o.function == AluFunction.PASS_A
            sources += [
                (o.a_previous & swapped, p.x.b, p.x.labels_b),
                (o.a_previous & ~swapped, p.x.a, p.x.labels_a),
            ]
        else:
            sources.append((o.b_value, o.value, Const(0, p.config.label_bits)))
        if p.config.in_words:
            with m.If(in_ram):
                m.d.comb += [operand[name].eq(port.data), labels[name].eq(stored_labels)]
            for select, value, value_labels in sources:
                with m.Elif(select):
                    m.d.comb += [operand[name].eq(value), labels[name].eq(value_labels)]
        else:
            elsewhere = Signal(32, name=f"o_{name}_elsewhere")
            early_part[name], from_ram[name] = elsewhere, in_ram
            m.d.comb += [
                elsewhere.eq(_gated((select, value) for select, value, _ in sources)),
                # The RAM answers late.
                operand[name].eq(elsewhere | (port.data & in_ram.replicate(32))),
                labels[name].eq(_gated([(in_ram, stored_labels), *((select, value) for select, _, value in sources)])),
            ]
        # Rather too often than late: that a younger operation writes the same cell at once is not looked for.
        arrived_x, arrived_m, arrived_w = arrived
        waits_if_moved = waits_if_moved | (
            (arrived_x & p.x_writes_late) | (arrived_m & p.m_writes_late) | (arrived_w & p.w_writes_late)
        )
        waits_if_not = waits_if_not | (
            (is_x & p.x_writes_late & ~p.x_ready) | (is_x & p.x_will_write_late) | (is_m & p.m_will_write_late)
        )
    still_waits = Signal()
    m.d.sync += still_waits.eq(waits_if_not)
    # Known a cycle late: an operation that waits for either does so a cycle longer.
    window_pending = Signal()
    alone = Signal()
    m.d.sync += [
        alone.eq(p.o_valid & ~p.o_fire & ~(p.x_valid | p.m_valid | p.w_valid | p.sqi.busy)),
        window_pending.eq((p.o_fire & o.names_window) | (p.x_valid & p.x.op.names_window) | (p.m_valid & p.m_narrow)),
    ]
    blocked = Signal(name="o_blocked")
    m.d.comb += [
        blocked.eq(
            (moved & waits_if_moved)
            | (~moved & still_waits)
            | (o.serializes & ~alone)
            | window_pending
            | (p.beam_port.full & (o.step != Step.TAIL))
        ),
        p.o_stalls.eq(blocked | ~p.x_ready),
        p.o_fire.eq(p.o_valid & ~p.o_stalls),
        p.o_free.eq(~p.o_valid | ~p.o_stalls),
    ]
    known = Signal(name="o_window_known")
    known_index = Signal(5, name="o_known_window")
    named = Mux(o.restricts, o.operand_bytes[:4], o.operand_bytes[4:8])
    m.d.comb += [
        p.windows.enable.eq(p.x_ready | host_reads),
        # What the operand decides comes last.
        known.eq(host_reads | o.prepares | o.names_window),
        known_index.eq(Mux(host_reads, p.host_in.address[2:7], Mux(o.prepares, TABLE_WINDOW, named))),
        p.windows.index.eq(
            Mux(known, known_index, operand["a"][28:32])
            if p.config.in_words
            else Mux(known, known_index, early_part["a"][28:32])
            | (p.cell_read_a.data[28:32] & (from_ram["a"] & ~known).replicate(4))
        ),
    ]
    way = Signal(2, name="o_way")
    m.d.comb += [
        # Pointers into neighbouring leaves take different ways, and so do the starts of larger blocks.
        way.eq(operand["a"][LEAF_BITS : LEAF_BITS + 2] ^ operand["a"][LEAF_BITS + 2 : LEAF_BITS + 4]),
        p.windows.way.eq(way),
    ]
    with m.If(p.o_fire):
        m.d.sync += p.x_way.eq(way)
    with m.If(p.x_ready):
        m.d.sync += [
            p.x_valid.eq(p.o_fire),
            p.x_writes_cell.eq(p.o_fire & o.writes),
            p.x_writes_late.eq(p.o_fire & o.writes & o.late),
        ]
    with m.If(p.o_fire):
        m.d.sync += [
            p.x.op.eq(o),
            p.x.a.eq(operand["a"]),
            p.x.b.eq(operand["b"]),
            p.x.labels_a.eq(labels["a"]),
            p.x.labels_b.eq(labels["b"]),
        ]
    with m.If(p.flush):
        m.d.sync += [p.x_valid.eq(0), p.x_writes_cell.eq(0), p.x_writes_late.eq(0)]


def _gated(sources: Iterable[tuple[Value, Value]]) -> Value:
    """OR of the values whose select is 1."""
    gated = [value & select.replicate(len(value)) for select, value in sources]
    while len(gated) > 1:
        gated = [gated[i] | gated[i + 1] if i + 1 < len(gated) else gated[i] for i in range(0, len(gated), 2)]
    return gated[0]


def _cell_matches(
    p: Pipeline, m: Module, name: str, moved: Signal
) -> tuple[tuple[Signal, Signal, Signal], tuple[Signal, Signal, Signal, Signal]]:
    """Whether an operand's cell is the one that the operations in X, M and W write, if they write any, or that was
    written in the cycle before, when the RAM was read; 0 where there is no operand. First the answers of X, M and W for
    an operation that has just come into O, then those for any.

    Compared while the operation is in R, against what stands one stage ahead of where it will stand then.
    """
    is_x, is_m, is_w, is_v = (Signal(name=f"{name}_is_{stage}") for stage in "xmwv")
    new_x, new_m, new_w, new_v = (Signal(name=f"{name}_new_is_{stage}") for stage in "xmwv")
    old_x, old_m, old_w, old_v = (Signal(name=f"{name}_old_is_{stage}") for stage in "xmwv")
    cell, used = p.r_op[f"{name}_cell"], p.r_op[f"{name}_used"]
    # Whether R moves on is known late: what holds if it does and what holds if it does not are both kept.
    m.d.sync += [
        # An operation in O moves to X when another takes its place.
        new_x.eq(used & Mux(p.o_valid, cell == p.o.cell, cell == p.x.op.cell)),
        new_m.eq(used & (cell == p.x.op.cell)),
        new_w.eq(used & (cell == p.m.cell)),
        new_v.eq(used & (cell == p.w.cell)),
        old_x.eq(is_x),
        old_m.eq(is_x),
        old_w.eq(is_m),
        old_v.eq(is_w),
    ]
    m.d.comb += [
        is_x.eq(Mux(moved, new_x, old_x)),
        is_m.eq(Mux(moved, new_m, old_m)),
        is_w.eq(Mux(moved, new_w, old_w)),
        is_v.eq(Mux(moved, new_v, old_v)),
    ]
    return (new_x, new_m, new_w), (is_x, is_m, is_w, is_v)
