"""The QPU core: a pipelined stack machine that retires at most one instruction a cycle.

Stages: fetch and align (FetchUnit) | R decode, stack RAM addresses, branch target | O operands, forwarding | X execute,
effective address | M judge and commit | W write back, beam.

Every instruction is one operation on the stack RAM with up to two sources and one destination (two operations where
it has two results). Nothing architectural changes before M, where an instruction either commits or, with everything
behind it, is dropped; so traps, page faults and stops are precise.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from vac.isa.alu import DIVIDING, AluFunction
from vac.isa.beam import BeamFlag
from vac.isa.limits import (
    CODE_SLOT,
    DATA_STACK_CELLS,
    ISA_VERSION,
    LEAF_BITS,
    RETURN_STACK_CELLS,
    SLOT_BITS,
    STACK_OPERAND,
    STACK_RAM_CELLS,
    TABLE_WINDOW,
)
from vac.isa.ports import SYSTEM_CALLS, CoreRegister
from vac.isa.sqi import EPOCH_TICKS
from vac.isa.state_map import (
    FRAME_RAM_BASE,
    HOST_ADDRESS_BITS,
    LABEL_RAM_BASE,
    REGISTER_BASE,
    STACK_RAM_BASE,
    TLB_LABELS_SHIFT,
    WINDOW_BASE,
    FaultKind,
    HostRegister,
    StopCode,
    WindowWord,
)
from vac.isa.traps import Trap

from .arithmetic import Alu, Comparator, Divider, Multiplier, condition_holds
from .beam_port import BeamPort
from .bundle import Bundle
from .config import CoreConfig
from .decoder import Decoder, OperandFrom, Peek, UnitCode
from .digest import Digest
from .fetch import FetchUnit, instruction_length
from .memory_access import LEAF_NUMBER_BITS, WINDOW_LAYOUT, Tlb, WindowFile, window_translation_layout
from .micro_op import MICRO_OP_FIELDS, Execution, Step, commit_fields
from .signatures import BEAM_LAYOUT, BEAM_PORT, RETIRE_LAYOUT, DataBus, HostPort, InstructionBus, RetirePort
from .sqi import SqiUnit


class Mode(enum.Enum, shape=3):
    """What the core as a whole does. Codes that are not listed lead back to STOPPED."""

    STOPPED = 0
    RUN = 1
    DRAIN = 2
    """The pipeline empties; then the core is STOPPED."""
    WALK = 3
    """The TLB is being read for a load or store."""
    WALKED = 4
    """The TLB has answered."""
    RESTART = 5
    """Fetching starts at the architectural pc."""


def is_any(unit: Value, *units: UnitCode) -> Value:
    """1 where `unit` is one of these."""
    truth: Value = Const(0, 1)
    for code in units:
        truth = truth | (unit == code)
    return truth


_EVENTS = (UnitCode.DEVICE_IN, UnitCode.DEVICE_OUT, UnitCode.SYSTEM_CALL)
_TABLES = (UnitCode.TABLE_CALL, UnitCode.TABLE_JUMP)
_DIRECT = (UnitCode.JUMP, UnitCode.CALL)
_DRAIN_CYCLES = 4


class Core(wiring.Component):
    """The QPU.

    Attributes: instruction_bus: Out(InstructionBus). data_bus: Out(DataBus). host: In(HostPort). beams: Out(stream of
    SHIPPED_BEAM_LAYOUT). retire: Out(RetirePort), where the configuration has it.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        address_bits = config.frame_bits + LEAF_BITS - 2
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
        m = Module()
        config = self.config
        self._declare(m)
        m.submodules.fetch = self.fetch = FetchUnit(config)
        m.submodules.decoder = self.decoder = Decoder()
        m.submodules.comparator = self.comparator = Comparator()
        m.submodules.alu = self.alu = Alu()
        m.submodules.multiplier = self.multiplier = Multiplier()
        m.submodules.divider = self.divider = Divider()
        m.submodules.windows = self.windows = WindowFile(config)
        m.submodules.tlb = self.tlb = Tlb(config)
        m.submodules.sqi = self.sqi = SqiUnit()
        m.submodules.digest = self.digest = Digest()
        m.submodules.beam_port = self.beam_port = BeamPort(config.beam_fifo)
        connect(m, self.fetch.bus, flipped(self.instruction_bus))
        connect(m, self.beam_port.port, flipped(self.beams))

        self._stack_ram(m)
        self._read_stage(m)
        self._operand_stage(m)
        self._execute_stage(m)
        self._commit_stage(m)
        self._write_back_stage(m)
        self._control(m)
        self._code_translation(m)
        self._host_access(m)
        return m

    # ---- registers ---------------------------------------------------------------------------------------------

    def _declare(self, m: Module) -> None:
        labels = self.config.label_bits
        self.mode = Signal(Mode)
        self.running = Signal()
        m.d.comb += self.running.eq(self.mode == Mode.RUN)
        # Architectural state.
        self.pc, self.tick = Signal(24), Signal(64)
        self.sp, self.rp, self.fp = Signal(8), Signal(8), Signal(8)
        self.code_length, self.has_labels = Signal(25), Signal()
        self.cone_in, self.cone_out = Signal(64), Signal(64)
        self.joins = Signal(32)
        # Run control.
        self.budget = Signal(32)
        self.stop_code, self.stop_trap, self.fault_kind = Signal(StopCode), Signal(Trap), Signal(FaultKind)
        self.fault_slot, self.fault_leaf = Signal(SLOT_BITS), Signal(LEAF_NUMBER_BITS)
        self.fault_window, self.fault_store, self.fault_labels = Signal(5), Signal(), Signal(labels)
        self.answer_valid, self.answer_refused, self.answer_value = Signal(), Signal(), Signal(32)
        self.code_changed, self.code_page_unknown = Signal(), Signal()
        self.beam_control, self.beams_lost = Signal(3, init=1), Signal(32)
        # No logic hangs on the host port directly.
        host_fields = {"address": HOST_ADDRESS_BITS, "write": 1, "write_data": 32, "start": 1, "halt_request": 1}
        self.host_in = Bundle(host_fields, "host_in")
        m.d.sync += [self.host_in[field].eq(getattr(self.host, field)) for field in host_fields]
        # Pipeline.
        self.flush = Signal()
        self.r_valid, self.r_word, self.r_marked = Signal(), Signal(40), Signal()
        self.r_pc, self.r_sequential = Signal(24), Signal(25)
        self.r_second, self.r_blocked = Signal(), Signal()
        self.spec_sp, self.spec_rp, self.spec_fp, self.spec_frame = Signal(8), Signal(8), Signal(8), Signal(8)
        self.o_valid, self.o = Signal(), Bundle(MICRO_OP_FIELDS, "o")
        self.x_valid, self.x = Signal(), Execution(labels, "x")
        self.m_valid, self.m = Signal(), Bundle(commit_fields(labels), "m")
        self.w_valid, self.w = Signal(), Bundle(commit_fields(labels), "w")
        self.o_fire, self.o_free = Signal(), Signal()
        self.x_ready, self.x_result, self.x_result_late = Signal(), Signal(32), Signal()
        self.x_labels, self.m_late = Signal(labels), Signal()
        self.commit, self.redirect, self.redirect_pc = Signal(), Signal(), Signal(24)
        self.restart = Signal()
        self.table_entry, self.table_address = Signal(32), Signal(32)
        # What the execute stage found out about a memory access, for the commit stage.
        self.m_permission_bad, self.m_misaligned = Signal(), Signal()
        self.m_bound, self.m_window_length, self.m_narrow = Signal(33), Signal(30), Signal()
        self.m_window, self.m_window_index = Signal(WINDOW_LAYOUT), Signal(5)
        self.x_way, self.m_way, self.fault_way = Signal(2), Signal(2), Signal(2)
        self.m_translation = Signal(window_translation_layout(self.config))
        self.m_translation_valid, self.m_is_memory = Signal(), Signal()
        self.m_takes_input, self.m_lets_output = Signal(), Signal()

    def _stack_ram(self, m: Module) -> None:
        m.submodules.stack_ram = ram = Memory(shape=32, depth=STACK_RAM_CELLS, init=[])
        self.cell_write = ram.write_port()
        self.cell_read_a = ram.read_port(transparent_for=(self.cell_write,))
        self.cell_read_b = ram.read_port(transparent_for=(self.cell_write,))
        if self.config.label_bits:
            m.submodules.label_ram = ram = Memory(shape=self.config.label_bits, depth=STACK_RAM_CELLS, init=[])
            self.label_write = ram.write_port()
            self.label_read_a = ram.read_port(transparent_for=(self.label_write,))
            self.label_read_b = ram.read_port(transparent_for=(self.label_write,))

    # ---- R: decode ---------------------------------------------------------------------------------------------

    def _read_stage(self, m: Module) -> None:
        word, control = self.r_word, self.decoder.control
        length, length_rule = instruction_length(word[:8])
        m.d.comb += [self.decoder.word.eq(word), length_rule]
        op = Bundle(MICRO_OP_FIELDS, "r")
        self.r_op = op
        fire = Signal(name="r_fire")
        two_steps = Signal()
        unit = control.unit
        swaps, tables = Signal(), Signal()
        m.d.comb += [
            swaps.eq(unit == UnitCode.SWAP),
            tables.eq(is_any(unit, *_TABLES)),
            two_steps.eq(control.legal & (swaps | control.post_increment | tables)),
            fire.eq(self.r_valid & self.o_free & ~self.r_blocked & self.running),
        ]
        frame_base = Signal(8)
        m.d.comb += frame_base.eq(self.spec_fp + DATA_STACK_CELLS)

        operands = {}
        beyond_frame: Value = Const(0, 1)
        for name in ("a", "b", "destination"):
            kind = control[name]
            index, is_stack, is_local = (
                Signal(8, name=f"{name}_index"),
                Signal(name=f"{name}_is_stack"),
                Signal(name=f"{name}_is_local"),
            )
            with m.Switch(kind):
                for code, low, width in (
                    (OperandFrom.NIBBLE_8, 8, 4),
                    (OperandFrom.NIBBLE_12, 12, 4),
                    (OperandFrom.NIBBLE_16, 16, 4),
                    (OperandFrom.LOCAL_BYTE, 8, 8),
                    (OperandFrom.LOCAL_OPCODE, 0, 3),
                ):
                    with m.Case(code):
                        m.d.comb += index.eq(word[low : low + width])
                        stack_named = index == STACK_OPERAND if width == 4 else Const(0, 1)
                        m.d.comb += [is_stack.eq(stack_named), is_local.eq(~stack_named)]
                with m.Case(OperandFrom.STACK):
                    m.d.comb += is_stack.eq(1)
            operands[name] = (index, is_stack, is_local)
            beyond_frame = beyond_frame | (is_local & (index >= self.spec_frame))
        (a_index, a_stack, a_local), (b_index, b_stack, b_local) = operands["a"], operands["b"]
        d_index, d_stack, d_local = operands["destination"]

        sp_popped, needed = Signal(8), Signal(4)
        sp_top, sp_under = Signal(8), Signal(8)
        m.d.comb += [
            sp_top.eq(self.spec_sp - 1),
            sp_under.eq(self.spec_sp - 2),
            sp_popped.eq(self.spec_sp - a_stack - b_stack - control.arguments),
            needed.eq(a_stack + b_stack + control.arguments),
        ]
        with m.If(control.peek == Peek.TOP):
            m.d.comb += needed.eq(1)
        with m.If((control.peek == Peek.SECOND) | swaps):
            m.d.comb += needed.eq(2)

        returns = Signal()
        m.d.comb += returns.eq(unit == UnitCode.RETURN)
        calls_direct = Signal()
        m.d.comb += calls_direct.eq(unit == UnitCode.CALL)
        callee_fp, callee_rp = Signal(9), Signal(10)
        m.d.comb += [callee_fp.eq(self.spec_rp + 1), callee_rp.eq(callee_fp + self.decoder.frame)]
        caller_rp = Signal(8)
        m.d.comb += caller_rp.eq(self.spec_fp - 1)

        m.d.comb += [
            op.unit.eq(unit),
            op.opcode.eq(word[:8]),
            op.pc.eq(self.r_pc),
            op.sequential_pc.eq(self.r_sequential),
            op.target.eq(self.r_pc + self.decoder.offset),
            op.length.eq(length),
            op.backward.eq(self.decoder.offset[-1]),
            op.marked.eq(self.r_marked),
            op.function.eq(control.function),
            op.condition.eq(control.condition),
            op.a_used.eq(a_stack | a_local | (control.peek != Peek.NONE) | swaps | returns),
            op.a_cell.eq(Mux(a_local, frame_base + a_index, Mux(b_stack, sp_under, sp_top))),
            op.b_used.eq(b_stack | b_local | swaps),
            op.b_cell.eq(Mux(b_local, frame_base + b_index, sp_top)),
            op.b_value.eq(control.b == OperandFrom.VALUE),
            op.value.eq(self.decoder.value),
            op.writes.eq(d_stack | d_local),
            op.pushes.eq(d_stack),
            op.cell.eq(Mux(d_local, frame_base + d_index, sp_popped)),
            op.sp.eq(sp_popped + d_stack),
            op.rp.eq(self.spec_rp),
            op.fp.eq(self.spec_fp),
            op.size_log2.eq(control.size_log2),
            op.is_signed.eq(control.is_signed),
            op.indexed.eq(control.indexed),
            op.operand_bytes.eq(word[8:16]),
        ]
        with m.If((control.peek == Peek.SECOND) | swaps):
            m.d.comb += op.a_cell.eq(sp_under)
        with m.If(swaps):
            m.d.comb += [op.writes.eq(1), op.pushes.eq(1), op.cell.eq(sp_top)]
        link = Cat(self.r_sequential[:24], self.spec_frame)
        with m.If(calls_direct | (unit == UnitCode.TABLE_CALL)):
            m.d.comb += [
                op.value.eq(link),
                op.b_value.eq(1),
                op.function.eq(AluFunction.PASS_B),
                op.writes.eq(1),
                op.cell.eq(self.spec_rp + DATA_STACK_CELLS),
                op.fp.eq(callee_fp),
                op.rp.eq(callee_rp),
            ]
        with m.If(returns):
            m.d.comb += [op.a_cell.eq(frame_base - 1), op.rp.eq(caller_rp)]
        with m.If(tables):
            with m.If(~self.r_second):
                m.d.comb += [op.step.eq(Step.PREPARE), op.writes.eq(0), op.size_log2.eq(2)]
            with m.Else():
                m.d.comb += op.a_used.eq(0)
        with m.If(self.r_second & ~tables):
            m.d.comb += [
                op.step.eq(Step.TAIL),
                op.unit.eq(UnitCode.ALU),
                op.a_used.eq(0),
                op.a_previous.eq(1),
                op.b_used.eq(0),
                op.b_value.eq(1),
                op.function.eq(Mux(swaps, AluFunction.PASS_A, AluFunction.ADD)),
                op.value.eq(Const(1) << control.size_log2),
                op.writes.eq(1),
                op.pushes.eq(0),
                op.cell.eq(Mux(swaps, sp_under, frame_base + a_index)),
                op.sp.eq(self.spec_sp),
            ]

        # The first of several reasons to trap, in the order of `Trap`.
        overflow = Signal(name="r_overflow")
        m.d.comb += overflow.eq(d_stack & (sp_popped == DATA_STACK_CELLS))
        with m.If(~self.r_second):
            with m.If(self.r_sequential > self.code_length):
                m.d.comb += op.trap.eq(Trap.CODE_BOUNDS)
            with m.Elif(~control.legal):
                m.d.comb += op.trap.eq(Trap.ILLEGAL)
            with m.Elif(beyond_frame):
                m.d.comb += op.trap.eq(Trap.FRAME)
            with m.Elif(needed > self.spec_sp):
                m.d.comb += op.trap.eq(Trap.STACK_UNDERFLOW)
            with m.Elif(overflow):
                m.d.comb += op.trap.eq(Trap.STACK_OVERFLOW)
            with m.Elif(returns & (self.spec_fp == 0)):
                m.d.comb += op.trap.eq(Trap.RETURN_UNDERFLOW)
            with m.Elif(calls_direct & (callee_rp > RETURN_STACK_CELLS)):
                m.d.comb += op.trap.eq(Trap.RETURN_OVERFLOW)

        # Backward branches are predicted taken, and what the branch target buffer marked.
        direct, redirects = Signal(), Signal()
        m.d.comb += [
            direct.eq(is_any(unit, *_DIRECT) | ((unit == UnitCode.BRANCH) & self.decoder.offset[-1])),
            op.predicted_taken.eq(self.r_marked | (direct & (op.trap == Trap.NONE))),
            redirects.eq(direct & ~self.r_marked & (op.trap == Trap.NONE)),
            self.fetch.ready.eq(~self.r_valid | (fire & (~two_steps | self.r_second))),
        ]
        self.r_redirect = Signal()
        m.d.comb += self.r_redirect.eq(fire & redirects)

        with m.If(self.fetch.ready):
            m.d.sync += [
                self.r_valid.eq(self.fetch.valid & self.running),
                self.r_word.eq(self.fetch.instruction),
                self.r_pc.eq(self.fetch.instruction_pc),
                self.r_sequential.eq(self.fetch.sequential_pc),
                self.r_marked.eq(self.fetch.predicted_taken),
            ]
        with m.If(fire):
            m.d.sync += self.r_second.eq(two_steps & ~self.r_second & (op.trap == Trap.NONE))
            with m.If(op.step != Step.PREPARE):
                m.d.sync += [
                    self.spec_sp.eq(op.sp),
                    self.spec_rp.eq(op.rp),
                    self.spec_fp.eq(op.fp),
                    # Where the frame comes from a cell, nothing is decoded until the operation has redirected.
                    self.spec_frame.eq(Mux(calls_direct, self.decoder.frame, self.spec_frame)),
                    self.r_blocked.eq(returns | tables | (op.trap != Trap.NONE)),
                ]
            m.d.sync += [self.o.eq(op)]
        with m.If(self.o_free):
            m.d.sync += self.o_valid.eq(fire)
        with m.If(self.r_redirect | self.flush):
            m.d.sync += self.r_valid.eq(0)
        with m.If(self.flush):
            m.d.sync += [self.r_second.eq(0), self.r_blocked.eq(0), self.o_valid.eq(0)]

    # ---- O: operands -------------------------------------------------------------------------------------------

    def _operand_stage(self, m: Module) -> None:
        o = self.o
        host_reads = self.mode == Mode.STOPPED
        read_cells = {}
        for name, port in (("a", self.cell_read_a), ("b", self.cell_read_b)):
            # An operation that waits in O is read again every cycle, so that it sees what was written meanwhile.
            address = Mux(self.o_free, self.r_op[f"{name}_cell"], o[f"{name}_cell"])
            read_cells[name] = Signal(8, name=f"read_cell_{name}")
            m.d.comb += [read_cells[name].eq(address), port.en.eq(1), port.addr.eq(read_cells[name])]
        with m.If(host_reads):
            m.d.comb += self.cell_read_a.addr.eq(self.host_in.address[:8])
        if self.config.label_bits:
            m.d.comb += [
                self.label_read_a.en.eq(1),
                self.label_read_b.en.eq(1),
                self.label_read_a.addr.eq(self.cell_read_a.addr),
                self.label_read_b.addr.eq(self.cell_read_b.addr),
            ]

        waits: Value = Const(0, 1)
        operand, labels = {}, {}
        for name, port in (("a", self.cell_read_a), ("b", self.cell_read_b)):
            cell, used = o[f"{name}_cell"], o[f"{name}_used"]
            in_x, in_m, in_w = (Signal(name=f"{name}_in_{stage}") for stage in "xmw")
            operand[name] = Signal(32, name=f"o_{name}")
            labels[name] = Signal(self.config.label_bits, name=f"o_labels_{name}")
            stored_labels = (
                (self.label_read_a if name == "a" else self.label_read_b).data if self.config.label_bits else 0
            )
            m.d.comb += [
                in_x.eq(used & self.x_valid & self.x.op.writes & (self.x.op.cell == cell)),
                in_m.eq(used & self.m_valid & self.m.writes & (self.m.cell == cell)),
                in_w.eq(used & self.w_valid & self.w.writes & (self.w.cell == cell)),
            ]
            with m.If(~used):
                m.d.comb += [operand[name].eq(0), labels[name].eq(0)]
            with m.Elif(in_x):
                m.d.comb += [operand[name].eq(self.alu.result), labels[name].eq(self.x_labels)]
            with m.Elif(in_m):
                m.d.comb += [operand[name].eq(self.m.result), labels[name].eq(self.m.labels)]
            with m.Elif(in_w):
                m.d.comb += [operand[name].eq(self.w.result), labels[name].eq(self.w.labels)]
            with m.Else():
                m.d.comb += [operand[name].eq(port.data), labels[name].eq(stored_labels)]
            waits = waits | (in_x & self.x_result_late) | (~in_x & in_m & self.m_late)
        with m.If(o.a_previous):
            # The step before is in X just now, and leaves it together with this one leaving O.
            swapped = o.function == AluFunction.PASS_A
            m.d.comb += [
                operand["a"].eq(Mux(swapped, self.x.b, self.x.a)),
                labels["a"].eq(Mux(swapped, self.x.labels_b, self.x.labels_a)),
            ]
        with m.If(o.b_value):
            m.d.comb += operand["b"].eq(o.value)

        changes_window = is_any(self.x.op.unit, UnitCode.WINDOW_NARROW, UnitCode.WINDOW_RESTRICT)
        serializes, window_pending, alone = Signal(), Signal(), Signal()
        window_operation = Signal()
        m.d.comb += [
            window_operation.eq(
                is_any(o.unit, UnitCode.WINDOW_NARROW, UnitCode.WINDOW_RESTRICT, UnitCode.WINDOW_LENGTH)
            ),
            # These read or change what younger or older operations may still be changing or reading.
            serializes.eq(
                is_any(o.unit, UnitCode.READ_REGISTER, UnitCode.JOIN, *_EVENTS, UnitCode.WINDOW_NARROW)
                | (o.unit == UnitCode.WINDOW_RESTRICT)
                | (is_any(o.unit, *_TABLES) & (o.step != Step.PREPARE))
            ),
            alone.eq(~(self.x_valid | self.m_valid | self.w_valid)),
            window_pending.eq((self.x_valid & changes_window) | (self.m_valid & self.m_narrow)),
        ]
        blocked = Signal(name="o_blocked")
        m.d.comb += [
            blocked.eq(
                (waits & ~o.a_previous)
                | (serializes & ~alone)
                | window_pending
                | (self.beam_port.full & (o.step != Step.TAIL))
            ),
            self.o_fire.eq(self.o_valid & ~blocked & self.x_ready & self.running),
            self.o_free.eq(~self.o_valid | self.o_fire),
        ]
        named = Mux(o.unit == UnitCode.WINDOW_RESTRICT, o.operand_bytes[:4], o.operand_bytes[4:8])
        m.d.comb += [
            self.windows.enable.eq(self.o_fire | host_reads),
            self.windows.index.eq(
                Mux(
                    host_reads,
                    self.host_in.address[2:7],
                    Mux(
                        o.step == Step.PREPARE,
                        TABLE_WINDOW,
                        Mux(window_operation, named, operand["a"][28:32]),
                    ),
                )
            ),
        ]
        way = Signal(2, name="o_way")
        m.d.comb += [
            # Pointers into neighbouring leaves take different ways, and so do the starts of larger blocks.
            way.eq(operand["a"][LEAF_BITS : LEAF_BITS + 2] ^ operand["a"][LEAF_BITS + 2 : LEAF_BITS + 4]),
            self.windows.way.eq(way),
        ]
        with m.If(self.o_fire):
            m.d.sync += self.x_way.eq(way)
        with m.If(self.x_ready):
            m.d.sync += self.x_valid.eq(self.o_fire)
        with m.If(self.o_fire):
            m.d.sync += [
                self.x.op.eq(o),
                self.x.a.eq(operand["a"]),
                self.x.b.eq(operand["b"]),
                self.x.labels_a.eq(labels["a"]),
                self.x.labels_b.eq(labels["b"]),
            ]
        with m.If(self.flush):
            m.d.sync += self.x_valid.eq(0)

    # ---- X: execute --------------------------------------------------------------------------------------------

    def _execute_stage(self, m: Module) -> None:
        x, op = self.x, self.x.op
        unit = op.unit
        alu, comparator, divider = self.alu, self.comparator, self.divider
        m.d.comb += [
            comparator.a.eq(x.a),
            comparator.b.eq(x.b),
            alu.function.eq(op.function),
            alu.a.eq(x.a),
            alu.b.eq(x.b),
            alu.equal.eq(comparator.equal),
            alu.below_unsigned.eq(comparator.below_unsigned),
            alu.below_signed.eq(comparator.below_signed),
            self.multiplier.a.eq(x.a),
            self.multiplier.b.eq(x.b),
        ]
        is_load, is_store, is_prepare = Signal(), Signal(), Signal()
        computes, divides, multiplies = Signal(), Signal(), Signal()
        m.d.comb += [
            is_load.eq(unit == UnitCode.LOAD),
            is_store.eq(unit == UnitCode.STORE),
            is_prepare.eq(op.step == Step.PREPARE),
            computes.eq(unit == UnitCode.ALU),
            divides.eq(computes & is_any(op.function, *DIVIDING)),
            multiplies.eq(computes & is_any(op.function, AluFunction.MUL, AluFunction.MULHU, AluFunction.MULHS)),
        ]

        # Results that are not the ALU's.
        special, is_special = Signal(32), Signal()
        kept = Signal(4)
        m.d.comb += kept.eq(self.windows.window.permissions & op.operand_bytes[4:8])
        with m.Switch(unit):
            with m.Case(UnitCode.READ_REGISTER):
                m.d.comb += [special.eq(self._core_register(m, op.operand_bytes)), is_special.eq(1)]
            with m.Case(UnitCode.JOIN):
                m.d.comb += [special.eq(self.joins + 1), is_special.eq(1)]
            with m.Case(UnitCode.WINDOW_LENGTH):
                m.d.comb += [special.eq(self.windows.window.length), is_special.eq(1)]
            with m.Case(UnitCode.WINDOW_RESTRICT):
                m.d.comb += [special.eq(kept), is_special.eq(1)]
            with m.Case(UnitCode.TABLE_JUMP):
                m.d.comb += [special.eq(self.table_entry), is_special.eq(1)]
        with m.If(divides):
            m.d.comb += [special.eq(divider.result), is_special.eq(1)]
        m.d.comb += [
            self.x_result.eq(Mux(is_special, special, alu.result)),
            self.x_result_late.eq(is_special | is_load | multiplies | is_any(unit, *_EVENTS)),
        ]

        # Division holds the stage.
        by_zero, divide_waits = Signal(), Signal()
        m.d.comb += [
            by_zero.eq(divides & (x.b == 0)),
            divider.a.eq(x.a),
            divider.b.eq(x.b),
            divider.is_signed.eq((op.function == AluFunction.DIVS) | (op.function == AluFunction.REMS)),
            divider.remainder.eq((op.function == AluFunction.REMU) | (op.function == AluFunction.REMS)),
            divide_waits.eq(self.x_valid & divides & ~by_zero & (op.trap == Trap.NONE) & ~divider.done),
            divider.start.eq(divide_waits & ~divider.busy),
            divider.abort.eq(self.flush),
        ]

        # Control flow.
        taken, follows_cell, next_pc, target = Signal(), Signal(), Signal(24), Signal(24)
        jumps_to_entry = is_any(unit, *_TABLES) & ~is_prepare
        holds = condition_holds(m, comparator, op.condition)
        entry_frame = self.table_entry[24:32]
        table_rp = Signal(9)
        m.d.comb += [
            follows_cell.eq((unit == UnitCode.RETURN) | jumps_to_entry),
            taken.eq(((unit == UnitCode.BRANCH) & holds) | is_any(unit, *_DIRECT) | follows_cell),
            target.eq(Mux(unit == UnitCode.RETURN, x.a[:24], Mux(jumps_to_entry, self.table_entry[:24], op.target))),
            next_pc.eq(Mux(taken, target, op.sequential_pc[:24])),
            table_rp.eq(op.fp + entry_frame),
        ]
        redirects = (taken != op.predicted_taken) | follows_cell

        # Effective address. A narrowing adds its offset in the same way.
        narrows = Signal()
        window, translation = self.windows.window, self.windows.translation
        displacement, address, base_part, offset_part = Signal(32), Signal(32), Signal(32), Signal(32)
        size_mask = Signal(2)
        permission_bad, misaligned, bound = Signal(), Signal(), Signal(33)
        m.d.comb += [
            narrows.eq(unit == UnitCode.WINDOW_NARROW),
            base_part.eq(Mux(narrows, x.a, Mux(is_prepare, x.a << 2, x.a[:28]))),
            offset_part.eq(Mux(op.indexed, (x.b << op.size_log2)[:32], op.value[:22])),
            displacement.eq(base_part + Mux(narrows | is_prepare, 0, offset_part)),
            address.eq(window.base + base_part + Mux(narrows | is_prepare, 0, offset_part)),
            size_mask.eq(Mux(op.size_log2 == 2, 3, Mux(op.size_log2 == 1, 1, 0))),
            misaligned.eq(Mux(narrows, x.a[:2].any(), (displacement[:2] & size_mask).any())),
            bound.eq(
                Mux(
                    narrows,
                    x.a + x.b,
                    Cat(displacement | size_mask, is_prepare & x.a[30:32].any()),
                )
            ),
            permission_bad.eq(
                Mux(narrows, window.permissions == 0, Mux(is_store, ~window.permissions[1], ~window.permissions[0]))
            ),
        ]
        reads_memory = is_load | is_prepare
        load_collides = Signal()
        m.d.comb += [
            # One port: a store in M writes in this cycle.
            load_collides.eq(self.x_valid & reads_memory & self.m_valid & (self.m.unit == UnitCode.STORE)),
            self.x_ready.eq(~(divide_waits | load_collides)),
            self.data_bus.address.eq(Cat(address[2:LEAF_BITS], translation.at.frame)),
            self.data_bus.read.eq(self.x_valid & reads_memory),
        ]

        # Labels of the result.
        joined = Signal(self.config.label_bits)
        if self.config.label_bits:
            m.d.comb += joined.eq(
                Mux(unit == UnitCode.JOIN, Const(1) << self.joins[: (self.config.label_bits - 1).bit_length()], 0)
            )
        m.d.comb += self.x_labels.eq(Mux(self.has_labels & ~jumps_to_entry, x.labels_a | x.labels_b | joined, 0))

        numbered = Signal()
        is_memory = Signal()
        flags = Signal(8)
        emits = unit == UnitCode.EMIT
        m.d.comb += [
            numbered.eq(is_any(unit, UnitCode.READ_REGISTER, UnitCode.MARK, *_EVENTS)),
            is_memory.eq(reads_memory | is_store),
            flags.eq(
                Mux(taken, BeamFlag.TAKEN.value, 0)
                | Mux(is_any(unit, *_EVENTS), BeamFlag.EVENT.value, 0)
                | Mux(emits, BeamFlag.EMIT.value, 0)
                | Mux(unit == UnitCode.JOIN, BeamFlag.JOIN.value, 0)
                | Mux(unit == UnitCode.MARK, BeamFlag.MARK.value, 0)
                | Mux(unit == UnitCode.HALT, BeamFlag.HALT.value, 0)
                | Mux(op.pushes, BeamFlag.PUSH.value, 0)
            ),
        ]
        trap = Signal(Trap)
        with m.If(op.trap != Trap.NONE):
            m.d.comb += trap.eq(op.trap)
        with m.Elif(by_zero):
            m.d.comb += trap.eq(Trap.DIVISION_BY_ZERO)
        with m.Elif((unit == UnitCode.TABLE_CALL) & ~is_prepare & (table_rp > RETURN_STACK_CELLS)):
            m.d.comb += trap.eq(Trap.RETURN_OVERFLOW)
        takes_input, lets_output = self._light_cone_effects(m, unit, op.operand_bytes)

        c = self.m
        m.d.sync += self.m_valid.eq(self.x_valid & self.x_ready & ~self.flush)
        m.d.sync += [
            c.step.eq(op.step),
            c.unit.eq(unit),
            c.opcode.eq(op.opcode),
            c.pc.eq(op.pc),
            c.next_pc.eq(next_pc),
            c.last_byte.eq(op.sequential_pc[:24] - 1),
            c.length.eq(op.length),
            c.redirect.eq(redirects & (trap == Trap.NONE) & ~is_prepare),
            c.learn.eq(taken & ~follows_cell & ~op.marked),
            c.forget.eq(op.marked & ~taken & ~op.backward),
            c.taken.eq(taken),
            c.result.eq(self.x_result),
            c.store_data.eq(x.b),
            c.aux.eq(
                Mux(jumps_to_entry, self.table_address, Mux(is_memory, address, Mux(numbered, op.operand_bytes, 0)))
            ),
            c.flags.eq(flags),
            c.labels.eq(self.x_labels),
            c.writes.eq(op.writes),
            c.cell.eq(op.cell),
            c.sp.eq(op.sp),
            c.rp.eq(Mux((unit == UnitCode.TABLE_CALL), table_rp, op.rp)),
            c.fp.eq(Mux(unit == UnitCode.RETURN, op.rp - x.a[24:32], op.fp)),
            c.is_multiply.eq(multiplies),
            c.multiply_high.eq(op.function != AluFunction.MUL),
            c.multiply_signed.eq(op.function == AluFunction.MULHS),
            c.size_log2.eq(op.size_log2),
            c.is_signed.eq(op.is_signed),
            c.trap.eq(trap),
            c.number.eq(op.operand_bytes),
            c.history_index.eq(op.pc[:4] ^ op.pc[4:8]),
            self.m_permission_bad.eq(permission_bad),
            self.m_misaligned.eq(misaligned),
            self.m_bound.eq(bound),
            self.m_window_length.eq(window.length),
            self.m_narrow.eq(is_any(unit, UnitCode.WINDOW_NARROW, UnitCode.WINDOW_RESTRICT)),
            self.m_window.base.eq(Mux(narrows, address, window.base)),
            self.m_window.length.eq(Mux(narrows, x.b, window.length)),
            self.m_window.permissions.eq(Mux(narrows, window.permissions, kept)),
            self.m_window.slot.eq(window.slot),
            self.m_window_index.eq(Mux(is_prepare, TABLE_WINDOW, x.a[28:32])),
            self.m_way.eq(self.x_way),
            self.m_translation.eq(translation),
            self.m_translation_valid.eq(self.windows.translation_valid),
            self.m_is_memory.eq(is_memory),
            self.m_takes_input.eq(takes_input),
            self.m_lets_output.eq(lets_output),
        ]

    def _core_register(self, m: Module, number: Value) -> Signal:
        """Value of the core register of this number."""
        value = Signal(32, name="core_register")
        registers = {
            CoreRegister.TICK_LOW: self.tick[:32],
            CoreRegister.TICK_HIGH: self.tick[32:],
            CoreRegister.COHERENCE: self.sqi.coherence,
            CoreRegister.ENTROPY: self.sqi.entropy,
            CoreRegister.DRIFT: self.sqi.drift,
            CoreRegister.SCORE: self.sqi.score,
            CoreRegister.CONE_IN_LOW: self.cone_in[:32],
            CoreRegister.CONE_IN_HIGH: self.cone_in[32:],
            CoreRegister.CONE_OUT_LOW: self.cone_out[:32],
            CoreRegister.CONE_OUT_HIGH: self.cone_out[32:],
            CoreRegister.STACK_DEPTH: self.sp,
            CoreRegister.JOINS: self.joins,
            CoreRegister.VERSION: Const(ISA_VERSION, 32),
        }
        with m.Switch(number):
            for register in CoreRegister:
                with m.Case(register):
                    m.d.comb += value.eq(registers[register])
        return value

    def _light_cone_effects(self, m: Module, unit: Value, number: Value) -> tuple[Signal, Signal]:
        """Whether an answered event brings something in, and whether it lets something out."""
        takes_input, lets_output = Signal(name="takes_input"), Signal(name="lets_output")
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

    # ---- M: judge and commit -----------------------------------------------------------------------------------

    def _commit_stage(self, m: Module) -> None:
        c = self.m
        is_tail, is_prepare = Signal(), Signal()
        is_store, is_load = Signal(), Signal()
        m.d.comb += [
            is_tail.eq(c.step == Step.TAIL),
            is_prepare.eq(c.step == Step.PREPARE),
            is_store.eq(c.unit == UnitCode.STORE),
            is_load.eq(c.unit == UnitCode.LOAD),
        ]
        self.m_is_tail, self.m_is_store = is_tail, is_store
        narrows = c.unit == UnitCode.WINDOW_NARROW
        margin, outside = Signal(35), Signal()
        m.d.comb += [
            margin.eq(self.m_window_length - self.m_bound),
            outside.eq(margin[34] | ((margin == 0) & ~narrows)),
        ]
        trap = Signal(Trap)
        checked = self.m_is_memory | narrows
        with m.If(c.trap != Trap.NONE):
            m.d.comb += trap.eq(c.trap)
        with m.Elif(checked & self.m_permission_bad):
            m.d.comb += trap.eq(Trap.PERMISSION)
        with m.Elif(checked & self.m_misaligned):
            m.d.comb += trap.eq(Trap.MISALIGNED)
        with m.Elif(checked & outside):
            m.d.comb += trap.eq(Trap.BOUNDS)

        at = self.m_translation.at
        labels_held, page_bad, waits = Signal(), Signal(), Signal()
        m.d.comb += [
            labels_held.eq(~(c.labels & ~at.labels).any() if self.config.label_bits else 1),
            page_bad.eq(
                self.m_is_memory
                & ~(
                    self.m_translation_valid
                    & (self.m_translation.leaf == c.aux[LEAF_BITS:])
                    & (~is_store | (at.writable & labels_held))
                )
            ),
            waits.eq(is_any(c.unit, *_EVENTS) & ~self.answer_valid),
        ]
        self.m_trap, self.m_waits, self.m_page_bad = trap, waits, page_bad

        exhausted = Signal()
        self.may_commit = Signal()
        m.d.comb += [
            exhausted.eq((self.budget == 0) | self.host_in.halt_request),
            self.may_commit.eq(self.m_valid & self.running & (is_tail | ~(exhausted | self.code_changed))),
            self.commit.eq(self.may_commit & (trap == Trap.NONE) & ~page_bad & ~waits),
        ]
        self.exhausted = exhausted
        retires = Signal()
        m.d.comb += retires.eq(self.commit & ~is_tail & ~is_prepare)
        self.retires = retires

        loaded = Signal(32)
        with m.Switch(c.size_log2):
            with m.Case(0):
                byte = self.data_bus.read_data.word_select(c.aux[:2], 8)
                m.d.comb += loaded.eq(Cat(byte, (c.is_signed & byte[7]).replicate(24)))
            with m.Case(1):
                half = self.data_bus.read_data.word_select(c.aux[1], 16)
                m.d.comb += loaded.eq(Cat(half, (c.is_signed & half[15]).replicate(16)))
            with m.Default():
                m.d.comb += loaded.eq(self.data_bus.read_data)
        is_event = is_any(c.unit, *_EVENTS)
        brings_value = is_event & (c.unit != UnitCode.DEVICE_OUT)
        m.d.comb += [
            self.m_late.eq(is_load | c.is_multiply | is_event),
            self.multiplier.high.eq(c.multiply_high),
            self.multiplier.is_signed.eq(c.multiply_signed),
        ]

        # A store writes in this stage.
        with m.If(self.m_valid & is_store):
            m.d.comb += [
                self.data_bus.address.eq(Cat(c.aux[2:LEAF_BITS], at.frame)),
                self.data_bus.read.eq(0),
                self.data_bus.write_mask.eq(
                    Mux(
                        self.commit,
                        (Mux(c.size_log2 == 2, 0b1111, Mux(c.size_log2 == 1, 0b0011, 0b0001)) << c.aux[:2])[:4],
                        0,
                    )
                ),
            ]
        m.d.comb += self.data_bus.write_data.eq(
            Mux(
                c.size_log2 == 2,
                c.store_data,
                Mux(c.size_log2 == 1, c.store_data[:16].replicate(2), c.store_data[:8].replicate(4)),
            )
        )

        next_tick = Signal(64)
        m.d.comb += next_tick.eq(self.tick + 1)
        with m.If(self.commit & ~is_prepare):
            m.d.sync += [self.sp.eq(c.sp), self.rp.eq(c.rp), self.fp.eq(c.fp)]
        with m.If(retires):
            m.d.sync += [self.pc.eq(c.next_pc), self.tick.eq(next_tick), self.budget.eq(self.budget - 1)]
            with m.If(c.unit == UnitCode.JOIN):
                m.d.sync += self.joins.eq(c.result)
            with m.If(is_event):
                m.d.sync += self.answer_valid.eq(0)
                with m.If(self.m_takes_input):
                    m.d.sync += self.cone_in.eq(next_tick)
                with m.If(self.m_lets_output):
                    m.d.sync += self.cone_out.eq(next_tick)
        with m.If(self.commit & is_prepare):
            m.d.sync += [self.table_entry.eq(self.data_bus.read_data), self.table_address.eq(c.aux)]
        m.d.comb += [
            self.windows.write.eq(retires & self.m_narrow),
            self.windows.write_index.eq(c.number[:4]),
            self.windows.write_window.eq(Mux(self.m_window.permissions == 0, 0, self.m_window.as_value())),
        ]
        m.d.sync += self.code_changed.eq(self.commit & is_store & (self.m_window.slot == CODE_SLOT))

        # Where this instruction goes on differs from what was fetched behind it.
        m.d.comb += [
            self.redirect.eq(self.may_commit & c.redirect),
            self.redirect_pc.eq(c.next_pc),
            self.fetch.learn.eq(self.may_commit & c.learn & (c.trap == Trap.NONE)),
            self.fetch.learn_last.eq(c.last_byte),
            self.fetch.learn_length.eq(c.length),
            self.fetch.learn_target.eq(c.next_pc),
            self.fetch.forget.eq(self.may_commit & c.forget),
            self.fetch.forget_all.eq(self.code_changed | self.restart),
        ]

        w = self.w
        result = Signal(32, name="m_result")
        with m.If(is_load):
            m.d.comb += result.eq(loaded)
        with m.Elif(c.is_multiply):
            m.d.comb += result.eq(self.multiplier.result)
        with m.Elif(brings_value):
            m.d.comb += result.eq(self.answer_value)
        with m.Else():
            m.d.comb += result.eq(c.result)
        refused = is_event & self.answer_refused
        m.d.sync += [
            self.w_valid.eq(self.commit),
            w.eq(c),
            w.result.eq(result),
            w.flags.eq(c.flags | Mux(refused, BeamFlag.REFUSED.value, 0)),
        ]
        if self.config.label_bits:
            with m.If(is_load & self.has_labels):
                m.d.sync += w.labels.eq(c.labels | at.labels)
        self.w_tick = Signal(32)
        self.w_retires, self.w_last_of_epoch = Signal(), Signal()
        m.d.sync += [
            self.w_tick.eq(self.tick),
            self.w_retires.eq(retires),
            self.w_last_of_epoch.eq(retires & (next_tick[: EPOCH_TICKS.bit_length() - 1] == 0)),
        ]

    # ---- W: write back and beam --------------------------------------------------------------------------------

    def _write_back_stage(self, m: Module) -> None:
        w = self.w
        writes = Signal(name="w_writes")
        m.d.comb += writes.eq(self.w_valid & w.writes & (w.step != Step.PREPARE))
        host_writes_cell = (
            (self.mode == Mode.STOPPED) & self.host_in.write & (self.host_in.address[8:] == STACK_RAM_BASE >> 8)
        )
        m.d.comb += [
            self.cell_write.en.eq(writes | host_writes_cell),
            self.cell_write.addr.eq(Mux(host_writes_cell, self.host_in.address[:8], w.cell)),
            self.cell_write.data.eq(Mux(host_writes_cell, self.host_in.write_data, w.result)),
        ]
        if self.config.label_bits:
            host_writes_label = (
                (self.mode == Mode.STOPPED) & self.host_in.write & (self.host_in.address[8:] == LABEL_RAM_BASE >> 8)
            )
            m.d.comb += [
                self.label_write.en.eq(writes | host_writes_label),
                self.label_write.addr.eq(Mux(host_writes_label, self.host_in.address[:8], w.cell)),
                self.label_write.data.eq(Mux(host_writes_label, self.host_in.write_data, w.labels)),
            ]

        beam = Signal(BEAM_LAYOUT)
        retires = self.w_valid & self.w_retires
        m.d.comb += [
            beam.pc.eq(w.pc),
            beam.opcode.eq(w.opcode),
            beam.flags.eq(w.flags),
            beam.labels.eq(w.labels),
            beam.value.eq(w.result),
            beam.aux.eq(w.aux),
            self.digest.record.eq(beam),
            self.digest.valid.eq(retires),
            self.beam_port.beam.record.eq(beam),
            self.beam_port.beam.tick.eq(self.w_tick),
            self.beam_port.valid.eq(retires),
            self.beam_port.control.eq(self.beam_control),
            self.sqi.branch.eq(retires & (w.unit == UnitCode.BRANCH)),
            self.sqi.taken.eq(w.taken),
            self.sqi.history_index.eq(w.history_index),
            self.sqi.emit.eq(retires & (w.unit == UnitCode.EMIT)),
            self.sqi.emit_value.eq(w.result),
            self.sqi.refuse.eq(retires & w.flags[BeamFlag.REFUSED.bit_length() - 1]),
            self.sqi.last_of_epoch.eq(self.w_last_of_epoch),
        ]
        with m.If(self.beam_port.lost):
            m.d.sync += self.beams_lost.eq(self.beams_lost + 1)
        if self.config.has_retire_port:
            self._retire_port(m, beam, retires)

    def _retire_port(self, m: Module, beam: Signal, retires: Value) -> None:
        """The state after each instruction, two cycles after W, when the SQI has settled."""
        w, sqi, out = self.w, self.sqi, self.retire.payload
        fields = {name: field.shape for name, field in RETIRE_LAYOUT}
        first, second = Bundle(fields, "retired_first"), Bundle(fields, "retired_second")
        first_valid, second_valid, first_epoch = Signal(), Signal(), Signal()
        m.d.sync += [
            first_valid.eq(retires),
            second_valid.eq(first_valid),
            first_epoch.eq(self.w_last_of_epoch),
            first.beam.eq(beam),
            first.next_pc.eq(w.next_pc),
            first.sp.eq(w.sp),
            first.rp.eq(w.rp),
            first.fp.eq(w.fp),
            second.eq(first),
            second.mispredictions.eq(Mux(first_epoch, 0, sqi.mispredictions)),
            second.history.eq(sqi.history),
            second.digest.eq(self.digest.state),
        ]
        m.d.comb += [
            *(out[name].eq(second[name]) for name in fields if name not in ("coherence", "entropy", "drift")),
            out.coherence.eq(sqi.coherence),
            out.entropy.eq(sqi.entropy),
            out.drift.eq(sqi.drift),
            self.retire.valid.eq(second_valid),
        ]

    # ---- control -----------------------------------------------------------------------------------------------

    def _control(self, m: Module) -> None:
        c = self.m
        drain = Signal(range(_DRAIN_CYCLES + 1))
        fails = self.may_commit & ~self.commit
        m.d.comb += [
            self.restart.eq(self.mode == Mode.RESTART),
            self.flush.eq(self.redirect | self.restart),
            self.fetch.redirect.eq(self.redirect | self.restart | self.r_redirect),
            self.fetch.redirect_pc.eq(
                Mux(self.restart, self.pc, Mux(self.redirect, self.redirect_pc, self.r_op.target))
            ),
            self.host.stopped.eq(self.mode == Mode.STOPPED),
        ]
        with m.If(self.restart):
            m.d.sync += [
                self.spec_sp.eq(self.sp),
                self.spec_rp.eq(self.rp),
                self.spec_fp.eq(self.fp),
                self.spec_frame.eq(self.rp - self.fp),
            ]
        with m.Elif(self.redirect):
            m.d.sync += [
                self.spec_sp.eq(c.sp),
                self.spec_rp.eq(c.rp),
                self.spec_fp.eq(c.fp),
                self.spec_frame.eq(c.rp - c.fp),
            ]

        code_page_missing = self._code_page_missing(m)

        def stop(code: StopCode) -> None:
            m.d.sync += [self.stop_code.eq(code), self.mode.eq(Mode.DRAIN), drain.eq(_DRAIN_CYCLES)]

        with m.Switch(self.mode):
            with m.Case(Mode.STOPPED):
                with m.If(self.host_in.start):
                    m.d.sync += [self.mode.eq(Mode.RESTART), self.stop_code.eq(StopCode.NONE)]
            with m.Case(Mode.RESTART):
                m.d.sync += self.mode.eq(Mode.RUN)
            with m.Case(Mode.RUN):
                with m.If(self.code_changed):
                    m.d.sync += self.mode.eq(Mode.RESTART)
                with m.Elif(self.exhausted):
                    stop(StopCode.LIMIT)
                with m.Elif(fails):
                    m.d.sync += [
                        self.stop_trap.eq(self.m_trap),
                        self.fault_slot.eq(Mux(self.m_is_memory, self.m_window.slot, c.number)),
                        self.fault_leaf.eq(Mux(self.m_is_memory, c.aux[LEAF_BITS:], c.opcode)),
                        self.fault_window.eq(self.m_window_index),
                        self.fault_way.eq(self.m_way),
                        self.fault_store.eq(self.m_is_store),
                        self.fault_labels.eq(c.labels),
                    ]
                    with m.If(self.m_trap != Trap.NONE):
                        stop(StopCode.TRAPPED)
                    with m.Elif(self.m_waits):
                        stop(StopCode.EVENT)
                    with m.Else():
                        m.d.sync += self.mode.eq(Mode.WALK)
                with m.Elif(self.commit & (c.unit == UnitCode.HALT)):
                    stop(StopCode.HALTED)
                with m.Elif(code_page_missing):
                    m.d.sync += [
                        self.fault_slot.eq(CODE_SLOT),
                        self.fault_leaf.eq(self.fetch.wanted_page),
                        self.fault_kind.eq(FaultKind.MISSING),
                    ]
                    stop(StopCode.PAGE)
            with m.Case(Mode.WALK):
                m.d.sync += self.mode.eq(Mode.WALKED)
            with m.Case(Mode.WALKED):
                at = self.tlb.translation
                labels_held = ~(self.fault_labels & ~at.labels).any() if self.config.label_bits else Const(1, 1)
                with m.If(~self.tlb.hit):
                    m.d.sync += self.fault_kind.eq(FaultKind.MISSING)
                    stop(StopCode.PAGE)
                with m.Elif(self.fault_store & ~at.writable):
                    m.d.sync += self.fault_kind.eq(FaultKind.READ_ONLY)
                    stop(StopCode.PAGE)
                with m.Elif(self.fault_store & ~labels_held):
                    m.d.sync += self.fault_kind.eq(FaultKind.LABELS)
                    stop(StopCode.PAGE)
                with m.Else():
                    m.d.comb += self.windows.fill.eq(1)
                    m.d.sync += self.mode.eq(Mode.RESTART)
            with m.Case(Mode.DRAIN):
                m.d.sync += drain.eq(drain - 1)
                with m.If(drain == 0):
                    m.d.sync += self.mode.eq(Mode.STOPPED)
            with m.Default():
                m.d.sync += self.mode.eq(Mode.STOPPED)
        m.d.comb += [
            self.windows.fill_index.eq(self.fault_window),
            self.windows.fill_way.eq(self.fault_way),
            self.windows.fill_translation.leaf.eq(self.fault_leaf),
            self.windows.fill_translation.at.eq(self.tlb.translation),
        ]

    def _code_page_missing(self, m: Module) -> Signal:
        """1 when nothing is left to execute and the next instruction's page has no TLB entry."""
        missing = Signal(name="code_page_missing")
        m.d.comb += missing.eq(
            self.code_page_unknown
            & self.fetch.page_wanted
            & ~(self.fetch.valid | self.r_valid | self.o_valid | self.x_valid | self.m_valid)
        )
        return missing

    def _code_translation(self, m: Module) -> None:
        """Looks up the frame of the code page that fetching waits for."""
        asked, answered = Signal(), Signal()
        asked_page = Signal(24 - LEAF_BITS)
        page_valid, page, frame = Signal(), Signal(24 - LEAF_BITS), Signal(self.config.frame_bits)
        walking = (self.mode == Mode.WALK) | (self.mode == Mode.WALKED)
        m.d.comb += [
            self.tlb.slot.eq(Mux(walking, self.fault_slot, CODE_SLOT)),
            self.tlb.leaf.eq(Mux(walking, self.fault_leaf, self.fetch.wanted_page)),
            self.fetch.page_valid.eq(page_valid),
            self.fetch.page.eq(page),
            self.fetch.frame.eq(frame),
            self.fetch.code_words.eq((self.code_length + 3)[2:]),
        ]
        m.d.sync += [
            asked.eq(self.running & self.fetch.page_wanted & ~answered & ~asked),
            asked_page.eq(self.fetch.wanted_page),
        ]
        with m.If(asked & self.running):
            with m.If(self.tlb.hit):
                m.d.sync += [page_valid.eq(1), page.eq(asked_page), frame.eq(self.tlb.translation.frame)]
            m.d.sync += self.code_page_unknown.eq(~self.tlb.hit & (asked_page == self.fetch.wanted_page))
        with m.If(self.fetch.redirect | (self.fetch.wanted_page != asked_page)):
            m.d.sync += self.code_page_unknown.eq(0)
        with m.If(self.mode == Mode.STOPPED):
            m.d.sync += [page_valid.eq(0), self.code_page_unknown.eq(0)]

    # ---- host access -------------------------------------------------------------------------------------------

    def _host_access(self, m: Module) -> None:
        host = self.host_in
        stopped = self.mode == Mode.STOPPED
        registers = {
            HostRegister.PC: self.pc,
            HostRegister.TICK_LOW: self.tick[:32],
            HostRegister.TICK_HIGH: self.tick[32:],
            HostRegister.SP: self.sp,
            HostRegister.RP: self.rp,
            HostRegister.FP: self.fp,
            HostRegister.CODE_LENGTH: self.code_length,
            HostRegister.FLAGS: self.has_labels,
            HostRegister.BUDGET: self.budget,
            HostRegister.CONE_IN_LOW: self.cone_in[:32],
            HostRegister.CONE_IN_HIGH: self.cone_in[32:],
            HostRegister.CONE_OUT_LOW: self.cone_out[:32],
            HostRegister.CONE_OUT_HIGH: self.cone_out[32:],
            HostRegister.JOINS: self.joins,
            HostRegister.ANSWER_VALUE: self.answer_value,
            HostRegister.BEAM_CONTROL: self.beam_control,
            HostRegister.BEAMS_LOST: self.beams_lost,
        }
        sqi_registers = {
            HostRegister.COHERENCE: self.sqi.coherence,
            HostRegister.ENTROPY: self.sqi.entropy,
            HostRegister.DRIFT: self.sqi.drift,
            HostRegister.MISPREDICTIONS: self.sqi.mispredictions,
            HostRegister.DISTANCE: self.sqi.distance,
            HostRegister.REFUSALS: self.sqi.refusals,
            HostRegister.HISTORY: self.sqi.history,
            HostRegister.LAST_EMIT: self.sqi.last_emit,
        }
        identity = ISA_VERSION | self.config.frame_bits << 8 | self.config.tlb_bits << 16 | self.config.label_bits << 24
        readable = {
            **registers,
            **sqi_registers,
            HostRegister.DIGEST_LOW: self.digest.state[:32],
            HostRegister.DIGEST_HIGH: self.digest.state[32:],
            HostRegister.STOP: Cat(
                self.stop_code,
                Const(0, 8 - len(self.stop_code)),
                self.stop_trap,
                Const(0, 8 - len(self.stop_trap)),
                self.fault_kind,
            ),
            HostRegister.FAULT_SLOT: self.fault_slot,
            HostRegister.FAULT_LEAF: self.fault_leaf,
            HostRegister.IDENTITY: Const(identity, 32),
            HostRegister.FAULT_LABELS: self.fault_labels,
        }  # fmt: skip
        number = Signal(8, name="host_register")
        in_registers, in_windows, in_frames = Signal(), Signal(), Signal()
        m.d.comb += [
            number.eq(host.address[:8]),
            in_frames.eq(host.address[FRAME_RAM_BASE.bit_length() - 1]),
            in_registers.eq(~in_frames & (host.address[8:23] == REGISTER_BASE >> 8)),
            in_windows.eq(~in_frames & (host.address[8:23] == WINDOW_BASE >> 8)),
        ]

        address = Signal(HOST_ADDRESS_BITS, name="host_address_before")
        register_data, other_data = Signal(32), Signal(32)
        m.d.sync += address.eq(host.address)
        with m.Switch(number):
            for register, value in readable.items():
                with m.Case(register):
                    m.d.sync += register_data.eq(value)
            with m.Default():
                m.d.sync += register_data.eq(0)
        window = self.windows.window
        with m.If(address[FRAME_RAM_BASE.bit_length() - 1]):
            m.d.comb += other_data.eq(self.data_bus.read_data)
        with m.Else():
            with m.Switch(address[8:12]):
                with m.Case(STACK_RAM_BASE >> 8):
                    m.d.comb += other_data.eq(self.cell_read_a.data)
                if self.config.label_bits:
                    with m.Case(LABEL_RAM_BASE >> 8):
                        m.d.comb += other_data.eq(self.label_read_a.data)
                with m.Case(WINDOW_BASE >> 8):
                    with m.Switch(address[:2]):
                        with m.Case(WindowWord.BASE):
                            m.d.comb += other_data.eq(window.base)
                        with m.Case(WindowWord.LENGTH):
                            m.d.comb += other_data.eq(window.length)
                        with m.Default():
                            m.d.comb += other_data.eq(Cat(window.permissions, Const(0, 6), window.slot))
                with m.Default():
                    m.d.comb += other_data.eq(register_data)
        m.d.sync += self.host.read_data.eq(other_data)

        window_base, window_length = Signal(32), Signal(30)
        tlb_leaf, tlb_frame = Signal(32), Signal(self.config.frame_bits)
        m.d.comb += [
            self.tlb.write_slot.eq(tlb_leaf[24:32]),
            self.tlb.write_leaf.eq(tlb_leaf[:LEAF_NUMBER_BITS]),
            self.tlb.write_valid.eq(host.write_data[0]),
            self.tlb.write_translation.writable.eq(host.write_data[1]),
            self.tlb.write_translation.frame.eq(tlb_frame),
            self.tlb.write_translation.labels.eq(host.write_data[TLB_LABELS_SHIFT:]),
            self.sqi.host_register.eq(number),
            self.sqi.host_data.eq(host.write_data),
            self.sqi.host_write.eq(stopped & host.write & in_registers),
            self.digest.load_value.eq(Mux(number == HostRegister.DIGEST_LOW,
                Cat(host.write_data, self.digest.state[32:]), Cat(self.digest.state[:32], host.write_data))),
            self.digest.load.eq(
                stopped & host.write & in_registers
                & ((number == HostRegister.DIGEST_LOW) | (number == HostRegister.DIGEST_HIGH))
            ),
        ]  # fmt: skip
        with m.If(stopped):
            m.d.comb += [
                self.data_bus.address.eq(host.address),
                self.data_bus.read.eq(in_frames & ~host.write),
                self.data_bus.write_mask.eq((in_frames & host.write).replicate(4)),
                self.data_bus.write_data.eq(host.write_data),
            ]
        with m.If(stopped & host.write & in_windows):
            with m.Switch(host.address[:2]):
                with m.Case(WindowWord.BASE):
                    m.d.sync += window_base.eq(host.write_data)
                with m.Case(WindowWord.LENGTH):
                    m.d.sync += window_length.eq(host.write_data)
                with m.Case(WindowWord.GRANT):
                    m.d.comb += [
                        self.windows.write.eq(1),
                        self.windows.write_index.eq(host.address[2:7]),
                        self.windows.write_window.base.eq(window_base),
                        self.windows.write_window.length.eq(window_length),
                        self.windows.write_window.permissions.eq(host.write_data[:2]),
                        self.windows.write_window.slot.eq(host.write_data[8:]),
                    ]
        with m.If(stopped & host.write & in_registers):
            with m.Switch(number):
                for register, value in registers.items():
                    with m.Case(register):
                        m.d.sync += value.eq(host.write_data)
                with m.Case(HostRegister.ANSWER_FLAGS):
                    m.d.sync += [
                        self.answer_valid.eq(host.write_data[0]),
                        self.answer_refused.eq(host.write_data[1]),
                    ]
                with m.Case(HostRegister.TLB_LEAF):
                    m.d.sync += tlb_leaf.eq(host.write_data)
                with m.Case(HostRegister.TLB_FRAME):
                    m.d.sync += tlb_frame.eq(host.write_data)
                with m.Case(HostRegister.TLB_ENTRY):
                    m.d.comb += [self.tlb.write.eq(1), self.windows.forget.eq(1)]
