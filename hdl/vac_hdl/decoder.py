"""Decoder, generated from the instruction table: 40-bit instruction word to control bits.

Nothing about any single instruction is written here.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from vac.isa.alu import DIVIDING, AluFunction, Condition
from vac.isa.beam import BeamFlag
from vac.isa.encoding import Field, FieldKind
from vac.isa.instruction import Destination, Instruction, Source, Unit
from vac.isa.limits import CELL_BITS, CODE_ADDRESS_BITS
from vac.isa.ports import SYSTEM_CALLS, CoreRegister
from vac.isa.table import INSTRUCTIONS, SUBOPERATION_FIELD, SUBOPERATION_OPCODES

from .arithmetic import ALU_LAYOUT, RELATION_OF_CONDITION, RELATION_OF_FUNCTION, alu_control
from .config import CoreConfig
from .word_selection import WORD_BITS, FieldSelection, WordSelection, constant_wiring, field_wiring, in_whole_words


class OperandFrom(enum.Enum, shape=3):
    """Where operand A, B or the result is addressed from."""

    NONE = 0
    NIBBLE_8 = 1
    """Nibble at bit 8 of the word."""
    NIBBLE_12 = 2
    NIBBLE_16 = 3
    LOCAL_BYTE = 4
    """Local index in bits 8 to 15."""
    LOCAL_OPCODE = 5
    """Local index in the low three bits of the opcode."""
    STACK = 6
    """Popped, or for a result pushed."""
    VALUE = 7
    """Operand B: the immediate or the row's constant."""


class Peek(enum.Enum, shape=2):
    NONE = 0
    TOP = 1
    SECOND = 2


UnitCode: Any = enum.Enum("UnitCode", {unit.name: index for index, unit in enumerate(Unit)})
"""Binary code of each execution unit."""

UNIT_FLAGS: dict[str, frozenset[Unit]] = {
    "is_load": frozenset({Unit.LOAD}),
    "is_store": frozenset({Unit.STORE}),
    "is_event": frozenset({Unit.DEVICE_IN, Unit.DEVICE_OUT, Unit.SYSTEM_CALL}),
    "brings_value": frozenset({Unit.DEVICE_IN, Unit.SYSTEM_CALL}),
    "numbered": frozenset({Unit.READ_REGISTER, Unit.MARK, Unit.DEVICE_IN, Unit.DEVICE_OUT, Unit.SYSTEM_CALL}),
    "swaps": frozenset({Unit.SWAP}),
    "tables": frozenset({Unit.TABLE_CALL, Unit.TABLE_JUMP}),
    "links": frozenset({Unit.CALL, Unit.TABLE_CALL}),
    "calls": frozenset({Unit.CALL}),
    "returns": frozenset({Unit.RETURN}),
    "jumps": frozenset({Unit.JUMP, Unit.CALL}),
    "branches": frozenset({Unit.BRANCH}),
    "emits": frozenset({Unit.EMIT}),
    "joins": frozenset({Unit.JOIN}),
    "halts": frozenset({Unit.HALT}),
    "narrows": frozenset({Unit.WINDOW_NARROW}),
    "restricts": frozenset({Unit.WINDOW_RESTRICT}),
    "names_window": frozenset({Unit.WINDOW_NARROW, Unit.WINDOW_RESTRICT, Unit.WINDOW_LENGTH}),
    "serializes": frozenset(
        {
            *(Unit.READ_REGISTER, Unit.JOIN, Unit.DEVICE_IN, Unit.DEVICE_OUT, Unit.SYSTEM_CALL),
            *(Unit.WINDOW_NARROW, Unit.WINDOW_RESTRICT),
        }
    ),
}
"""Control bits that the unit decides, and the units that set them: later stages need not decode the unit again.

links: writes a link cell. serializes: reads or changes what older operations may still change.
"""

_LATE_UNITS = frozenset(
    {
        *(Unit.LOAD, Unit.READ_REGISTER, Unit.JOIN, Unit.WINDOW_LENGTH, Unit.WINDOW_RESTRICT),
        *(Unit.DEVICE_IN, Unit.DEVICE_OUT, Unit.SYSTEM_CALL),
    }
)

FUNCTION_FLAGS: dict[str, frozenset[AluFunction]] = {
    "multiplies": frozenset({AluFunction.MUL, AluFunction.MULHU, AluFunction.MULHS}),
    "divides": DIVIDING,
    "late": frozenset(
        {
            *DIVIDING,
            *(AluFunction.MUL, AluFunction.MULHU, AluFunction.MULHS),
            *(AluFunction.SHL, AluFunction.SHRU, AluFunction.SHRS, AluFunction.SUPERPOSE),
        }
    ),
}
"""Control bits that the function of the ALU decides in the units that compute. late: the result is there too late to
be forwarded in the cycle in which it is computed; so are the results of some other units."""

_UNIT_BEAM_FLAGS = {
    Unit.DEVICE_IN: BeamFlag.EVENT,
    Unit.DEVICE_OUT: BeamFlag.EVENT,
    Unit.SYSTEM_CALL: BeamFlag.EVENT,
    Unit.EMIT: BeamFlag.EMIT,
    Unit.JOIN: BeamFlag.JOIN,
    Unit.MARK: BeamFlag.MARK,
    Unit.HALT: BeamFlag.HALT,
}

NIBBLES = {8: OperandFrom.NIBBLE_8, 12: OperandFrom.NIBBLE_12, 16: OperandFrom.NIBBLE_16}

_VALUE_KINDS = (FieldKind.SIGNED, FieldKind.UNSIGNED, FieldKind.SCALED)

CONTROL_FIELDS: dict[str, Any] = {
    "legal": 1,
    "unit": UnitCode,
    "function": AluFunction,
    "alu": ALU_LAYOUT,
    "condition": Condition,
    "equality": 1,
    "relation_signed": 1,
    "relation_inverted": 1,
    "a": OperandFrom,
    "b": OperandFrom,
    "destination": OperandFrom,
    "peek": Peek,
    "size_log2": 2,
    "is_signed": 1,
    "indexed": 1,
    "post_increment": 1,
    "length": 3,
    "arguments": 3,
    "flags": 8,
    "b_is_value": 1,
    **dict.fromkeys(UNIT_FLAGS, 1),
    **dict.fromkeys(FUNCTION_FLAGS, 1),
    "two_steps": 1,
    "advances": 1,
}
_DECODED_AT_ONCE = ("a", "b", "destination")
TRAVELLING_FIELDS = {name: shape for name, shape in CONTROL_FIELDS.items() if name not in _DECODED_AT_ONCE}
"""Control bits that later stages need."""

FIRST_STEP_FLAGS = (
    *("is_load", "is_store", "is_event", "brings_value", "numbered", "swaps", "returns", "jumps", "branches"),
    *("emits", "joins", "halts", "narrows", "restricts", "names_window", "multiplies", "divides", "late"),
    "advances",
)
"""Control bits that hold for the first operation of an instruction alone; the second one only writes."""

PLAIN_CONTROL = ("length", "condition", "equality", "relation_signed", "relation_inverted", "is_signed")
"""Control bits that hold for both."""

CONTROL_WORDS = {"first_step": FIRST_STEP_FLAGS, "plain": PLAIN_CONTROL}
"""Fields that travel together, in builds that work in words."""

CONTROL_LAYOUT = data.StructLayout(CONTROL_FIELDS)
"""Control bits of one instruction.

function: what the ALU computes in any unit; where an instruction has no result, the value its beam shows. alu: the same
as the ALU's control bits. equality, relation_signed, relation_inverted: what is compared, be it for a branch or a cell.
arguments: cells a system call pops. flags: beam flags that are always set. two_steps: two operations in the pipeline,
where the instruction is legal. advances: a store whose one result is the pointer behind what it wrote.
"""


def _operand(row: Instruction, source: Source, field: Field | None) -> OperandFrom:
    if source is Source.NIBBLE:
        assert field
        return NIBBLES[field.low]
    if source is Source.LOCAL:
        return OperandFrom.LOCAL_BYTE if row.field(FieldKind.LOCAL) else OperandFrom.LOCAL_OPCODE
    if source is Source.POP:
        return OperandFrom.STACK
    if source in (Source.IMMEDIATE, Source.CONSTANT):
        return OperandFrom.VALUE
    return OperandFrom.NONE


def _only_field(unit: Unit) -> Field:
    """The field `n` of the instructions of a unit, which all have it in one place."""
    (field,) = {row.fields_by_kind[FieldKind.NUMBER] for row in INSTRUCTIONS if row.unit is unit}
    return field


def _destination(row: Instruction) -> OperandFrom:
    kinds = {Destination.NIBBLE: FieldKind.DESTINATION, Destination.POINTER: FieldKind.POINTER}
    if row.destination in kinds:
        return NIBBLES[row.fields_by_kind[kinds[row.destination]].low]
    if row.destination is Destination.LOCAL:
        return OperandFrom.LOCAL_BYTE if row.field(FieldKind.LOCAL) else OperandFrom.LOCAL_OPCODE
    return OperandFrom.STACK if row.destination is Destination.PUSH else OperandFrom.NONE


def _shown_function(row: Instruction) -> AluFunction:
    """The function whose result is the beam's value where the row has no result of its own."""
    if row.unit in (Unit.STORE, Unit.WINDOW_NARROW):
        return AluFunction.PASS_B
    if row.unit in (Unit.ALU, Unit.BRANCH) and row.destination is not Destination.NONE:
        return row.function
    return AluFunction.PASS_A


def control_of(row: Instruction) -> dict[int | str, Any]:
    """Values of CONTROL_LAYOUT for one row of the table."""
    a = _operand(row, row.a, row.source_a_field)
    if row.a is Source.CONSTANT:
        a = OperandFrom.NONE  # the fixed address zero of the absolute loads and stores
    b = _operand(row, row.b, row.field(FieldKind.SOURCE_B))
    if row.unit is Unit.SWAP:
        a = b = OperandFrom.NONE
    function = _shown_function(row)
    relation = RELATION_OF_FUNCTION.get(function, RELATION_OF_CONDITION[row.condition])
    local_opcode = OperandFrom.LOCAL_OPCODE in (a, _destination(row))
    if local_opcode and row.constant != row.opcode & 7:
        raise ValueError(f"{row.mnemonic}: the short forms keep their local in the low opcode bits")
    return {
        "legal": 1,
        "unit": UnitCode[row.unit.name],
        "function": function,
        "alu": alu_control(function),
        "condition": row.condition,
        "equality": relation.equality,
        "relation_signed": relation.is_signed,
        "relation_inverted": relation.inverted,
        "a": a,
        "b": b,
        "destination": _destination(row),
        "peek": {Source.PEEK: Peek.TOP, Source.PEEK_SECOND: Peek.SECOND}.get(row.a, Peek.NONE),
        "size_log2": row.access.size_log2 if row.access else 0,
        "is_signed": row.access.is_signed if row.access else 0,
        "indexed": row.is_indexed,
        "post_increment": row.post_increments,
        "length": row.length,
        "arguments": 0,
        "flags": int(_UNIT_BEAM_FLAGS.get(row.unit, 0)),
        **{flag: row.unit in units for flag, units in UNIT_FLAGS.items()},
        **{flag: row.unit is Unit.ALU and row.function in functions for flag, functions in FUNCTION_FLAGS.items()},
        "late": row.unit in _LATE_UNITS
        or (row.unit is Unit.ALU and row.function in FUNCTION_FLAGS["late"])
        or (row.unit is Unit.STORE and row.post_increments),
        "b_is_value": b is OperandFrom.VALUE,
        "two_steps": row.unit in (Unit.SWAP, Unit.TABLE_CALL, Unit.TABLE_JUMP)
        or (row.post_increments and row.unit is Unit.LOAD),
        "advances": row.post_increments and row.unit is Unit.STORE,
    }


def _value_wiring(row: Instruction) -> list[int | None]:
    """Operand B where it is a value: the immediate extended to a cell and scaled, or the row's constant."""
    if row.b is Source.CONSTANT:
        return constant_wiring(row.constant, CELL_BITS)
    field = next((field for field in row.fields if field.kind in _VALUE_KINDS), None)
    shift = row.access.size_log2 if field and field.kind is FieldKind.SCALED and row.access else 0
    return field_wiring(field, CELL_BITS, shift)


def _index_wiring(row: Instruction, operand: OperandFrom) -> list[int | None]:
    """Index of the local that an operand names, wherever it names one."""
    bits: dict[OperandFrom, tuple[int, int]] = {
        **{code: (low, 4) for low, code in NIBBLES.items()},
        OperandFrom.LOCAL_BYTE: (8, 8),
        OperandFrom.LOCAL_OPCODE: (0, 3),
    }
    low, width = bits.get(operand, (0, 0))
    return [low + bit if bit < width else None for bit in range(8)]


_OPCODES = 256
_GROUPED_OPCODES = sorted(SUBOPERATION_OPCODES)

_ROWS: dict[int, list[Instruction]] = {}
for _row in INSTRUCTIONS:
    _ROWS.setdefault(_row.opcode, []).append(_row)

_OUTPUTS: dict[str, tuple[int, Callable[[Instruction], list[int | None]]]] = {
    "value": (CELL_BITS, _value_wiring),
    "offset": (CODE_ADDRESS_BITS, lambda row: field_wiring(row.field(FieldKind.OFFSET), CODE_ADDRESS_BITS)),
    "frame": (8, lambda row: field_wiring(row.field(FieldKind.FRAME), 8)),
    "a_index": (8, lambda row: _index_wiring(row, control_of(row)["a"])),
    "b_index": (8, lambda row: _index_wiring(row, control_of(row)["b"])),
    "destination_index": (8, lambda row: _index_wiring(row, control_of(row)["destination"])),
}


@cache
def _selection(in_words: bool) -> FieldSelection | WordSelection:
    return FieldSelection(_OUTPUTS, _ROWS) if in_words else WordSelection(_OUTPUTS, _ROWS)


def _rom_contents(selection: FieldSelection | WordSelection, has_suboperations: bool) -> Any:
    """Of several rows behind one opcode the memory holds the first; they differ in few fields. An opcode without an
    instruction has zeros, hence is not legal. has_suboperations: behind them, all rows of opcodes that have several.
    """
    contents = [
        {"control": control_of(_ROWS[opcode][0]), "columns": selection.columns_of(opcode)} if opcode in _ROWS else {}
        for opcode in range(_OPCODES)
    ]
    for opcode in _GROUPED_OPCODES if has_suboperations else ():
        controls = {row.suboperation: control_of(row) for row in _ROWS[opcode]}
        for number in range(1 << SUBOPERATION_FIELD.width):
            control = controls.get(number) or {**control_of(_ROWS[opcode][0]), "legal": 0}
            contents.append({"control": control, "columns": selection.columns_of(opcode)})
    return contents


_TOGETHER = [field for members in CONTROL_WORDS.values() for field in members]
_ALONE = [field for field in CONTROL_FIELDS if field not in _TOGETHER]
_WORDED_LAYOUT = in_whole_words({field: CONTROL_FIELDS[field] for field in (*_TOGETHER, *_ALONE)})


class Decoder(wiring.Component):
    """Decoder: a read-only memory of control bits, and the fields of the instruction word that they select.

    Attributes: opcode: In(8), looked up at the clock edge while `enable`: In(1). word: In(40), the little-endian
    instruction bytes, from the next cycle on, together with what is decoded from them:
    control: Out. value: Out(32), the immediate extended to a cell and scaled, or the constant. offset: Out(24),
    sign-extended branch offset. frame: Out(8). a_index, b_index, destination_index: Out(8), the local where the
    operand is one.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._in_words = config.in_words
        self._layout = _WORDED_LAYOUT if config.in_words else CONTROL_LAYOUT
        self._selection = _selection(config.in_words)
        self.suboperation = Signal(SUBOPERATION_FIELD.width)
        super().__init__(
            {
                "opcode": In(8),
                "enable": In(1),
                "word": In(WORD_BITS),
                "control": Out(self._layout),
                **{name: Out(width) for name, (width, _) in _OUTPUTS.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        selection = self._selection
        layout = data.StructLayout({"control": self._layout, "columns": selection.layout})
        contents = _rom_contents(selection, self._in_words)
        m.submodules.rom = rom = Memory(shape=layout, depth=len(contents), init=contents)
        read = rom.read_port()
        m.d.comb += [read.addr.eq(self.opcode), read.en.eq(self.enable), self.control.eq(read.data.control)]
        if self._in_words:
            self._look_up_suboperation(m, read.addr)
        else:
            with m.Switch(self.word[0:8]):
                for opcode in SUBOPERATION_OPCODES:
                    with m.Case(opcode):
                        self._decode_suboperation(m, _ROWS[opcode])
        self._check_numbers(m)
        selection.connect(m, read.data.columns, self.word, {name: getattr(self, name) for name in _OUTPUTS})
        return m

    def _bits(self, field: Field):
        return self.word[field.low : field.low + field.width]

    def _look_up_suboperation(self, m: Module, address: Value) -> None:
        with m.Switch(self.opcode):
            for index, opcode in enumerate(_GROUPED_OPCODES):
                with m.Case(opcode):
                    m.d.comb += address.eq(_OPCODES + Cat(self.suboperation, Const(index, 1)))

    def _decode_suboperation(self, m: Module, group: list[Instruction]) -> None:
        """Sets the control bits in which the rows of one opcode differ."""
        controls = [control_of(row) for row in group]
        varying = [name for name in CONTROL_FIELDS if any(control[name] != controls[0][name] for control in controls)]
        with m.Switch(self._bits(SUBOPERATION_FIELD)):
            for row, control in zip(group, controls, strict=True):
                assert row.suboperation is not None
                with m.Case(row.suboperation):
                    values = CONTROL_LAYOUT.const(control)
                    m.d.comb += [self.control[name].eq(values[name]) for name in varying]
            with m.Default():
                m.d.comb += self.control.legal.eq(0)

    def _check_numbers(self, m: Module) -> None:
        """Legality that hangs on a number: registers and system calls that exist."""
        number = _only_field(Unit.READ_REGISTER)
        with m.If((self.control.unit == UnitCode.READ_REGISTER) & (self._bits(number) >= len(CoreRegister))):
            m.d.comb += self.control.legal.eq(0)
        number = _only_field(Unit.SYSTEM_CALL)
        with m.If(self.control.unit == UnitCode.SYSTEM_CALL):
            with m.Switch(self._bits(number)):
                for call in SYSTEM_CALLS:
                    with m.Case(call.number):
                        m.d.comb += self.control.arguments.eq(len(call.arguments))
                with m.Default():
                    m.d.comb += self.control.legal.eq(0)
