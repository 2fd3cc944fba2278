"""The decoder and the golden model agree on what is a legal instruction, and the encoder is its inverse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.golden.model import GoldenMachine
from vac.image.decode import decode
from vac.image.encode import OperandError, OutOfReach, encode, source_fields
from vac.image.image import Image, Segment
from vac.isa.table import BY_MNEMONIC
from vac.isa.traps import Trap


def words() -> st.SearchStrategy[bytes]:
    """Five bytes; every first byte is as likely as any other."""
    return st.tuples(st.integers(0, 255), st.binary(min_size=4, max_size=4)).map(lambda p: bytes([p[0]]) + p[1])


@given(words())
def test_what_is_illegal_is_what_traps_as_illegal(word: bytes) -> None:
    machine = GoldenMachine()
    machine.load(Image(0, 15, len(word), (Segment(0, 0, len(word), word),)))
    machine.run(1)
    assert (decode(word, 0) is None) == (machine.state().trap is Trap.ILLEGAL)


@given(words(), st.integers(0, (1 << 24) - 1))
def test_encode_is_the_inverse_of_decode(word: bytes, pc: int) -> None:
    instruction = decode(word, 0, pc)
    if instruction:
        operands = [instruction.operand(field) for field in source_fields(instruction.row)]
        assert encode(instruction.row, operands, pc) == word[: instruction.row.length]


@given(words(), st.integers(1, 4))
def test_a_cut_instruction_is_none(word: bytes, length: int) -> None:
    instruction = decode(word, 0)
    cut = decode(word[:length], 0)
    assert (cut is None) == (instruction is None or instruction.row.length > length)


def test_code_addresses_wrap_at_16_mib() -> None:
    word = encode(BY_MNEMONIC["jmps"], [0xFFFFFE], pc=2)
    assert word == bytes([0x43, 0xFC])
    instruction = decode(word, 0, 2)
    assert instruction and instruction.target == 0xFFFFFE and instruction.text() == "jmps 0xfffffe"


def test_operands_that_do_not_fit_are_named_by_their_place() -> None:
    with pytest.raises(OutOfReach) as reach:
        encode(BY_MNEMONIC["beqi"], [15, 5000, 3], pc=0)
    assert (reach.value.index, reach.value.distance) == (1, 5000)
    with pytest.raises(OperandError) as wrong:
        encode(BY_MNEMONIC["add3"], [0, 1, 16])
    assert wrong.value.index == 2
    with pytest.raises(OperandError, match="takes 3 operands, not 2"):
        encode(BY_MNEMONIC["add3"], [0, 1])
