"""The golden model executes the instruction table one instruction at a time.

Every other engine is right where it equals this one. An instruction is judged in a fixed order (decode, frame,
stacks, then what its unit checks), and changes nothing until it is sure to retire.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from ..image.image import Image, Window
from ..isa.alu import CONDITIONS, FUNCTIONS
from ..isa.beam import Beam, BeamFlag
from ..isa.digest import digest_records
from ..isa.encoding import FieldKind, instruction_length
from ..isa.instruction import Destination, Instruction, Source, Unit
from ..isa.limits import (
    CELL_MASK,
    CODE_ADDRESS_BITS,
    CODE_SLOT,
    DATA_STACK_CELLS,
    DISPLACEMENT_MASK,
    ISA_VERSION,
    LABEL_BITS,
    LEAF_BITS,
    LEAF_BYTES,
    POINTER_DISPLACEMENT_BITS,
    RETURN_STACK_CELLS,
    STACK_OPERAND,
    TABLE_WINDOW,
)
from ..isa.ports import SYSTEM_CALLS, CoreRegister
from ..isa.sqi import EPOCH_TICKS
from ..isa.table import lookup
from ..isa.traps import Trap
from ..machine.protocol import (
    Answer,
    Event,
    EventKind,
    Leaf,
    MachineError,
    PageMiss,
    Stop,
    StopReason,
)
from ..machine.state import State, Status

_CODE_MASK = (1 << CODE_ADDRESS_BITS) - 1


class _Trapped(Exception):
    def __init__(self, trap: Trap) -> None:
        self.trap = trap


class _Missed(Exception):
    def __init__(self, miss: PageMiss) -> None:
        self.miss = miss


@dataclass(slots=True)
class _MutableLeaf:
    data: bytearray
    labels: int


@dataclass(slots=True)
class _Operands:
    """Operand values, and where the stacks stand once their pops are done."""

    a: int = 0
    b: int = 0
    labels: int = 0
    """Union over both."""
    labels_a: int = 0
    sp: int = 0


@dataclass(frozen=True, slots=True)
class _Result:
    """Stack RAM index that receives the result, None where there is none."""

    cell: int | None
    is_push: bool = False


class GoldenMachine:
    """The `Machine` protocol in plain Python."""

    def __init__(self) -> None:
        self._state = State()
        self._memory: dict[tuple[int, int], _MutableLeaf] = {}
        self._beams = bytearray()
        self._waiting: tuple[Event, int] | None = None
        """The event that `run` stopped for, and its instruction word."""

    # ---- the protocol ------------------------------------------------------------------------------------------

    def load(self, image: Image) -> None:
        image.check()
        self._state = State.initial(image)
        labels = image.leaf_labels()
        self._memory = {
            key: _MutableLeaf(bytearray(data), labels.get(key, 0)) for key, data in image.leaves().items()
        }  # fmt: skip
        self._beams = bytearray()
        self._waiting = None

    def run(self, until_tick: int) -> Stop:
        state = self._state
        while True:
            if state.status is Status.HALTED:
                return Stop(StopReason.HALTED)
            if state.status is Status.TRAPPED:
                return Stop(StopReason.TRAPPED)
            if state.tick >= until_tick:
                return Stop(StopReason.TICK)
            try:
                word = self._fetch()
                event = self._step(word, None)
            except _Trapped as trapped:
                state.status, state.trap = Status.TRAPPED, trapped.trap
            except _Missed as missed:
                return Stop(StopReason.PAGE_MISS, miss=missed.miss)
            else:
                if event:
                    self._waiting = (event, word)
                    return Stop(StopReason.EVENT, event=event)

    def answer(self, answer: Answer) -> None:
        if self._waiting is None:
            raise MachineError("no event waits for an answer")
        (_, word), self._waiting = self._waiting, None
        if answer.trap:
            self._state.status, self._state.trap = Status.TRAPPED, answer.trap
            return
        for slot, offset, data in answer.writes:
            self._poke(slot, offset, data)
        for index, window in answer.windows:
            window.check()
            self._state.windows[index] = window
        self._step(word, answer)

    def state(self) -> State:
        return deepcopy(self._state)

    def set_state(self, state: State) -> None:
        self._state = deepcopy(state)
        self._waiting = None

    def leaves(self) -> list[tuple[int, int]]:
        return sorted(self._memory)

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        if len(leaf.data) != LEAF_BYTES:
            raise MachineError(f"a leaf has {LEAF_BYTES} bytes, not {len(leaf.data)}")
        self._memory[slot, number] = _MutableLeaf(bytearray(leaf.data), leaf.labels)

    def evict(self, slot: int, number: int) -> Leaf:
        leaf = self.read_leaf(slot, number)
        del self._memory[slot, number]
        return leaf

    def read_leaf(self, slot: int, number: int) -> Leaf:
        leaf = self._memory.get((slot, number))
        if leaf is None:
            raise MachineError(f"leaf {number} of slot {slot} is not resident")
        return Leaf(bytes(leaf.data), leaf.labels)

    def drain_beams(self) -> bytes:
        beams, self._beams = bytes(self._beams), bytearray()
        return beams

    # ---- memory ------------------------------------------------------------------------------------------------

    def _leaf(self, slot: int, address: int) -> _MutableLeaf:
        number = address >> LEAF_BITS
        leaf = self._memory.get((slot, number))
        if leaf is None:
            raise _Missed(PageMiss(slot, number))
        return leaf

    def _poke(self, slot: int, offset: int, data: bytes) -> None:
        for position, byte in enumerate(data):
            try:
                leaf = self._leaf(slot, offset + position)
            except _Missed as missed:
                raise MachineError(f"leaf {missed.miss.number} of slot {slot} is not resident") from None
            leaf.data[(offset + position) % LEAF_BYTES] = byte

    def _translate(self, window: Window, displacement: int, size: int, permission: int) -> int:
        """Address inside the slot, after the window's checks in the order of `Trap`."""
        if not window.permissions & permission:
            raise _Trapped(Trap.PERMISSION)
        if displacement % size:
            raise _Trapped(Trap.MISALIGNED)
        if displacement + size > window.length:
            raise _Trapped(Trap.BOUNDS)
        return window.base + displacement

    def _load(self, window: Window, displacement: int, size: int) -> tuple[int, int, int]:
        """Zero-extended value, labels and address of an aligned load."""
        address = self._translate(window, displacement, size, 1)
        leaf = self._leaf(window.slot, address)
        start = address % LEAF_BYTES
        return int.from_bytes(leaf.data[start : start + size], "little"), leaf.labels, address

    # ---- decoding ----------------------------------------------------------------------------------------------

    def _fetch(self) -> int:
        """The 40-bit instruction word at pc; bytes beyond the instruction read as zero."""
        pc, code_length = self._state.pc, self._state.code_length
        if pc >= code_length:
            raise _Trapped(Trap.CODE_BOUNDS)
        word = self._leaf(CODE_SLOT, pc).data[pc % LEAF_BYTES]
        length = instruction_length(word)
        if pc + length > code_length:
            raise _Trapped(Trap.CODE_BOUNDS)
        for index in range(1, length):
            word |= self._leaf(CODE_SLOT, pc + index).data[(pc + index) % LEAF_BYTES] << (8 * index)
        return word

    def _decode(self, word: int) -> Instruction:
        row = lookup(word)
        if row is None:
            raise _Trapped(Trap.ILLEGAL)
        number = row.field(FieldKind.NUMBER)
        if number is not None:
            known = {Unit.READ_REGISTER: len(CoreRegister), Unit.SYSTEM_CALL: len(SYSTEM_CALLS)}
            if number.extract(word) >= known.get(row.unit, 1 << number.width):
                raise _Trapped(Trap.ILLEGAL)
        if row.post_increments and row.fields_by_kind[FieldKind.POINTER].extract(word) == STACK_OPERAND:
            raise _Trapped(Trap.ILLEGAL)
        return row

    def _local(self, index: int) -> int:
        """Stack RAM index of a frame local."""
        state = self._state
        if index >= state.rp - state.fp:
            raise _Trapped(Trap.FRAME)
        return DATA_STACK_CELLS + state.fp + index

    def _local_index(self, row: Instruction, word: int) -> int:
        field = row.field(FieldKind.LOCAL)
        return field.extract(word) if field else row.constant

    def _read_operands(self, row: Instruction, word: int) -> _Operands:
        """Checks frame, underflow and overflow, then reads A and B. B is popped first, so it is the upper one."""
        state = self._state
        operands = _Operands(sp=state.sp)
        needed = 0
        cells: dict[str, int | None] = {}
        for name, source, field in (("b", row.b, row.field(FieldKind.SOURCE_B)), ("a", row.a, row.source_a_field)):
            cells[name] = None
            nibble = field.extract(word) if source is Source.NIBBLE and field else None
            if source is Source.POP or nibble == STACK_OPERAND:
                operands.sp -= 1
                needed += 1
                cells[name] = operands.sp
            elif nibble is not None:
                cells[name] = self._local(nibble)
            elif source is Source.LOCAL:
                cells[name] = self._local(self._local_index(row, word))
            elif source in (Source.PEEK, Source.PEEK_SECOND):
                depth = 1 if source is Source.PEEK else 2
                needed = max(needed, depth)
                cells[name] = state.sp - depth
        if row.unit is Unit.SWAP:
            needed = 2
        if row.unit is Unit.SYSTEM_CALL:
            needed = len(SYSTEM_CALLS[row.fields[0].extract(word)].arguments)
            operands.sp -= needed
        pushes = self._destination(row, word, operands.sp).is_push
        if needed > state.sp:
            raise _Trapped(Trap.STACK_UNDERFLOW)
        if pushes and operands.sp + 1 > DATA_STACK_CELLS:
            raise _Trapped(Trap.STACK_OVERFLOW)
        for name, cell in cells.items():
            if cell is not None:
                setattr(operands, name, state.cells[cell])
                operands.labels |= state.labels[cell]
                if name == "a":
                    operands.labels_a = state.labels[cell]
        if row.b is Source.IMMEDIATE:
            field = row.field(FieldKind.SIGNED) or row.field(FieldKind.UNSIGNED)
            assert field
            operands.b = field.extract(word) & CELL_MASK
        elif row.b is Source.CONSTANT:
            operands.b = row.constant
        return operands

    def _destination(self, row: Instruction, word: int, sp: int) -> _Result:
        """Where the result goes when the pops have left `sp` cells."""
        if row.destination is Destination.PUSH:
            return _Result(sp, is_push=True)
        if row.destination is Destination.LOCAL:
            return _Result(self._local(self._local_index(row, word)))
        if row.destination in (Destination.NIBBLE, Destination.POINTER):
            kind = FieldKind.DESTINATION if row.destination is Destination.NIBBLE else FieldKind.POINTER
            nibble = row.fields_by_kind[kind].extract(word)
            return _Result(sp, is_push=True) if nibble == STACK_OPERAND else _Result(self._local(nibble))
        return _Result(None)

    # ---- execution ---------------------------------------------------------------------------------------------

    def _step(self, word: int, answer: Answer | None) -> Event | None:
        """Retires the instruction `word` at pc, or returns the event that it waits for."""
        state = self._state
        row = self._decode(word)
        operands = self._read_operands(row, word)
        destination = self._destination(row, word, operands.sp)
        a, b, labels = operands.a, operands.b, operands.labels
        unit = row.unit
        next_pc = (state.pc + row.length) & _CODE_MASK
        offset_field, number_field = row.field(FieldKind.OFFSET), row.field(FieldKind.NUMBER)
        target = (state.pc + offset_field.extract(word)) & _CODE_MASK if offset_field else 0
        number = number_field.extract(word) if number_field else 0
        value, aux, flags = a, 0, BeamFlag(0)
        result: int | None = None

        if row.is_privileged_event and answer is None:
            kind = {
                Unit.DEVICE_IN: EventKind.DEVICE_IN,
                Unit.DEVICE_OUT: EventKind.DEVICE_OUT,
                Unit.SYSTEM_CALL: EventKind.SYSTEM_CALL,
            }[unit]
            return Event(kind, number, tuple(state.cells[operands.sp : state.sp]), state.pc, state.tick)

        if unit is Unit.ALU:
            try:
                result = value = FUNCTIONS[row.function](a, b)
            except ZeroDivisionError:
                raise _Trapped(Trap.DIVISION_BY_ZERO) from None
            if destination.cell is None:
                value = a
        elif unit is Unit.BRANCH:
            taken = CONDITIONS[row.condition](a, b)
            if destination.cell is not None:
                result = value = FUNCTIONS[row.function](a, b)
            state.sqi.branch(state.pc, taken)
            if taken:
                next_pc, flags = target, BeamFlag.TAKEN
        elif unit is Unit.JUMP:
            next_pc, flags = target, BeamFlag.TAKEN
        elif unit in (Unit.TABLE_JUMP, Unit.TABLE_CALL):
            entry, _, aux = self._load(state.windows[TABLE_WINDOW], a * 4, 4)
            target = entry & _CODE_MASK
            value = entry
            if unit is Unit.TABLE_CALL:
                value = self._call(next_pc, entry >> CODE_ADDRESS_BITS)
            next_pc, flags, labels = target, BeamFlag.TAKEN, 0
        elif unit is Unit.CALL:
            value = self._call(next_pc, row.fields_by_kind[FieldKind.FRAME].extract(word))
            next_pc, flags = target, BeamFlag.TAKEN
        elif unit is Unit.RETURN:
            if state.fp == 0:
                raise _Trapped(Trap.RETURN_UNDERFLOW)
            value = state.cells[DATA_STACK_CELLS + state.fp - 1]
            state.rp = state.fp - 1
            state.fp = state.rp - (value >> CODE_ADDRESS_BITS)
            next_pc, flags = value & _CODE_MASK, BeamFlag.TAKEN
        elif unit is Unit.LOAD:
            result, labels, aux = self._execute_load(row, word, a, b, labels)
            value = result
        elif unit is Unit.STORE:
            value = b
            aux = self._execute_store(row, word, a, b, labels)
        elif unit is Unit.SWAP:
            top = state.sp - 1
            for cells in (state.cells, state.labels):
                cells[top], cells[top - 1] = cells[top - 1], cells[top]
            value, labels, flags = state.cells[top], state.labels[top], BeamFlag.PUSH
        elif unit is Unit.WINDOW_NARROW:
            self._narrow(word, row, a, b)
            value = b
        elif unit is Unit.WINDOW_RESTRICT:
            value = self._restrict(word, row)
        elif unit is Unit.WINDOW_LENGTH:
            window = state.windows[row.fields_by_kind[FieldKind.WINDOW].extract(word)]
            result = value = window.length
        elif unit is Unit.READ_REGISTER:
            result = value = self._core_register(CoreRegister(number))
            aux = number
        elif row.is_privileged_event:
            assert answer is not None
            aux, flags = number, BeamFlag.EVENT
            if answer.refused:
                flags |= BeamFlag.REFUSED
                state.sqi.refuse()
            takes_input, lets_output = unit is Unit.DEVICE_IN, unit is Unit.DEVICE_OUT
            if unit is Unit.SYSTEM_CALL:
                takes_input, lets_output = SYSTEM_CALLS[number].takes_input, SYSTEM_CALLS[number].lets_output
            if takes_input:
                state.cone_in = state.tick + 1
            if lets_output:
                state.cone_out = state.tick + 1
            if destination.cell is not None:
                result = value = answer.value & CELL_MASK
        elif unit is Unit.EMIT:
            state.sqi.emit(a)
            flags = BeamFlag.EMIT
        elif unit is Unit.JOIN:
            state.joins = (state.joins + 1) & CELL_MASK
            result = value = state.joins
            labels |= 1 << ((state.joins - 1) % LABEL_BITS)
            flags = BeamFlag.JOIN
        elif unit is Unit.MARK:
            value, aux, flags = 0, number, BeamFlag.MARK
        elif unit is Unit.HALT:
            state.status = Status.HALTED
            flags = BeamFlag.HALT

        if not state.has_labels:
            labels = 0
        state.sp = operands.sp
        if destination.cell is not None and result is not None:
            if destination.is_push:
                state.sp += 1
                flags |= BeamFlag.PUSH
            state.cells[destination.cell], state.labels[destination.cell] = result, labels
        if row.post_increments:
            assert row.access
            cell = self._local(row.fields_by_kind[FieldKind.POINTER].extract(word))
            state.cells[cell], state.labels[cell] = (a + row.access.size) & CELL_MASK, operands.labels_a
        self._retire(Beam(state.pc, row.opcode, flags, labels, value, aux), next_pc)
        return None

    def _execute_load(self, row: Instruction, word: int, a: int, b: int, labels: int) -> tuple[int, int, int]:
        """Cell, labels and address."""
        access = row.access
        assert access
        window, displacement = self._effective(row, word, a, b if row.is_indexed else 0)
        value, leaf_labels, address = self._load(window, displacement, access.size)
        if access.is_signed and value >> (8 * access.size - 1):
            value |= CELL_MASK ^ ((1 << 8 * access.size) - 1)
        return value, labels | leaf_labels, address

    def _execute_store(self, row: Instruction, word: int, a: int, b: int, labels: int) -> int:
        """Writes, and returns the address."""
        state, access = self._state, row.access
        assert access
        window, displacement = self._effective(row, word, a, 0)
        address = self._translate(window, displacement, access.size, 2)
        leaf = self._leaf(window.slot, address)
        start = address % LEAF_BYTES
        leaf.data[start : start + access.size] = (b & ((1 << 8 * access.size) - 1)).to_bytes(access.size, "little")
        if state.has_labels:
            leaf.labels |= labels
        return address

    def _effective(self, row: Instruction, word: int, a: int, index: int) -> tuple[Window, int]:
        """Window and displacement: the pointer's top four bits name the window, nothing carries into them."""
        assert row.access
        field = row.field(FieldKind.SCALED)
        scaled = field.extract(word) * row.access.size if field else 0
        displacement = ((a & DISPLACEMENT_MASK) + scaled + index * row.access.size) & CELL_MASK
        return self._state.windows[a >> POINTER_DISPLACEMENT_BITS], displacement

    def _call(self, return_pc: int, frame: int) -> int:
        """Pushes link and frame; returns the link cell: return address, caller's frame size in the top byte."""
        state = self._state
        if state.rp + 1 + frame > RETURN_STACK_CELLS:
            raise _Trapped(Trap.RETURN_OVERFLOW)
        link = (state.rp - state.fp) << CODE_ADDRESS_BITS | return_pc
        state.cells[DATA_STACK_CELLS + state.rp] = link
        state.labels[DATA_STACK_CELLS + state.rp] = 0
        state.fp = state.rp + 1
        state.rp = state.fp + frame
        return link

    def _narrow(self, word: int, row: Instruction, offset: int, length: int) -> None:
        windows = self._state.windows
        source = windows[row.fields_by_kind[FieldKind.WINDOW_FROM].extract(word)]
        if not source.permissions:
            raise _Trapped(Trap.PERMISSION)
        if offset % 4:
            raise _Trapped(Trap.MISALIGNED)
        if offset + length > source.length:
            raise _Trapped(Trap.BOUNDS)
        target = row.fields_by_kind[FieldKind.WINDOW].extract(word)
        # Behind a window that ends at 2**32 an empty part begins at 0.
        windows[target] = Window(source.slot, (source.base + offset) & CELL_MASK, length, source.permissions)

    def _restrict(self, word: int, row: Instruction) -> int:
        """Masks the permissions of a window and returns what is left. A window without any is empty."""
        windows = self._state.windows
        index = row.fields_by_kind[FieldKind.WINDOW].extract(word)
        window = windows[index]
        kept = window.permissions & row.fields_by_kind[FieldKind.UNSIGNED].extract(word)
        windows[index] = Window(window.slot, window.base, window.length, kept) if kept else Window()
        return kept

    def _core_register(self, register: CoreRegister) -> int:
        state = self._state
        values = {
            CoreRegister.TICK_LOW: state.tick,
            CoreRegister.TICK_HIGH: state.tick >> 32,
            CoreRegister.COHERENCE: state.sqi.coherence,
            CoreRegister.ENTROPY: state.sqi.entropy,
            CoreRegister.DRIFT: state.sqi.drift,
            CoreRegister.SCORE: state.sqi.score,
            CoreRegister.CONE_IN_LOW: state.cone_in,
            CoreRegister.CONE_IN_HIGH: state.cone_in >> 32,
            CoreRegister.CONE_OUT_LOW: state.cone_out,
            CoreRegister.CONE_OUT_HIGH: state.cone_out >> 32,
            CoreRegister.STACK_DEPTH: state.sp,
            CoreRegister.JOINS: state.joins,
            CoreRegister.VERSION: ISA_VERSION,
        }
        return values[register] & CELL_MASK

    def _retire(self, beam: Beam, next_pc: int) -> None:
        state = self._state
        record = beam.pack()
        self._beams += record
        if state.digest is not None:
            state.digest = digest_records(state.digest, record)
        state.pc = next_pc
        state.tick += 1
        if state.tick % EPOCH_TICKS == 0:
            state.sqi.fold()
