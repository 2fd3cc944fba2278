"""The microprogram's assembler, the ROM that it makes, and the decode table."""

import pytest

from vac.isa.table import INSTRUCTIONS, SUBOPERATION_OPCODES, WAVE_OPCODES
from vac_hdl.compact.assembler import Microprogram
from vac_hdl.compact.decode_table import DECODE_LAYOUT, ILLEGAL, DecodeTable
from vac_hdl.compact.micro_op import (
    MICRO_ADDRESS_BITS,
    MICRO_LAYOUT,
    Action,
    Condition,
    Function,
    Operand,
    Prepared,
    Read,
    Write,
)
from vac_hdl.compact.microprogram import microprogram


def _field(word: int, name: str) -> int:
    field = MICRO_LAYOUT[name]
    return word >> field.offset & ((1 << field.width) - 1)


@pytest.fixture(scope="module")
def program() -> tuple[list[int], dict[str, int], DecodeTable]:
    table = DecodeTable.build()
    words, entries = microprogram(table.routines)
    return words, entries, table


def test_fits_its_rom(program):
    words, entries, table = program
    assert len(words) <= 1 << MICRO_ADDRESS_BITS
    assert all(word < 1 << MICRO_LAYOUT.size for word in words)
    assert table.routines <= entries.keys()
    assert MICRO_LAYOUT.size <= 56  # seven block RAMs of the iCE40
    assert DECODE_LAYOUT.size <= 32


def test_unused_addresses_and_power_up_are_the_idle_micro_op(program):
    """Whoever strays to a word of zeros is stopped, at address 0."""
    words, _, _ = program
    assert words[0] == 0
    assert (Action.IDLE.value, Operand.HOST.value, Function.PASS_Y.value, Condition.START.value) == (0, 0, 0, 0)


def test_every_successor_is_there(program):
    words, _, _ = program
    for word in words:
        assert _field(word, "next") < len(words)


def test_every_instruction_has_its_entry(program):
    _, _, table = program
    for row in INSTRUCTIONS:
        assert row.opcode in table.entries
        assert table.entries[row.opcode].again or row.opcode not in SUBOPERATION_OPCODES
    for opcode in set(range(256)) - {row.opcode for row in INSTRUCTIONS} | set(WAVE_OPCODES):
        assert table.entries.get(opcode, ILLEGAL) is ILLEGAL


def _small() -> Microprogram:
    p = Microprogram()
    p.label("idle")
    p.op(when=Condition.START, then="boot", goto="idle")
    p.label("boot")
    p.op(y=Prepared.PC)
    p.op(when=Condition.ZERO, then="one", goto="two")
    p.label("one")
    p.op(y=Operand.B, goto="idle")
    p.label("two")
    p.op(y=Operand.B, goto="idle")
    p.label("never")
    p.op(y=Operand.CELL, goto="idle")
    return p


def test_conditional_lines_go_to_a_pair():
    words, entries = _small().assemble({"one"})
    boot = words[1]
    branch = words[_field(boot, "next")]
    pair = _field(branch, "next")
    assert pair % 2 == 0
    assert _field(words[pair], "y") == _field(words[pair + 1], "y") == Operand.B.value
    assert entries.keys() == {"one"}


def test_equal_lines_become_one_and_unreached_ones_go():
    words, _ = _small().assemble(set())
    assert Operand.CELL.value not in [_field(word, "y") for word in words]
    assert len(words) == 2 + 2 + 1


def _with(*lines: dict) -> Microprogram:
    """`_small` with lines behind each other at the label "more"; the last goes to "idle"."""
    p = _small()
    p.label("more")
    for line in lines[:-1]:
        p.op(**line)
    p.op(**lines[-1], goto="idle")
    return p


def test_a_line_prepares_what_the_next_takes():
    words, entries = _with({}, {"y": Prepared.HEADER}, {"y": Prepared.PC}, {"y": Operand.B}).assemble({"more"})
    at, prepared, taken = entries["more"], [], []
    for _ in range(4):
        prepared.append(_field(words[at], "prepares"))
        taken.append(_field(words[at], "y"))
        at = _field(words[at], "next")
    assert prepared == [Prepared.HEADER.value, Prepared.PC.value, Prepared.PC.value, Prepared.PC.value]
    assert taken == [Operand.ZERO.value, Operand.PREPARED.value, Operand.PREPARED.value, Operand.B.value]


def test_one_thing_can_be_prepared():
    p = _small()
    p.label("more")
    p.op(when=Condition.ZERO, then="header")
    p.op(y=Prepared.SLOT, goto="idle")
    p.label("header")
    p.op(y=Prepared.HEADER, goto="idle")
    with pytest.raises(ValueError, match="want HEADER and SLOT; one can be prepared"):
        p.assemble({"more"})


def test_what_dispatch_prepares():
    """A routine begins with pc, with FIRST, or with nothing that has to be prepared; nothing else begins with FIRST."""
    for first, is_right in ((Prepared.PC, True), (Prepared.FIRST, True), (Operand.B, True), (Prepared.SLOT, False)):
        p = _with({"when": Condition.DISPATCH}, {"y": Operand.B})
        p.label("routine")
        p.op(y=first, goto="idle")
        if is_right:
            words, entries = p.assemble({"more", "routine"})
            assert _field(words[entries["more"]], "prepares") == Prepared.FIRST.value
        else:
            with pytest.raises(ValueError, match="want FIRST and SLOT"):
                p.assemble({"more", "routine"})
    with pytest.raises(ValueError, match="only DISPATCH leads to a line that takes FIRST"):
        _with({}, {"y": Prepared.FIRST}).assemble({"more"})


CELL, OTHER = 0x150, 0x151
FIXED_WRITE, KEPT_WRITE = {"write": Write.FIXED, "write_cell": CELL}, {"write": Write.KEPT}
READS_BEHIND_WRITES = [
    (FIXED_WRITE, {"read_cell": CELL}, False),
    (FIXED_WRITE, {"read_cell": OTHER}, True),
    (FIXED_WRITE, {"read": Read.A}, True),
    (KEPT_WRITE, {"read": Read.WINDOW, "constant": 1}, False),
    (KEPT_WRITE, {"read": Read.WINDOW, "constant": 1, "action": Action.KEEP_ADDRESS}, True),
    (KEPT_WRITE, {"read_cell": CELL}, True),
    ({"write": Write.DESTINATION}, {"read": Read.B}, False),
    ({"write": Write.DESTINATION}, {"read": Read.DESTINATION}, True),
]


@pytest.mark.parametrize(("write", "read", "is_right"), READS_BEHIND_WRITES)
def test_no_line_reads_what_the_one_before_writes(write, read, is_right):
    """The line behind may be the next one, the one that a condition leads to, or where a subroutine returns to."""
    then_read = _small()
    then_read.label("more")
    then_read.op(**write, when=Condition.ZERO, then="reads", goto="idle")
    returning = _small()
    returning.label("more")
    returning.op(link="reads", goto="subroutine")
    returning.label("subroutine")
    returning.op(**write, when=Condition.RETURN)
    for p in (then_read, returning):
        p.label("reads")
        p.op(**read, goto="idle")
    for p in (_with(write, read), then_read, returning):
        if is_right:
            p.assemble({"more"})
        else:
            with pytest.raises(ValueError, match="reads what it writes, a cycle too early"):
                p.assemble({"more"})
    _with(write, {"y": Operand.B}, read).assemble({"more"})


def test_errors():
    p = _small()
    with pytest.raises(ValueError, match="label idle stands twice"):
        p.label("idle")
    with pytest.raises(ValueError, match="a condition needs a place"):
        p.op(when=Condition.ZERO)
    with pytest.raises(ValueError, match="there is no label nowhere"):
        p.assemble({"nowhere"})
    p = _small()
    p.label("both")
    p.op(constant=1, read_cell=0x150, goto="idle")
    with pytest.raises(ValueError, match="a constant or fixed cells, not both"):
        p.assemble({"both"})
    p = _small()
    p.label("far")
    p.op(read_cell=0x20, write_cell=0x90, goto="idle")
    with pytest.raises(ValueError, match="out of a micro-op's reach"):
        p.assemble({"far"})
