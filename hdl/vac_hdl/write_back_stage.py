"""W: write back, beam, digest, SQI events."""

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from vac.isa.beam import BeamFlag
from vac.isa.sqi import EPOCH_TICKS
from vac.isa.state_map import (
    LABEL_RAM_BASE,
    STACK_RAM_BASE,
)

from .bundle import Bundle
from .micro_op import Step
from .pipeline import Mode, Pipeline
from .signatures import BEAM_LAYOUT, RETIRE_LAYOUT


def write_back_stage(p: Pipeline, m: Module) -> None:
    w = p.w
    _finish_value(p, m)
    _architectural_registers(p, m)
    writes = Signal(name="w_writes")
    m.d.comb += writes.eq(p.w_valid & w.writes & (w.step != Step.PREPARE))
    m.d.sync += [p.v_writes.eq(writes), p.v_value.eq(p.w_value), p.v_labels.eq(w.cell_labels)]
    host_writes_cell = (p.mode == Mode.STOPPED) & p.host_in.write & (p.host_in.address[8:] == STACK_RAM_BASE >> 8)
    m.d.comb += [
        p.cell_write.en.eq(writes | host_writes_cell),
        p.cell_write.addr.eq(Mux(host_writes_cell, p.host_in.address[:8], w.cell)),
        p.cell_write.data.eq(Mux(host_writes_cell, p.host_in.write_data, p.w_value)),
    ]
    if p.config.label_bits:
        host_writes_label = (p.mode == Mode.STOPPED) & p.host_in.write & (p.host_in.address[8:] == LABEL_RAM_BASE >> 8)
        m.d.comb += [
            p.label_write.en.eq(writes | host_writes_label),
            p.label_write.addr.eq(Mux(host_writes_label, p.host_in.address[:8], w.cell)),
            p.label_write.data.eq(Mux(host_writes_label, p.host_in.write_data, w.cell_labels)),
        ]

    beam = Signal(BEAM_LAYOUT)
    retires = p.w_valid & p.w_retires
    m.d.comb += [
        beam.pc.eq(w.pc),
        beam.opcode.eq(w.opcode),
        beam.flags.eq(w.flags),
        beam.labels.eq(w.labels),
        beam.value.eq(Mux(w.advances, w.store_data, p.w_value)),
        beam.aux.eq(w.aux),
        p.digest.record.eq(beam),
        p.digest.valid.eq(retires),
        p.beam_port.beam.record.eq(beam),
        p.beam_port.beam.tick.eq(p.tick),
        p.beam_port.valid.eq(retires),
        p.beam_port.control.eq(p.beam_control),
        p.sqi.branch.eq(retires & w.branches),
        p.sqi.taken.eq(w.taken),
        p.sqi.history_index.eq(w.history_index),
        p.sqi.emit.eq(retires & w.emits),
        p.sqi.emit_value.eq(w.result),
        p.sqi.refuse.eq(retires & w.flags[BeamFlag.REFUSED.bit_length() - 1]),
        p.sqi.last_of_epoch.eq(p.w_last_of_epoch),
    ]
    with m.If(p.beam_port.lost):
        m.d.sync += p.beams_lost.eq(p.beams_lost + 1)
    if p.retire is not None:
        _retire_port(p, m, p.retire, beam, retires)


def _architectural_registers(p: Pipeline, m: Module) -> None:
    """They follow the commit by a cycle; whoever reads them waits until W is empty."""
    w = p.w
    next_tick = Signal(64)
    p.w_last_of_epoch = Signal()
    retires = p.w_valid & p.w_retires
    m.d.comb += [
        next_tick.eq(p.tick + 1),
        p.w_last_of_epoch.eq(retires & p.tick[: EPOCH_TICKS.bit_length() - 1].all()),
    ]
    with m.If(p.w_valid & (w.step == Step.PREPARE)):
        m.d.sync += [p.table_entry.eq(p.w_loaded_word), p.table_address.eq(w.aux)]
    with m.If(retires):
        m.d.sync += [p.sp.eq(w.sp), p.rp.eq(w.rp), p.fp.eq(w.fp), p.pc.eq(w.next_pc), p.tick.eq(next_tick)]
        with m.If(w.joins):
            m.d.sync += p.joins.eq(w.result)
        with m.If(w.is_event):
            m.d.sync += p.answer_valid.eq(0)
        with m.If(w.takes_input):
            m.d.sync += p.cone_in.eq(next_tick)
        with m.If(w.lets_output):
            m.d.sync += p.cone_out.eq(next_tick)


def _finish_value(p: Pipeline, m: Module) -> None:
    """The result: loads are aligned and extended here, products added up. Each part is zero where it is not wanted."""
    if p.config.in_words:
        _finish_value_by_shifts(p, m)
        return
    w, word, part = p.w, p.w_loaded_word, p.w_part
    low, middle, extension, product = Signal(8), Signal(8), Signal(), Signal(32)
    m.d.comb += [
        p.multiplier.high.eq(w.multiply_high),
        product.eq(p.multiplier.result & w.is_multiply.replicate(32)),
        low.eq(_any_of(word.word_select(byte, 8) & part.byte[byte].replicate(8) for byte in range(4))),
        middle.eq(_any_of(word.word_select(byte, 8) & part.second_byte[byte].replicate(8) for byte in (1, 3))),
        extension.eq(_any_of(word[8 * byte + 7] & part.sign_of[byte] for byte in range(4))),
        p.w_forwarded.eq(
            Cat(
                low,
                middle | (extension & part.extends_byte).replicate(8),
                (word[16:] & part.whole.replicate(16)) | extension.replicate(16),
            )
            | w.result
        ),
        p.w_value.eq(p.w_forwarded | product),
    ]


def _finish_value_by_shifts(p: Pipeline, m: Module) -> None:
    """The same where a simulator takes a step a word, and none for what is not wanted."""
    w = p.w
    loaded = Signal(32)
    m.d.comb += [p.multiplier.high.eq(w.multiply_high), p.w_forwarded.eq(w.result), p.w_value.eq(p.w_forwarded)]
    with m.If(w.is_load):
        m.d.comb += loaded.eq(p.w_loaded_word >> Cat(Const(0, 3), w.aux[:2]))
        with m.Switch(w.size_log2):
            with m.Case(0):
                m.d.comb += p.w_forwarded.eq(Cat(loaded[:8], (loaded[7] & w.is_signed).replicate(24)))
            with m.Case(1):
                m.d.comb += p.w_forwarded.eq(Cat(loaded[:16], (loaded[15] & w.is_signed).replicate(16)))
            with m.Default():
                m.d.comb += p.w_forwarded.eq(loaded)
    with m.If(w.is_multiply):
        m.d.comb += p.w_value.eq(p.multiplier.result)


def _any_of(values: Iterable[Value]) -> Value:
    first, *others = values
    for value in others:
        first = first | value
    return first


def _retire_port(p: Pipeline, m: Module, retire: Any, beam: Any, retires: Value) -> None:
    """The state after each instruction, three cycles after W, when the SQI has settled."""
    w, sqi, out = p.w, p.sqi, retire.payload
    fields = {name: field.shape for name, field in RETIRE_LAYOUT}
    first = Bundle(fields, "retired_first")
    second = Bundle(fields, "retired_second")
    third = Bundle(fields, "retired_third")
    first_valid = Signal()
    second_valid = Signal()
    third_valid = Signal()
    first_epoch = Signal()
    second_epoch = Signal()
    m.d.sync += [
        first_valid.eq(retires),
        second_valid.eq(first_valid),
        third_valid.eq(second_valid),
        first_epoch.eq(p.w_last_of_epoch),
        second_epoch.eq(first_epoch),
    ]
    with m.If(retires):
        m.d.sync += [
            first.beam.eq(beam),
            first.next_pc.eq(w.next_pc),
            first.sp.eq(w.sp),
            first.rp.eq(w.rp),
            first.fp.eq(w.fp),
        ]
    with m.If(first_valid):
        m.d.sync += [second.eq(first), second.history.eq(sqi.history), second.digest.eq(p.digest.state)]
    with m.If(second_valid):
        m.d.sync += [third.eq(second), third.mispredictions.eq(Mux(second_epoch, 0, sqi.mispredictions))]
    m.d.comb += [
        *(out[name].eq(third[name]) for name in fields if name not in ("coherence", "entropy", "drift")),
        out.coherence.eq(sqi.coherence),
        out.entropy.eq(sqi.entropy),
        out.drift.eq(sqi.drift),
        retire.valid.eq(third_valid),
    ]
