"""What the stages of the core share: its registers, its units and its buses."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import enum
from amaranth.lib.memory import Memory

from vac.isa.limits import (
    SLOT_BITS,
    STACK_RAM_CELLS,
)
from vac.isa.state_map import (
    HOST_ADDRESS_BITS,
    FaultKind,
    StopCode,
)
from vac.isa.traps import Trap

from .arithmetic import Alu, Comparator, Divider, Multiplier
from .beam_port import BeamPort
from .bundle import Bundle
from .config import NEVER_COLLIDES
from .decoder import CONTROL_WORDS, TRAVELLING_FIELDS, Decoder
from .digest import Digest
from .fetch import FetchUnit
from .memory_access import (
    LEAF_NUMBER_BITS,
    WINDOW_LAYOUT,
    Tlb,
    WindowFile,
    translation_layout,
    window_translation_layout,
)
from .micro_op import LOADED_PART_LAYOUT, Execution, commit_bundle, micro_op
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
    JUDGE = 6
    """Its answer is weighed."""
    RESTART = 5
    """Fetching starts at the architectural pc."""


class Pipeline:
    """Registers and units of the core; each stage function reads and drives its part of them.

    Prefixes name the stage that a register feeds: r decode, o operands, x execute, m commit, w write back. `spec_`
    registers run ahead of the architectural ones, which change at commit.
    """

    def __init__(self, core: Any, m: Module) -> None:
        self.config = config = core.config
        self.host, self.data_bus = core.host, core.data_bus
        self.retire = core.retire if config.has_retire_port else None
        m.submodules.fetch = self.fetch = FetchUnit(config)
        m.submodules.decoder = self.decoder = Decoder(config)
        m.submodules.comparator = self.comparator = Comparator()
        m.submodules.alu = self.alu = Alu()
        m.submodules.multiplier = self.multiplier = Multiplier(config)
        m.submodules.divider = self.divider = Divider()
        m.submodules.windows = self.windows = WindowFile(config)
        m.submodules.tlb = self.tlb = Tlb(config)
        m.submodules.sqi = self.sqi = SqiUnit(config)
        m.submodules.digest = self.digest = Digest()
        m.submodules.beam_port = self.beam_port = BeamPort(config.beam_fifo)
        labels = self.config.label_bits
        self.mode = Signal(Mode)
        self.running = Signal()
        m.d.comb += self.running.eq(self.mode == Mode.RUN)
        # Architectural state.
        self.pc = Signal(24)
        self.tick = Signal(64)
        self.sp = Signal(8)
        self.rp = Signal(8)
        self.fp = Signal(8)
        self.code_length = Signal(25)
        self.has_labels = Signal()
        self.cone_in = Signal(64)
        self.cone_out = Signal(64)
        self.joins = Signal(32)
        # Run control.
        self.budget = Signal(32)
        self.budget_spent = Signal(init=1)
        self.stop_code = Signal(StopCode)
        self.stop_trap = Signal(Trap)
        self.fault_kind = Signal(FaultKind)
        self.fault_slot = Signal(SLOT_BITS)
        self.fault_leaf = Signal(LEAF_NUMBER_BITS)
        self.failed = Signal()
        self.halting = Signal()
        self.fault_waits = Signal()
        self.fault_is_data = Signal()
        self.host_fills_window = Signal()
        self.code_page_forget = Signal()
        self.code_page_asked = Signal(name="asked")
        self.walk_hit = Signal()
        self.walk_at = Signal(translation_layout(config))
        self.fault_window = Signal(5)
        self.fault_store = Signal()
        self.fault_labels = Signal(labels)
        self.answer_valid = Signal()
        self.answer_refused = Signal()
        self.answer_value = Signal(32)
        self.code_changed = Signal()
        self.code_page_unknown = Signal()
        self.beam_control = Signal(3, init=1)
        self.beams_lost = Signal(32)
        # No logic hangs on the host port directly.
        host_fields = {"address": HOST_ADDRESS_BITS, "write": 1, "write_data": 32, "start": 1, "halt_request": 1}
        self.host_in = Bundle(host_fields, "host_in")
        m.d.sync += [self.host_in[field].eq(getattr(self.host, field)) for field in host_fields]
        # Pipeline.
        self.flush = Signal()
        self.d_valid = Signal()
        self.d_word = Signal(40)
        self.d_pc = Signal(24)
        self.d_sequential = Signal(25)
        self.d_marked = Signal()
        self.d_spare = Signal()
        self.r_valid = Signal()
        self.r_control = Bundle(TRAVELLING_FIELDS, "r_control", CONTROL_WORDS if config.in_words else {})
        self.r_operands = {
            name: Bundle({"index": 8, "is_stack": 1, "is_local": 1}, f"r_{name}") for name in ("a", "b", "destination")
        }
        self.r_value = Signal(32)
        self.r_frame = Signal(8)
        self.r_offset = Signal(24)
        self.r_backward = Signal()
        self.r_direct = Signal()
        self.r_op = micro_op(config, "r_op")
        self.r_fire = Signal()
        self.r_free = Signal()
        self.r_redirect = Signal()
        self.r_redirected = Signal()
        self.r_word = Signal(40)
        self.r_marked = Signal()
        self.r_pc = Signal(24)
        self.r_sequential = Signal(25)
        self.r_second = Signal()
        self.r_blocked = Signal()
        self.spec_sp = Signal(8)
        self.spec_rp = Signal(8)
        self.spec_fp = Signal(8)
        self.spec_frame = Signal(8)
        self.o_valid = Signal()
        self.o = micro_op(config, "o")
        self.x_valid = Signal()
        self.x = Execution(config, "x")
        self.m_valid = Signal()
        self.m = commit_bundle(config, "m")
        self.w_valid = Signal()
        self.w_value = Signal(32)
        self.w_forwarded = Signal(32)
        """The value where it is no product: those are ready too late to be forwarded."""
        self.w_loaded_word = Signal(32)
        self.w_part = Signal(LOADED_PART_LAYOUT)
        self.w = commit_bundle(config, "w")
        # What was written in the cycle before.
        self.v_writes = Signal()
        self.v_value = Signal(32)
        self.v_labels = Signal(labels)
        self.o_fire = Signal()
        self.o_stalls = Signal()
        self.r_free_early = Signal()
        self.r_free_late = Signal()
        self.o_free = Signal()
        self.x_ready = Signal()
        self.x_result = Signal(32)
        self.x_labels = Signal(labels)
        self.x_cell_labels = Signal(labels)
        self.commit = Signal()
        self.redirect = Signal()
        self.redirect_pc = Signal(24)
        self.restart = Signal()
        self.register_value = Signal(32)
        """The register that the host asked for, or the instruction in O, a cycle ago."""
        self.table_entry = Signal(32)
        self.table_address = Signal(32)
        # What the execute stage found out about a memory access, for the commit stage.
        self.m_permission_bad = Signal()
        self.m_misaligned = Signal()
        self.m_bound = Signal(33)
        self.m_window_length = Signal(30)
        self.m_narrow = Signal()
        self.m_window = Signal(WINDOW_LAYOUT)
        self.m_window_index = Signal(5)
        self.x_way = Signal(2)
        self.m_way = Signal(2)
        self.fault_way = Signal(2)
        self.m_translation = Signal(window_translation_layout(self.config))
        self.m_translation_valid = Signal()
        self.m_is_memory = Signal()
        self.m_takes_bus = Signal()
        # The stage holds an operation that writes a cell. What has not committed counts: all behind it is dropped too.
        self.x_writes_cell = Signal()
        self.m_writes_cell = Signal()
        self.w_writes_cell = Signal()
        # The stage holds an operation whose result is not there yet when it leaves it. Those of M and W, a cycle ahead.
        self.x_writes_late = Signal()
        self.x_will_write_late = Signal()
        self.m_will_write_late = Signal()
        self.m_writes_late = Signal()
        self.w_writes_late = Signal()
        self.w_learns = Signal()
        self.w_forgets = Signal()
        self.bus_taken = Signal()
        self.bus_taken_address = Signal(len(self.data_bus.address))
        self.window_write = Signal()
        self.window_write_index = Signal(4)
        self.window_written = Signal(WINDOW_LAYOUT)
        self.w_retires = Signal()

        self._stack_ram(m)

    def _stack_ram(self, m: Module) -> None:
        # What is written in the cycle of a read is not taken from the RAM.
        m.submodules.stack_ram = ram = Memory(shape=32, depth=STACK_RAM_CELLS, init=[], attrs=NEVER_COLLIDES)
        self.cell_write = ram.write_port()
        self.cell_read_a, self.cell_read_b = ram.read_port(), ram.read_port()
        if self.config.label_bits:
            shape = self.config.label_bits
            m.submodules.label_ram = ram = Memory(shape=shape, depth=STACK_RAM_CELLS, init=[], attrs=NEVER_COLLIDES)
            self.label_write = ram.write_port()
            self.label_read_a, self.label_read_b = ram.read_port(), ram.read_port()
