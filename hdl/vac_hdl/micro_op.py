"""What travels down the pipeline."""

from typing import Any

from amaranth.hdl import Signal
from amaranth.lib import data, enum

from vac.isa.alu import AluFunction, Condition
from vac.isa.traps import Trap

from .arithmetic import ALU_LAYOUT
from .bundle import Bundle
from .config import CoreConfig
from .decoder import CONTROL_WORDS, FIRST_STEP_FLAGS, UnitCode


class Step(enum.Enum, shape=2):
    """Which part of an instruction a micro-operation is.

    An instruction with two results takes two: the first retires it, the second (TAIL) writes the other result and can
    no longer fail. A table call or jump first loads its entry (PREPARE), which may trap, then retires.
    """

    WHOLE = 0
    TAIL = 1
    PREPARE = 2


MICRO_OP_WORDS = {**CONTROL_WORDS, "depths": ("sp", "rp", "fp")}
"""Fields that travel together, in builds that work in words."""

MICRO_OP_FIELDS: dict[str, Any] = {
    "step": Step,
    "unit": UnitCode,
    "opcode": 8,
    "pc": 24,
    "sequential_pc": 25,
    "target": 24,
    "length": 3,
    "backward": 1,
    "predicted_taken": 1,
    "marked": 1,
    "function": AluFunction,
    "alu": ALU_LAYOUT,
    "condition": Condition,
    "equality": 1,
    "relation_signed": 1,
    "relation_inverted": 1,
    "redirects": 1,
    "a_used": 1,
    "a_previous": 1,
    "a_cell": 8,
    "b_used": 1,
    "b_value": 1,
    "b_cell": 8,
    "value": 32,
    "writes": 1,
    "pushes": 1,
    "cell": 8,
    "sp": 8,
    "rp": 8,
    "fp": 8,
    "size_log2": 2,
    "is_signed": 1,
    "index_scale": 3,
    "operand_bytes": 8,
    "trap": Trap,
    "flags": 8,
    "prepares": 1,
    "enters": 1,
    "is_memory": 1,
    "reads_memory": 1,
    **dict.fromkeys(FIRST_STEP_FLAGS, 1),
    "serializes": 1,
}
"""A decoded operation with stack RAM addresses.

a_previous: operand A is the previous operation's A (for a pointer increment) or B (for a swap). b_value: operand B is
`value`, which is also a load's or store's displacement. index_scale: operand B is an index, of elements of 1, 2 or 4
bytes; one bit for each. sp, rp, fp: the stack registers once it has retired.
redirects: control goes elsewhere than was predicted, whatever the operands are.
operand_bytes: the byte behind the opcode. trap: found while decoding. flags: beam flags known by now. prepares: step is
PREPARE. enters: second step of a table call or jump. late: the result is not there at the end of X. serializes: waits
until nothing is ahead of it. names_window: looks up a window by number, not by pointer.
"""


def micro_op(config: CoreConfig, name: str) -> Bundle:
    """Signals of one operation."""
    return Bundle(MICRO_OP_FIELDS, name, MICRO_OP_WORDS if config.in_words else {})


class Execution:
    """A micro-operation with its operands and their label sets.

    Attributes: op: Bundle of MICRO_OP_FIELDS. a, b: 32 bits. labels_a, labels_b: as wide as the build's labels.
    """

    def __init__(self, config: CoreConfig, name: str) -> None:
        label_bits = config.label_bits
        self.op = micro_op(config, name)
        self.a = Signal(32, name=f"{name}_a")
        self.b = Signal(32, name=f"{name}_b")
        self.labels_a = Signal(label_bits, name=f"{name}_labels_a")
        self.labels_b = Signal(label_bits, name=f"{name}_labels_b")


LOADED_PART_LAYOUT = data.StructLayout({"byte": 4, "second_byte": 4, "whole": 1, "sign_of": 4, "extends_byte": 1})
"""How a loaded word becomes a cell: the byte of the word that comes lowest, the one that comes second, whether the
upper half is taken as it is, the byte whose sign is extended, and whether it is extended from bit 8 on."""


def commit_bundle(config: CoreConfig, name: str) -> Bundle:
    """What the commit stage judges and, one stage later, writes back."""
    fields = _commit_fields(config.label_bits)
    if not config.in_words:
        return Bundle(fields, name)
    # A word of control bits goes on whole, with those that nobody looks at any more.
    travelling = {field: MICRO_OP_FIELDS[field] for members in MICRO_OP_WORDS.values() for field in members}
    return Bundle({**travelling, **fields}, name, MICRO_OP_WORDS)


def _commit_fields(label_bits: int) -> dict[str, Any]:
    return {
        "step": Step,
        "is_load": 1,
        "is_store": 1,
        "is_event": 1,
        "brings_value": 1,
        "narrows": 1,
        "branches": 1,
        "emits": 1,
        "joins": 1,
        "halts": 1,
        "takes_input": 1,
        "lets_output": 1,
        "store_mask": 4,
        "opcode": 8,
        "pc": 24,
        "next_pc": 24,
        "length": 3,
        "redirect": 1,
        "learn": 1,
        "forget": 1,
        "taken": 1,
        "result": 32,
        "store_data": 32,
        "advances": 1,
        "aux": 32,
        "flags": 8,
        "labels": label_bits,
        "cell_labels": label_bits,
        "writes": 1,
        "cell": 8,
        "sp": 8,
        "rp": 8,
        "fp": 8,
        "is_multiply": 1,
        "multiply_high": 1,
        "multiply_signed": 1,
        "size_log2": 2,
        "is_signed": 1,
        "trap": Trap,
        "number": 8,
        "history_index": 4,
    }
