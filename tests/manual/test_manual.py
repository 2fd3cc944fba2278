"""The manual is the table's: the page is up to date, and what it derives is what the machine does."""

from pathlib import Path
from random import Random

import pytest

from vac.golden.model import GoldenMachine
from vac.image.image import Image, Segment, Window
from vac.isa import limits, sqi, traps
from vac.isa.encoding import FieldKind
from vac.isa.instruction import Instruction, Unit
from vac.isa.limits import CODE_SLOT, STACK_OPERAND, STACK_RAM_CELLS
from vac.isa.table import INSTRUCTIONS, SUBOPERATION_FIELD
from vac.isa.traps import Trap
from vac.machine.state import State, Status
from vac.manual.__main__ import manual
from vac.manual.attribute_docs import assignments, attribute_docs
from vac.manual.facts import bit_pattern, traps_of

PAGE = Path(__file__).parents[2] / "docs" / "isa.md"
each_row = pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
FROM_HOST = {Trap.DENIED, Trap.QUOTA}
LEAST_TRIES, MOST_TRIES = 100, 3000


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == manual(), "run: python -m vac.manual > docs/isa.md"


def test_every_row_trap_and_limit_is_in_it() -> None:
    lines = set(manual().splitlines())
    for row in INSTRUCTIONS:
        assert f"### {row.mnemonic}{' ' + row.glyph if row.glyph else ''}" in lines
    text = manual()
    assert all(f"| `{trap.name}` |" in text for trap in Trap)
    assert all(f"| `{name}` |" in text for name in [*assignments(limits), *assignments(sqi)] if name.isupper())


def test_docstrings_are_found_under_attributes() -> None:
    docs = attribute_docs(traps.Trap)
    assert docs["RETURN_UNDERFLOW"] == "Return from the outermost frame." and "STACK_OVERFLOW" not in docs
    assert attribute_docs(limits)["WINDOWS"].startswith("Capability registers.")


@each_row
def test_bit_patterns_are_the_encoding(row: Instruction) -> None:
    pattern = bit_pattern(row).split()
    assert len(pattern) == row.length and pattern[0] == f"{row.opcode:08b}"
    bits = "".join(byte[::-1] for byte in pattern)
    for field in row.fields:
        part = bits[field.low : field.low + field.width]
        if row.suboperation is not None and field == SUBOPERATION_FIELD:
            assert int(part[::-1], 2) == row.suboperation
        else:
            assert part == field.kind.value * field.width


def random_machine(row: Instruction, rng: Random) -> GoldenMachine:
    """A machine in some state that it could be in, about to execute this row with some operands."""
    word = rng.getrandbits(32) << 8 | row.opcode
    for field in row.fields:
        if field.kind.is_operand_nibble and rng.random() < 0.5:
            word |= field.insert(STACK_OPERAND)
        if field.kind is FieldKind.NUMBER and rng.random() < 0.9:
            word &= ~field.insert(field.maximum - 7)
    if row.suboperation is not None:
        word = word & ~SUBOPERATION_FIELD.insert(15) | SUBOPERATION_FIELD.insert(row.suboperation)
    code = (word & ((1 << 8 * row.length) - 1)).to_bytes(row.length, "little") + bytes(16)
    image = Image(0, 0, len(code), (Segment(CODE_SLOT, 0, len(code), code), Segment(1, 0, 4096, b"")))
    state = State.initial(image)
    state.sp = rng.choice((0, 1, 2, 63, 64, 64))
    state.fp = rng.choice((0, 100))
    frame = rng.choice((0, 3, 15, 60, 91, 92))
    state.rp = state.fp + frame
    cells = (0, 1, 4, 2, 4092, 4096, 0x10000000, 0xFFFFFFFF, rng.getrandbits(32))
    state.cells = [rng.choice(cells) for _ in range(STACK_RAM_CELLS)]
    if state.fp:
        state.cells[64 + state.fp - 1] = 3
    whole, part = Window(1, 0, 4096, 3), Window(1, 0, 64, rng.randrange(4))
    state.windows = [rng.choice((whole, part, Window())) for _ in range(16)] + [
        rng.choice((Window(), Window(0, 0, 8, 1)))
    ]
    machine = GoldenMachine()
    machine.load(image)
    machine.set_state(state)
    return machine


@each_row
def test_the_traps_of_a_row_are_exactly_those_that_it_can_end_in(row: Instruction) -> None:
    expected = set(traps_of(row)) - FROM_HOST
    if row.unit is Unit.SYSTEM_CALL:
        expected -= {Trap.PERMISSION, Trap.BOUNDS}
    rng = Random(row.mnemonic)
    seen: set[Trap] = set()
    for tried in range(MOST_TRIES):
        machine = random_machine(row, rng)
        machine.run(1)
        state = machine.state()
        if state.status is Status.TRAPPED:
            seen |= {state.trap} - {Trap.CODE_BOUNDS}
        if tried >= LEAST_TRIES and seen >= expected:
            break
    assert seen == expected
    assert list(traps_of(row)) == sorted(traps_of(row))
