"""The table says one thing about every byte: lengths, fields, and which words are instructions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.isa.alu import AluFunction
from vac.isa.encoding import LENGTH_BY_GROUP, MAX_LENGTH, Field, FieldKind, instruction_length, parse_format
from vac.isa.instruction import Destination, Instruction, Source, Unit
from vac.isa.limits import CELL_MASK, STACK_OPERAND
from vac.isa.table import (
    BY_MNEMONIC,
    INSTRUCTIONS,
    SUBOPERATION_FIELD,
    SUBOPERATION_OPCODES,
    WAVE_OPCODES,
    lookup,
)

each_row = pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
FIELDS = sorted({field for row in INSTRUCTIONS for field in row.fields}, key=lambda f: (f.kind.value, f.low, f.width))
each_field = pytest.mark.parametrize("field", FIELDS, ids=lambda f: f"{f.kind.value}{f.width}@{f.low}")


def word_of(row: Instruction, fill: int) -> int:
    """The row's instruction word with every operand bit taken from `fill`."""
    word = row.opcode | (fill << 8 & ((1 << 8 * row.length) - 1))
    if row.suboperation is not None:
        word &= ~SUBOPERATION_FIELD.insert(SUBOPERATION_FIELD.maximum)
        word |= SUBOPERATION_FIELD.insert(row.suboperation)
    return word


def test_no_two_rows_share_a_code_or_a_mnemonic() -> None:
    codes = [(row.opcode, row.suboperation) for row in INSTRUCTIONS]
    assert len(set(codes)) == len(codes)
    assert len(BY_MNEMONIC) == len(INSTRUCTIONS)


def test_no_row_takes_a_wave_opcode() -> None:
    assert not {row.opcode for row in INSTRUCTIONS} & set(WAVE_OPCODES)


def test_an_opcode_is_a_whole_instruction_or_sixteen_suboperations() -> None:
    for opcode in SUBOPERATION_OPCODES:
        rows = [row for row in INSTRUCTIONS if row.opcode == opcode]
        assert all(row.suboperation is not None for row in rows)
        assert len({row.format for row in rows}) == 1, "the decoder finds the fields from the opcode alone"
        assert all(0 <= (row.suboperation or 0) < 16 for row in rows)


def test_length_follows_from_the_top_three_opcode_bits() -> None:
    assert [instruction_length(group << 5) for group in range(8)] == [1, 1, 2, 3, 4, 5, 3, 3]
    assert all(instruction_length(opcode) == LENGTH_BY_GROUP[opcode // 32] for opcode in range(256))
    assert MAX_LENGTH == 5


@each_row
def test_format_fills_the_bytes_exactly_once(row: Instruction) -> None:
    bits = [bit for field in row.fields for bit in range(field.low, field.low + field.width)]
    assert sorted(bits) == list(range(8, 8 * row.length))
    assert len(row.fields_by_kind) == len(row.fields), "two fields of one kind could not be told apart"


@each_row
@settings(max_examples=20)
@given(fill=st.integers(0, (1 << 32) - 1))
def test_lookup_finds_the_row_whatever_the_operands(row: Instruction, fill: int) -> None:
    assert lookup(word_of(row, fill)) is row


@given(word=st.integers(0, (1 << 40) - 1))
def test_lookup_judges_every_word(word: int) -> None:
    opcode, suboperation = word & 0xFF, word >> 20 & 0xF
    candidates = [
        row
        for row in INSTRUCTIONS
        if row.opcode == opcode and (row.suboperation is None or row.suboperation == suboperation)
    ]
    assert len(candidates) <= 1
    assert lookup(word) is (candidates[0] if candidates else None)


def test_wave_opcodes_and_zero_are_no_instructions() -> None:
    assert all(lookup(opcode) is None for opcode in (0, *WAVE_OPCODES))


@each_field
def test_field_takes_its_extremes_and_refuses_one_more(field: Field) -> None:
    for value in (field.minimum, field.maximum, 0):
        assert field.extract(field.insert(value)) == value
    for value in (field.minimum - 1, field.maximum + 1):
        with pytest.raises(ValueError, match="does not fit"):
            field.insert(value)
    assert field.maximum - field.minimum + 1 == 1 << field.width


@each_field
@settings(max_examples=20)
@given(data=st.data())
def test_field_round_trips_among_other_bits(field: Field, data: st.DataObject) -> None:
    value = data.draw(st.integers(field.minimum, field.maximum))
    mask = field.insert(-1 if field.kind.is_signed else field.maximum)
    others = data.draw(st.integers(0, (1 << 40) - 1)) & ~mask
    assert field.extract(others | field.insert(value)) == value
    assert field.insert(value) & ~mask == 0


def test_a_format_that_leaves_bits_over_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fill"):
        parse_format("d4 a4 s7")


@each_row
def test_operands_have_the_fields_they_need(row: Instruction) -> None:
    kinds = {field.kind for field in row.fields}
    assert (row.a is Source.NIBBLE) == bool(kinds & {FieldKind.SOURCE_A, FieldKind.POINTER})
    assert (row.b is Source.NIBBLE) == (FieldKind.SOURCE_B in kinds)
    assert (row.destination is Destination.NIBBLE) == (FieldKind.DESTINATION in kinds)
    if row.destination is Destination.POINTER or row.post_increments:
        assert FieldKind.POINTER in kinds
    if Source.IMMEDIATE in (row.a, row.b):
        assert len(kinds & {FieldKind.SIGNED, FieldKind.UNSIGNED}) == 1
    assert (row.unit in (Unit.BRANCH, Unit.JUMP, Unit.CALL)) == (FieldKind.OFFSET in kinds)
    assert (row.unit in (Unit.LOAD, Unit.STORE)) == (row.access is not None)
    assert (row.suboperation is not None) == (FieldKind.SUBOPERATION in kinds)
    for field in row.fields:
        if field.kind.is_operand_nibble:
            assert field.width == 4 and field.maximum == STACK_OPERAND


@each_row
def test_row_is_documented_and_its_constant_is_a_cell(row: Instruction) -> None:
    assert row.doc and row.example.source and row.mnemonic.isidentifier()
    assert 0 <= row.constant <= CELL_MASK
    assert all(0 <= cell <= CELL_MASK for cell in row.example.stack)
    assert row.mnemonic in row.example.source.replace(";", " ").split()


def test_every_unit_and_function_is_used() -> None:
    assert {row.unit for row in INSTRUCTIONS} == set(Unit)
    used = {row.function for row in INSTRUCTIONS if row.unit in (Unit.ALU, Unit.BRANCH)}
    assert used == set(AluFunction)
