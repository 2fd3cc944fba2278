"""Every row's worked example assembles, and its instruction has the row's opcode and length."""

import pytest

from vac.assembler.assemble import assemble_with_listing
from vac.image.decode import decode
from vac.isa.instruction import Instruction
from vac.isa.table import INSTRUCTIONS


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_example_contains_the_instruction_it_explains(row: Instruction) -> None:
    assembly = assemble_with_listing(row.example.source, f"{row.mnemonic}.vasm")
    instructions = [decode(assembly.image.code, pc) for pc in assembly.code_lines]
    found = [instruction.row for instruction in instructions if instruction]
    assert len(found) == len(instructions)
    assert row in found
