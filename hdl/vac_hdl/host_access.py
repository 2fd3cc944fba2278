"""Host access to the stopped core."""

from contextlib import nullcontext

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from vac.isa.limits import (
    ISA_VERSION,
)
from vac.isa.ports import CoreRegister
from vac.isa.state_map import (
    FRAME_RAM_BASE,
    HOST_ADDRESS_BITS,
    LABEL_RAM_BASE,
    REGISTER_BASE,
    STACK_RAM_BASE,
    TLB_LABELS_SHIFT,
    WINDOW_BASE,
    HostRegister,
    WindowWord,
)

from .memory_access import LEAF_NUMBER_BITS
from .pipeline import Mode, Pipeline

_SCORE = max(HostRegister) + 1
_VERSION = _SCORE + 1

_CORE_REGISTERS = {
    CoreRegister.TICK_LOW: HostRegister.TICK_LOW,
    CoreRegister.TICK_HIGH: HostRegister.TICK_HIGH,
    CoreRegister.COHERENCE: HostRegister.COHERENCE,
    CoreRegister.ENTROPY: HostRegister.ENTROPY,
    CoreRegister.DRIFT: HostRegister.DRIFT,
    CoreRegister.SCORE: _SCORE,
    CoreRegister.CONE_IN_LOW: HostRegister.CONE_IN_LOW,
    CoreRegister.CONE_IN_HIGH: HostRegister.CONE_IN_HIGH,
    CoreRegister.CONE_OUT_LOW: HostRegister.CONE_OUT_LOW,
    CoreRegister.CONE_OUT_HIGH: HostRegister.CONE_OUT_HIGH,
    CoreRegister.STACK_DEPTH: HostRegister.SP,
    CoreRegister.JOINS: HostRegister.JOINS,
    CoreRegister.VERSION: _VERSION,
}
"""Where each register that programs can read stands among those that the host can read."""

assert set(_CORE_REGISTERS) == set(CoreRegister)


def host_access(p: Pipeline, m: Module) -> None:
    host = p.host_in
    stopped = p.mode == Mode.STOPPED
    registers = {
        HostRegister.PC: p.pc,
        HostRegister.TICK_LOW: p.tick[:32],
        HostRegister.TICK_HIGH: p.tick[32:],
        HostRegister.SP: p.sp,
        HostRegister.RP: p.rp,
        HostRegister.FP: p.fp,
        HostRegister.CODE_LENGTH: p.code_length,
        HostRegister.FLAGS: p.has_labels,
        HostRegister.BUDGET: p.budget,
        HostRegister.CONE_IN_LOW: p.cone_in[:32],
        HostRegister.CONE_IN_HIGH: p.cone_in[32:],
        HostRegister.CONE_OUT_LOW: p.cone_out[:32],
        HostRegister.CONE_OUT_HIGH: p.cone_out[32:],
        HostRegister.JOINS: p.joins,
        HostRegister.ANSWER_VALUE: p.answer_value,
        HostRegister.BEAM_CONTROL: p.beam_control,
        HostRegister.BEAMS_LOST: p.beams_lost,
    }
    sqi_registers = {
        HostRegister.COHERENCE: p.sqi.coherence,
        HostRegister.ENTROPY: p.sqi.entropy,
        HostRegister.DRIFT: p.sqi.drift,
        HostRegister.MISPREDICTIONS: p.sqi.mispredictions,
        HostRegister.DISTANCE: p.sqi.distance,
        HostRegister.REFUSALS: p.sqi.refusals,
        HostRegister.HISTORY: p.sqi.history,
        HostRegister.LAST_EMIT: p.sqi.last_emit,
    }
    identity = ISA_VERSION | p.config.frame_bits << 8 | p.config.tlb_bits << 16 | p.config.label_bits << 24
    readable = {
        **registers,
        **sqi_registers,
        HostRegister.DIGEST_LOW: p.digest.state[:32],
        HostRegister.DIGEST_HIGH: p.digest.state[32:],
        HostRegister.STOP: Cat(
            p.stop_code,
            Const(0, 8 - len(p.stop_code)),
            p.stop_trap,
            Const(0, 8 - len(p.stop_trap)),
            p.fault_kind,
        ),
        HostRegister.FAULT_SLOT: p.fault_slot,
        HostRegister.FAULT_LEAF: p.fault_leaf,
        HostRegister.IDENTITY: Const(identity, 32),
        HostRegister.FAULT_LABELS: p.fault_labels,
        _SCORE: p.sqi.score,
        _VERSION: Const(ISA_VERSION, 32),
    }  # fmt: skip
    number = Signal(8, name="host_register")
    writes_register = Signal()
    writes_window = Signal()
    in_frames = Signal()
    m.d.comb += [
        number.eq(host.address[:8]),
        in_frames.eq(host.address[FRAME_RAM_BASE.bit_length() - 1]),
    ]
    # Told from the address before the word comes.
    asks, page = p.host.write & stopped, p.host.address[8:]
    m.d.sync += [
        writes_register.eq(asks & (page == REGISTER_BASE >> 8)),
        writes_window.eq(asks & (page == WINDOW_BASE >> 8)),
    ]

    address = Signal(HOST_ADDRESS_BITS, name="host_address_before")
    other_data = Signal(32)
    m.d.sync += address.eq(host.address)
    read_number = Signal(8, name="read_register")
    # The core reads its registers on the host's way, with the number that the instruction in O names. That one waits
    # in O for a cycle at least.
    with m.If(stopped | p.o.serializes) if p.config.in_words else nullcontext():
        with m.If(stopped):
            m.d.sync += read_number.eq(p.host.address[:8])
        with m.Else():
            with m.Switch(p.o.operand_bytes):
                for register, host_register in _CORE_REGISTERS.items():
                    with m.Case(register):
                        m.d.sync += read_number.eq(host_register)
        with m.Switch(read_number):
            for register, value in readable.items():
                with m.Case(register):
                    m.d.sync += p.register_value.eq(value)
            with m.Default():
                m.d.sync += p.register_value.eq(0)
    window = p.windows.window
    with m.If(address[FRAME_RAM_BASE.bit_length() - 1]):
        m.d.comb += other_data.eq(p.data_bus.read_data)
    with m.Else():
        with m.Switch(address[8:12]):
            with m.Case(STACK_RAM_BASE >> 8):
                m.d.comb += other_data.eq(p.cell_read_a.data)
            with m.Case(LABEL_RAM_BASE >> 8):
                if p.config.label_bits:
                    m.d.comb += other_data.eq(p.label_read_a.data)
            with m.Case(WINDOW_BASE >> 8):
                with m.Switch(address[:2]):
                    with m.Case(WindowWord.BASE):
                        m.d.comb += other_data.eq(window.base)
                    with m.Case(WindowWord.LENGTH):
                        m.d.comb += other_data.eq(window.length)
                    with m.Default():
                        m.d.comb += other_data.eq(Cat(window.permissions, Const(0, 6), window.slot))
            with m.Default():
                m.d.comb += other_data.eq(p.register_value)
    m.d.sync += p.host.read_data.eq(other_data)

    window_base = Signal(32)
    window_length = Signal(30)
    tlb_leaf = Signal(32)
    tlb_frame = Signal(p.config.frame_bits)
    m.d.comb += [
        p.tlb.write_slot.eq(tlb_leaf[24:32]),
        p.tlb.write_leaf.eq(tlb_leaf[:LEAF_NUMBER_BITS]),
        p.tlb.write_valid.eq(host.write_data[0]),
        p.tlb.write_translation.writable.eq(host.write_data[1]),
        p.tlb.write_translation.frame.eq(tlb_frame),
        p.tlb.write_translation.labels.eq(host.write_data[TLB_LABELS_SHIFT:]),
        p.sqi.host_register.eq(number),
        p.sqi.host_data.eq(host.write_data),
        p.sqi.host_write.eq(writes_register),
        p.digest.load_value.eq(Mux(number == HostRegister.DIGEST_LOW,
            Cat(host.write_data, p.digest.state[32:]), Cat(p.digest.state[:32], host.write_data))),
        p.digest.load.eq(
            writes_register & ((number == HostRegister.DIGEST_LOW) | (number == HostRegister.DIGEST_HIGH))
        ),
    ]  # fmt: skip
    with m.If(stopped):
        m.d.comb += [
            p.data_bus.read.eq(in_frames & ~host.write),
            p.data_bus.write_mask.eq((in_frames & host.write).replicate(4)),
            p.data_bus.write_data.eq(host.write_data),
        ]
    with m.If(writes_window):
        with m.Switch(host.address[:2]):
            with m.Case(WindowWord.BASE):
                m.d.sync += window_base.eq(host.write_data)
            with m.Case(WindowWord.LENGTH):
                m.d.sync += window_length.eq(host.write_data)
            with m.Case(WindowWord.GRANT):
                m.d.comb += [
                    p.windows.write.eq(1),
                    p.windows.write_index.eq(host.address[2:7]),
                    p.windows.write_window.base.eq(window_base),
                    p.windows.write_window.length.eq(window_length),
                    p.windows.write_window.permissions.eq(host.write_data[:2]),
                    p.windows.write_window.slot.eq(host.write_data[8:]),
                ]
    with m.If(writes_register):
        with m.Switch(number):
            for register, value in registers.items():
                with m.Case(register):
                    m.d.sync += value.eq(host.write_data)
                    if register is HostRegister.BUDGET:
                        m.d.sync += p.budget_spent.eq(host.write_data == 0)
            with m.Case(HostRegister.ANSWER_FLAGS):
                m.d.sync += [
                    p.answer_valid.eq(host.write_data[0]),
                    p.answer_refused.eq(host.write_data[1]),
                ]
            with m.Case(HostRegister.TLB_LEAF):
                m.d.sync += tlb_leaf.eq(host.write_data)
            with m.Case(HostRegister.TLB_FRAME):
                m.d.sync += tlb_frame.eq(host.write_data)
            with m.Case(HostRegister.TLB_ENTRY):
                # Emptying an entry ends every copy of a translation. Filling one gives it to the window that asked,
                # too: else leaves that share an entry could take it from each other for ever.
                asked_for = tlb_leaf == Cat(p.fault_leaf, Const(0, 4), p.fault_slot)
                m.d.comb += [
                    p.tlb.write.eq(1),
                    p.windows.forget.eq(~host.write_data[0]),
                    p.code_page_forget.eq(~host.write_data[0]),
                    p.host_fills_window.eq(host.write_data[0] & p.fault_is_data & asked_for),
                ]
