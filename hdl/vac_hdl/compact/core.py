"""The compact core: a microprogrammed machine that does one thing a clock cycle.

```text
        host port                      microprogram ROM --> next address <-- conditions, decode table
            |                                |
    +-------v--------+   cell   +------------v-------------+   result
    |  scratch RAM   |--------->| Y: cell, B, memory word,  |---+--> A, B
    |  512 x 32 bits |<---+     | immediate, constant,      |   |
    +----------------+    |     | prepared                  |   +--[register]--+--> pc, frame, ...
                          |     | A --> adder and logic     |                  +--> beam lanes, digest
                          |     +---------------------------+                  |
                          +----------------------------------------------------+
```

Nearly all state lies in the scratch RAM, at the addresses that the host uses, so that host access is wiring. Beside it
there are registers only for what every cycle needs: pc, stack depth, frame, digest, the instruction, and the working
registers A and B. While the core is stopped the RAM's copies hold; a stop writes the registers back, a start loads
them.

What an instruction is, is in block RAM: the decode table says where its operands are and which micro-routine ends it.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from vac.isa.encoding import LENGTH_BY_GROUP
from vac.isa.limits import CODE_ADDRESS_BITS, ISA_VERSION, LEAF_BITS, SLOT_BITS
from vac.isa.state_map import FRAME_RAM_BASE, LABEL_RAM_BASE, REGISTER_BASE, STACK_RAM_BASE, WINDOW_BASE, HostRegister

from ..config import NEVER_COLLIDES, CoreConfig
from ..signatures import BEAM_PORT, DataBus, HostPort, InstructionBus, RetirePort
from .beam_lanes import BeamLanes
from .datapath import FunctionUnit, Multiplier, SerialDigest
from .decode_table import DECODE_ADDRESS_BITS, DECODE_LAYOUT, DecodeTable
from .immediate import ImmediateUnit
from .micro_op import (
    FLAG_BITS,
    IMMEDIATE_BITS,
    MICRO_LAYOUT,
    Action,
    Operand,
    Prepared,
    Read,
    Write,
)
from .microprogram import microprogram
from .operand_address import OperandAddress
from .retire_monitor import RetireMonitor
from .scratch_map import CELL_ADDRESS_BITS, CELLS, UPPER, UPPER_BITS, register_cell
from .sequencer import sequencer
from .translation import Translation

_WORD_BITS = LEAF_BITS - 2
_READ_ONLY = (
    HostRegister.STOP, HostRegister.FAULT_SLOT, HostRegister.FAULT_LEAF, HostRegister.IDENTITY,
    HostRegister.FAULT_LABELS,
)  # fmt: skip
_FRAMES = FRAME_RAM_BASE.bit_length() - 1


class CompactCore(wiring.Component):
    """The QPU. Ports as those of `vac_hdl.core.Core`; the instruction bus stays unused, code comes over the data bus.

    There are no labels, no branch prediction and no translation cached in window registers: of the configuration,
    `window_way_bits`, `branch_target_bits` and `has_lut_ram` mean nothing here. Raises ValueError for `label_bits`
    other than 0. TLB_LEAF and TLB_FRAME stay latched until the next start.
    """

    def __init__(self, config: CoreConfig) -> None:
        if config.label_bits:
            raise ValueError(f"label_bits is {config.label_bits}; the compact core has no labels: 0 is possible")
        self.config = config
        address_bits = config.frame_bits + _WORD_BITS
        ports = {
            "instruction_bus": Out(InstructionBus(address_bits)),
            "data_bus": Out(DataBus(address_bits)),
            "host": In(HostPort()),
            "beams": Out(BEAM_PORT),
        }
        if config.has_retire_port:
            ports["retire"] = Out(RetirePort())
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        return _Elaboration(self).m


class _Elaboration:
    """One core being put together; its attributes are the signals that several parts use."""

    def __init__(self, core: CompactCore) -> None:
        self.ports: Any = core
        self.m = m = Module()
        self.table = DecodeTable.build()
        self.words, self.labels = microprogram(self.table.routines)
        self.micro: Any = Signal(MICRO_LAYOUT)
        self.decoded: Any = Signal(DECODE_LAYOUT)
        self.constant = Cat(self.micro.read_at, self.micro.write_at, self.micro.spare)
        self.cell, self.result, self.late_result = Signal(32), Signal(32), Signal(32)
        self.a, self.b = Signal(32), Signal(32)
        self.pc = Signal(CODE_ADDRESS_BITS)
        self.instruction, self.length = Signal(40), Signal(3)
        self.word = Signal(32)
        m.d.sync += self.word.eq(core.data_bus.read_data)
        self.flags = Signal(FLAG_BITS)
        self.slot = Signal(SLOT_BITS)
        self.frame, self.code_frame = Signal(core.config.frame_bits), Signal(core.config.frame_bits)
        self.writable, self.code_frame_known, self.kept = Signal(), Signal(), Signal()
        self.is_action = {action: Signal(name=f"does_{action.name.lower()}") for action in Action}
        m.d.comb += [signal.eq(self.micro.action == action) for action, signal in self.is_action.items()]
        self.idle = self.is_action[Action.IDLE]

        m.submodules.operands = self.operands = OperandAddress()
        m.submodules.lanes = self.lanes = BeamLanes(core.config.beam_fifo)
        m.submodules.digest = self.digest = SerialDigest()
        m.submodules.translation = self.translation = Translation(core.config.tlb_bits, core.config.frame_bits)
        self._instruction()
        self._result()
        self._registers()
        self._scratch()
        self._bus()
        self._beam()
        sequencer(m, self)
        if core.config.has_retire_port:
            m.submodules.monitor = monitor = RetireMonitor()
            monitor.watch(m, self)
            connect(m, monitor.port, flipped(core.retire))

    def does(self, *actions: Action) -> Any:
        """1 when the micro-op's action is one of these."""
        return Cat(self.is_action[action] for action in actions).any()

    def did(self, *actions: Action) -> Any:
        """1 when the action of the micro-op before is one of these: `late_result` is that micro-op's result."""
        done = Signal(name="did_" + actions[0].name.lower())
        self.m.d.sync += done.eq(self.does(*actions))
        return done

    def _instruction(self) -> None:
        """Instruction register, decode table, immediates."""
        m, decoded = self.m, self.decoded
        both = Signal(64, name="code_words")
        m.d.comb += both.eq(Cat(self.word, self.ports.data_bus.read_data))
        with m.If(self.does(Action.TAKE_INSTRUCTION)):
            with m.Switch(self.pc[:2]):
                for offset in range(4):
                    with m.Case(offset):
                        m.d.sync += self.instruction.eq(both[8 * offset :])
        with m.Switch(self.instruction[5:8]):
            for group, length in enumerate(LENGTH_BY_GROUP):
                with m.Case(group):
                    m.d.comb += self.length.eq(length)

        m.submodules.decode_table = rom = Memory(
            shape=DECODE_LAYOUT.size, depth=1 << DECODE_ADDRESS_BITS, init=self.table.words(self.labels)
        )
        port = rom.read_port()
        again = self.is_action[Action.DECODE_AGAIN]
        by_number = decoded.detail[2]
        m.d.comb += [
            port.en.eq(again | self.is_action[Action.DECODE]),
            port.addr.eq(
                Mux(
                    again,
                    Cat(
                        Mux(by_number, self.instruction[8:12], self.instruction[20:24]),
                        decoded.detail[:2],
                        Const(0b100, 3),
                    ),
                    self.instruction[:8],
                )
            ),
            decoded.as_value().eq(port.data),
            self.operands.number_wrong.eq(again & by_number & (self.instruction[12:16] != 0)),
        ]
        m.submodules.immediate_unit = unit = ImmediateUnit()
        self.immediate = Signal(32)
        chosen = self.constant[-IMMEDIATE_BITS:]
        m.d.comb += [
            unit.instruction.eq(self.instruction),
            unit.length.eq(self.length),
            unit.kind.eq(Mux(chosen == 0, decoded.immediate, chosen - 1)),
        ]
        m.d.sync += self.immediate.eq(unit.value)

    def _result(self) -> None:
        m, micro, decoded = self.m, self.micro, self.decoded
        m.submodules.multiplier = multiplier = Multiplier()
        m.submodules.function_unit = unit = FunctionUnit()
        y = Signal(32)
        sources = {
            Operand.HOST: self.ports.host.write_data,
            Operand.ZERO: Const(0, 32),
            Operand.CELL: self.cell,
            Operand.B: self.b,
            Operand.LOADED: self._loaded(),
            Operand.IMMEDIATE: self.immediate,
            Operand.CONSTANT: self.constant,
            Operand.PREPARED: self._prepared(multiplier),
        }
        values: list[Any] = [sources[operand] for operand in Operand]
        for bit in micro.y.as_value():  # a tree: no select is decoded first
            values = [Mux(bit, odd, even) for even, odd in zip(values[::2], values[1::2], strict=True)]
        m.d.comb += y.eq(values[0])
        m.d.comb += [
            multiplier.a.eq(self.a),
            multiplier.b.eq(self.b),
            unit.function.eq(micro.function),
            unit.taken.eq(decoded.function),
            unit.a.eq(self.a),
            unit.y.eq(y),
            unit.shift_in.eq(self.b[31]),
            unit.size_mask.eq(Mux(decoded.detail[1], 3, decoded.detail[:2])),
            self.result.eq(unit.result),
        ]
        # What is not at once needed takes the result from here.
        m.d.sync += self.late_result.eq(unit.result)
        # The wide tests are made on registers, in the cycle behind.
        self.flag_carry, self.flag_below = Signal(name="flag_carry"), Signal(name="flag_below")
        flagged, total = Signal(32), Signal(32, name="flagged_total")
        self.flag_zero, self.flag_byte = flagged == 0, flagged[:8] == 0
        self.flag_equal = total == 0
        with m.If(micro.flags):
            m.d.sync += [
                flagged.eq(unit.result),
                total.eq(unit.total),
                self.flag_carry.eq(unit.carry),
                self.flag_below.eq(unit.below),
            ]

    def _prepared(self, multiplier: Multiplier) -> Signal:
        """What this micro-op prepares for the next, which has it as PREPARED."""
        m, micro, decoded = self.m, self.micro, self.decoded
        power, n, which = Signal(32), Signal(5, name="exponent"), Signal(Prepared)
        value, prepared = Signal(32, name="preparing"), Signal(32)
        pc_not_first = (micro.prepares == Prepared.FIRST) & ~decoded.shifts
        m.d.comb += which.eq(Mux(pc_not_first, Prepared.PC, micro.prepares))
        with m.Switch(which):
            with m.Case(Prepared.FIRST):
                m.d.comb += n.eq(Mux(decoded.detail[0], -self.b[:5], self.b[:5]))
            with m.Case(Prepared.POWER):
                m.d.comb += n.eq(self.constant)
            with m.Default():
                m.d.comb += n.eq(self.pc[:4] ^ self.pc[4:8])
        m.d.comb += power.eq(Cat(n == bit for bit in range(32)))
        with m.Switch(which):
            for kind, source in (
                (Prepared.PC, self.pc),
                (Prepared.PRODUCT_LOW, multiplier.product[:32]),
                (Prepared.PRODUCT_HIGH, multiplier.product[32:]),
                (Prepared.HEADER, Cat(self.instruction[:8], self.flags[:8])),
                (Prepared.DIGEST_LOW, self.digest.state[:32]),
                (Prepared.DIGEST_HIGH, self.digest.state[32:]),
                (Prepared.STACK_DEPTH, self.operands.depth),
                (Prepared.SLOT, self.slot),
                (Prepared.LINK, Cat(self.cell[:CODE_ADDRESS_BITS], self.operands.frame_size)),
                (Prepared.ACCESS_SIZE, Cat(decoded.detail[:2] == size for size in range(3))),
            ):
                with m.Case(kind):
                    m.d.comb += value.eq(source)
            with m.Default():
                m.d.comb += value.eq(power)
        m.d.sync += prepared.eq(value)
        return prepared

    def _loaded(self) -> Signal:
        """The memory word as a load wants it: aligned, extended."""
        m, size, is_signed = self.m, self.decoded.detail[:2], self.decoded.detail[2]
        word = self.ports.data_bus.read_data
        half, byte, fill = Signal(16, name="loaded_half"), Signal(8, name="loaded_byte"), Signal(name="loaded_fill")
        loaded = Signal(32)
        m.d.comb += [
            half.eq(Mux(self.a[1], word[16:], word[:16])),
            byte.eq(Mux(self.a[0], half[8:], half[:8])),
            fill.eq(is_signed & Mux(size[0], half[15], byte[7])),
            loaded[:8].eq(Mux(size == 0, byte, half[:8])),
            loaded[8:16].eq(Mux(size == 0, fill.replicate(8), half[8:])),
            loaded[16:].eq(Mux(size[1], word[16:], fill.replicate(16))),
        ]
        with m.If(size[1]):
            m.d.comb += loaded[:16].eq(word[:16])
        registered = Signal(32, name="loaded_registered")
        m.d.sync += registered.eq(loaded)
        return registered

    def _registers(self) -> None:
        m, micro, result = self.m, self.micro, self.result
        self.shifted_out = Signal()
        self.count = Signal(5)
        with m.If(self.does(Action.SHIFT)):
            m.d.sync += [self.b.eq(self.b << 1), self.shifted_out.eq(self.a[31])]
        divides = self.does(Action.DIVIDE_STEP)
        takes = ~self.flag_carry | self.shifted_out
        # An operand that the instruction does not have is zero or an immediate. A's micro-op follows the one that reads
        # it, and B's likewise; so this is known a cycle ahead.
        b_is_value, a_is_zero = Signal(), Signal()
        m.d.sync += [
            b_is_value.eq((micro.read == Read.B) & self.operands.b_is_value),
            a_is_zero.eq((micro.read == Read.A) & ~self.operands.a_is_read),
        ]
        with m.If(micro.to_a | (divides & takes)):
            m.d.sync += self.a.eq(result)
            with m.If(a_is_zero):
                m.d.sync += self.a.eq(0)
            with m.If(self.does(Action.POINTER)):
                m.d.sync += self.a[28:].eq(0)
        with m.If(divides & takes):
            m.d.sync += self.b[0].eq(1)
        in_registers = self.ports.host.address[8:10] == REGISTER_BASE >> 8
        number = self.ports.host.address[:8]
        self.host_writes_tlb = Signal()
        host_writes_register = self.idle & self.ports.host.write & in_registers & ~self.ports.host.address[_FRAMES]
        m.d.comb += self.host_writes_tlb.eq(host_writes_register & (number == HostRegister.TLB_ENTRY))
        with m.If(micro.to_b | (host_writes_register & (number == HostRegister.TLB_LEAF))):
            m.d.sync += self.b.eq(result)
            with m.If(b_is_value):
                m.d.sync += self.b.eq(self.immediate)
        with m.If(host_writes_register & (number == HostRegister.TLB_FRAME)):
            m.d.sync += self.frame.eq(self.ports.host.write_data)
        fills = (number == HostRegister.TLB_LEAF) | (number == HostRegister.TLB_FRAME)
        fills = in_registers & (fills | ((number == HostRegister.TLB_ENTRY) & self.ports.host.write_data[0]))
        with m.If(self.does(Action.KEEP_INSTRUCTION)):
            m.d.sync += self.kept.eq(1)
        with m.Elif(self.does(Action.BEGIN, Action.TAKE_INSTRUCTION)
                    | (self.idle & self.ports.host.write & ~fills)):  # fmt: skip
            m.d.sync += self.kept.eq(0)
        with m.If(self.does(Action.SET_COUNT)):
            m.d.sync += self.count.eq(31)
        with m.Elif(divides):
            m.d.sync += self.count.eq(self.count - 1)

        with m.If(self.did(Action.LOAD_PC, Action.COMMIT)):
            m.d.sync += self.pc.eq(self.late_result)
        # The frame is that of one code page; whether pc is still there is seen when it is used.
        page, page_known = Signal(CODE_ADDRESS_BITS - LEAF_BITS), Signal()
        m.d.comb += self.code_frame_known.eq(page_known & (page == self.pc[LEAF_BITS:]))
        with m.If(self.does(Action.RESET)):
            m.d.sync += page_known.eq(0)
        with m.If(self.does(Action.SLOT)):
            m.d.sync += self.slot.eq(self.cell[8:])
        with m.If(self.does(Action.SLOT_CODE)):
            m.d.sync += self.slot.eq(0)
        tlb = self.translation
        m.d.comb += [
            tlb.slot.eq(self.slot),
            tlb.leaf.eq(self.a[LEAF_BITS:]),
            tlb.write.eq(self.host_writes_tlb),
            tlb.write_leaf.eq(self.b),
            tlb.write_slot.eq(self.b[24:]),
            tlb.write_frame.eq(self.frame),
            tlb.write_valid.eq(self.ports.host.write_data[0]),
            tlb.write_writable.eq(self.ports.host.write_data[1]),
        ]
        with m.If(self.does(Action.KEEP_FRAME)):
            m.d.sync += [self.frame.eq(tlb.frame), self.writable.eq(tlb.writable)]
        with m.If(self.does(Action.KEEP_CODE_FRAME)):
            m.d.sync += [self.code_frame.eq(tlb.frame), page.eq(self.pc[LEAF_BITS:]), page_known.eq(tlb.hit)]
        begins = self.does(Action.BEGIN, Action.TAKE_INSTRUCTION)
        with m.If(begins):
            m.d.sync += self.flags.eq(0)
        with m.Else():
            sets = self.does(Action.FLAGS).replicate(FLAG_BITS) & self.constant[:FLAG_BITS]
            m.d.sync += self.flags.eq(self.flags | sets | (self.operands.pushes << 7))
        operands = self.operands
        m.d.comb += [
            operands.instruction.eq(self.instruction),
            operands.decoded.eq(self.decoded),
            operands.read.eq(micro.read),
            operands.begin.eq(begins),
            operands.commit.eq(self.does(Action.COMMIT)),
            operands.result.eq(self.late_result),
            operands.load_depth.eq(self.did(Action.LOAD_STACK_DEPTH)),
            operands.load_base.eq(self.did(Action.LOAD_FRAME_BASE)),
            operands.load_size.eq(self.did(Action.LOAD_FRAME_SIZE)),
            operands.load_size_high.eq(self.did(Action.LOAD_FRAME_SIZE_HIGH)),
        ]

    def _scratch(self) -> None:
        m, micro, host = self.m, self.micro, self.ports.host
        identity = ISA_VERSION | self.ports.config.frame_bits << 8 | self.ports.config.tlb_bits << 16
        init = [0] * CELLS
        init[register_cell(HostRegister.IDENTITY)] = identity
        init[register_cell(HostRegister.COHERENCE)] = 0xFFFF
        m.submodules.scratch = scratch = Memory(shape=32, depth=CELLS, init=init, attrs=NEVER_COLLIDES)
        read, write = scratch.read_port(), scratch.write_port()
        window = Signal(5)
        with m.If(self.does(Action.POINTER)):
            m.d.sync += window.eq(self.a[28:])
        with m.If(self.does(Action.WINDOW_8)):
            m.d.sync += window.eq(self.instruction[8:12])
        with m.If(self.does(Action.WINDOW_12)):
            m.d.sync += window.eq(self.instruction[12:16])
        with m.If(self.does(Action.WINDOW_TABLE)):
            m.d.sync += window.eq(16)

        region = host.address[8:10]
        in_registers, in_windows = region == REGISTER_BASE >> 8, region == WINDOW_BASE >> 8
        host_cell = Signal(CELL_ADDRESS_BITS)
        m.d.comb += host_cell.eq(
            Mux(
                region == STACK_RAM_BASE >> 8,
                host.address[:8],
                Cat(host.address[:UPPER_BITS] ^ in_registers.replicate(UPPER_BITS), Const(0, 1), Const(1, 1)),
            )
        )
        address, kept_address = Signal(CELL_ADDRESS_BITS), Signal(CELL_ADDRESS_BITS)
        upper = UPPER >> UPPER_BITS
        with m.Switch(micro.read):
            with m.Case(Read.FIXED):
                m.d.comb += address.eq(Cat(micro.read_at, Const(upper, 2)))
            with m.Case(Read.WINDOW):
                m.d.comb += address.eq(Cat(self.constant[:2], window, Const(upper, 2)))
            with m.Default():
                m.d.comb += address.eq(self.operands.address)
        with m.If((micro.read == Read.DESTINATION) | (micro.read == Read.LINK_FREE) | self.does(Action.KEEP_ADDRESS)):
            m.d.sync += kept_address.eq(address)
        number = host.address[:8]
        read_only = in_registers & Cat(number == register for register in _READ_ONLY).any()
        host_writes = self.idle & host.write & ~host.address[_FRAMES] & (region != LABEL_RAM_BASE >> 8) & ~read_only
        to_kept = (micro.write == Write.KEPT) | (micro.write == Write.DESTINATION)
        # The result is written a cycle later, when the host, which starts only then, does not.
        writes, write_address, was_idle = Signal(), Signal(CELL_ADDRESS_BITS), Signal(init=1)
        m.d.sync += [
            was_idle.eq(self.idle),
            write_address.eq(Mux(to_kept, kept_address, Cat(micro.write_at, Const(upper, 2)))),
            writes.eq(
                (micro.write == Write.FIXED)
                | (micro.write == Write.KEPT)
                | ((micro.write == Write.DESTINATION) & self.operands.has_destination)
            ),
        ]
        m.d.comb += [
            read.addr.eq(Mux(self.idle, host_cell, address)),
            self.cell.eq(read.data),
            write.addr.eq(Mux(was_idle, host_cell, write_address)),
            write.data.eq(Mux(was_idle, host.write_data, self.late_result)),
            write.en.eq(Mux(was_idle, host_writes, writes)),
        ]
        self.write = write
        # What was asked for in the cycle before, then in a register: the third cycle after the address.
        asked_frames, asked_nothing = Signal(), Signal()
        answer = Signal(32)
        m.d.sync += [
            asked_frames.eq(host.address[_FRAMES]),
            asked_nothing.eq(~in_registers & ~in_windows & (region != STACK_RAM_BASE >> 8)),
            answer.eq(Mux(asked_frames, self.ports.data_bus.read_data, Mux(asked_nothing, 0, self.cell))),
            self.ports.host.read_data.eq(answer),
        ]
        m.d.comb += self.ports.host.stopped.eq(self.idle & was_idle)

    def _bus(self) -> None:
        """Code and data over one bus; the host's words while the core is stopped."""
        m, bus, host = self.m, self.ports.data_bus, self.ports.host
        in_frames = host.address[_FRAMES]
        size = self.decoded.detail[:2]
        next_word = Signal(_WORD_BITS)
        stores = self.does(Action.STORE)
        mask = Signal(4)
        b = self.b
        m.d.comb += [
            next_word.eq(self.pc[2:LEAF_BITS] + self.does(Action.FETCH_NEXT)),
            bus.address.eq(Cat(self.a[2:LEAF_BITS], self.frame)),
            bus.read.eq(self.does(Action.LOAD, Action.FETCH, Action.FETCH_NEXT)),
            mask.eq(Mux(size[1], 0b1111, Mux(size[0], 0b0011, 0b0001)) << self.a[:2]),
            bus.write_mask.eq(mask & stores.replicate(4)),
            bus.write_data.eq(Mux(size[1], b, Mux(size[0], b[:16].replicate(2), b[:8].replicate(4)))),
        ]
        with m.If(self.does(Action.FETCH, Action.FETCH_NEXT)):
            m.d.comb += bus.address.eq(Cat(next_word, self.code_frame))
        with m.If(self.idle):
            m.d.comb += [
                bus.address.eq(host.address),
                bus.read.eq(in_frames & ~host.write),
                bus.write_mask.eq((in_frames & host.write).replicate(4)),
                bus.write_data.eq(host.write_data),
            ]

    def _beam(self) -> None:
        m, lanes, digest, result = self.m, self.lanes, self.digest, self.late_result
        control = Signal(3, name="beam_control")
        with m.If(self.did(Action.LOAD_BEAM_CONTROL)):
            m.d.sync += control.eq(result)
        m.d.comb += [
            digest.word.eq(result),
            digest.low.eq(self.did(Action.BEAM_PC, Action.BEAM_VALUE, Action.LOAD_DIGEST_LOW)),
            digest.high.eq(self.did(Action.BEAM_HEADER, Action.BEAM_AUX, Action.LOAD_DIGEST_HIGH)),
            digest.clear.eq(self.does(Action.RESET)),
            lanes.word.eq(result),
            lanes.tick.eq(self.cell),
            lanes.flags.eq(self.flags),
            lanes.control.eq(control),
            lanes.begin.eq(self.does(Action.BEGIN, Action.TAKE_INSTRUCTION)),
            lanes.ship.eq(self.does(Action.BEAM_SHIP)),
            lanes.write_pc.eq(self.did(Action.BEAM_PC)),
            lanes.write_header.eq(self.did(Action.BEAM_HEADER)),
            lanes.write_value.eq(self.did(Action.BEAM_VALUE)),
            lanes.write_aux.eq(self.did(Action.BEAM_AUX)),
        ]
        connect(m, lanes.port, flipped(self.ports.beams))
