"""Generic mnemonics take their shortest form, at the very edge of each form's reach, and mean the same in all."""

import pytest

from vac.assembler.assemble import assemble, assemble_with_listing
from vac.assembler.generic import GENERIC
from vac.golden.model import GoldenMachine
from vac.image.decode import Decoded, decode
from vac.isa.table import BY_MNEMONIC


def instructions(source: str) -> list[Decoded]:
    image = assemble(source)
    found: list[Decoded] = []
    pc = 0
    while instruction := decode(image.code, pc):
        found.append(instruction)
        pc = instruction.next_pc
    return found


def mnemonics(source: str) -> list[str]:
    return [instruction.row.mnemonic for instruction in instructions(source)]


def stack_after(source: str) -> list[int]:
    machine = GoldenMachine()
    machine.load(assemble(source))
    machine.run(1000)
    return machine.state().data_stack


def test_generic_names_leave_the_exact_ones_alone() -> None:
    assert not GENERIC.keys() & BY_MNEMONIC.keys()


@pytest.mark.parametrize(
    ("value", "mnemonic"),
    [
        (-1, "km1"), (0xFFFFFFFF, "km1"), (0, "k0"), (1, "k1"), (2, "k2"), (4, "k4"), (8, "k8"), (3, "lit8"),
        (127, "lit8"), (-128, "lit8"), (0xFFFFFF80, "lit8"), (128, "li"), (2047, "li"), (-2048, "li"), (2048, "liw"),
        (-2049, "liw"), (524287, "liw"), (-524288, "liw"), (524288, "lit32"), (-524289, "lit32"),
        (0x80000000, "lit32"), (-0x80000000, "lit32"), (0xFFF7FFFF, "lit32"),
    ],
)  # fmt: skip
def test_lit_takes_the_shortest_form_that_holds_the_value(value: int, mnemonic: str) -> None:
    assert mnemonics(f"lit {value}") == [mnemonic]
    assert stack_after(f"lit {value}\nhalt") == [value & 0xFFFFFFFF]


@pytest.mark.parametrize(
    ("value", "local", "expected"),
    [(5, 3, ["li"]), (70000, 3, ["liw"]), (1 << 30, 3, ["lit32", "set3"]), (1 << 30, 9, ["lit32", "set"])],
)
def test_let_reaches_every_value(value: int, local: int, expected: list[str]) -> None:
    assert mnemonics(f"let l{local}, {value}") == expected
    assert stack_after(f"let l{local}, {value}\npush l{local}\nhalt") == [value]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("push l7", ["get7"]), ("push l8", ["get"]), ("pop l7", ["set7"]), ("pop l8", ["set"]),
        ("move l1, l2", ["addi"]), ("move s, l2", ["get2"]), ("move l9, s", ["set"]),
    ],
)  # fmt: skip
def test_moves(text: str, expected: list[str]) -> None:
    assert mnemonics(text) == expected


@pytest.mark.parametrize(
    ("text", "gap", "expected"),
    [
        ("goto on", 127 - 2, "jmps"), ("goto on", 128 - 2, "jmp"), ("goto on", 0x7FFF - 3, "jmp"),
        ("goto on", 0x8000 - 3, "jmpf"), ("invoke on, 0", 0x7FFF - 4, "call"), ("invoke on, 0", 0x8000 - 4, "callf"),
        ("jz s, on", 127 - 2, "bzs"), ("jz s, on", 128 - 2, "bz"), ("jz l0, on", 2047 - 3, "bz"),
        ("jz l0, on", 2048 - 3, "bnz jmpf"), ("jnz l0, on", 2048 - 3, "bz jmpf"), ("jeq l0, l1, on", 127 - 3, "beq"),
        ("jeq l0, l1, on", 128 - 3, "beqw"), ("jeq l0, l1, on", 0x8000 - 4, "bne jmpf"), ("jlts l0, 5, on", 9, "bltsi"),
        ("jlts l0, 127, on", 2047 - 4, "bltsi"), ("jlts l0, 128, on", 9, "li blts"),
        ("jgeu l0, 1 << 20, on", 9, "lit32 bgeu"),
    ],
)  # fmt: skip
def test_branches_take_the_shortest_form_that_reaches(text: str, gap: int, expected: str) -> None:
    found = mnemonics(f"{text}\n.align 1\n.space {gap}\non: halt")
    assert found == expected.split()


def test_backward_branches_have_one_byte_more_reach() -> None:
    assert mnemonics("back: .repeat 128; nop; .endr; goto back")[-1] == "jmps"
    assert mnemonics("back: .repeat 129; nop; .endr; goto back")[-1] == "jmp"


_CORNERS = (0, 1, 5, 127, 128, 0x7FFFFFFF, 0x80000000, 0xFFFFFF80, 0xFFFFFFFF)
_HOLDS = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "ltu": lambda a, b: a < b,
    "geu": lambda a, b: a >= b,
    "lts": lambda a, b: (a ^ 0x80000000) < (b ^ 0x80000000),
    "ges": lambda a, b: (a ^ 0x80000000) >= (b ^ 0x80000000),
}


@pytest.mark.parametrize("gap", [0, 200, 3000, 40000])
@pytest.mark.parametrize("condition", _HOLDS)
def test_every_form_of_a_comparison_decides_alike(condition: str, gap: int) -> None:
    for a in _CORNERS[:: 1 if gap < 1000 else 3]:
        for b in _CORNERS[:: 1 if gap < 1000 else 2]:
            expected = [1 if _HOLDS[condition](a, b) else 0]
            filler = f"k0; halt; .space {gap}; .align 1\non: k1; halt"
            assert stack_after(f"let l0, {a}; let l1, {b}; j{condition} l0, l1, on\n{filler}") == expected
            assert stack_after(f"lit {a}; lit {b}; j{condition} s, s, on\n{filler}") == expected
            assert stack_after(f"lit {a}; j{condition} s, {b}, on\n{filler}") == expected
            zero = [1 if a == 0 else 0]
            assert stack_after(f"lit {a}; jz s, on\n{filler}") == zero
            assert stack_after(f"lit {a}; pop l9; jnz l9, on\n{filler}") == [1 - zero[0]]


def test_growing_instructions_push_others_out_of_reach() -> None:
    """Each jump fits only while the one inside its span is short: all must grow, one after another."""
    depth = 20
    source = "\n".join([f"goto t{index}" for index in range(depth)])
    source += "\n.repeat 126 - 2 * (20 - 1)\nnop\n.endr\n"
    source += "\n".join([f"t{index}: nop" for index in range(depth)])
    found = instructions(source)
    for index, jump in enumerate(found[:depth]):
        target = next(i for i in found if i.pc == jump.target)
        assert target.row.mnemonic == "nop"
        assert found.index(target) == len(found) - depth + index
    assert {jump.row.mnemonic for jump in found[:depth]} == {"jmps", "jmp"}


def test_literals_that_are_addresses_are_relaxed_with_the_code() -> None:
    assert mnemonics("lit on; halt\non: halt")[0] == "k2"
    assert mnemonics("lit on; drop; halt\non: halt")[0] == "lit8"  # k4 would put `on` at 3
    assert mnemonics("lit on; drop; halt\n.repeat 200; nop; .endr\non: halt")[0] == "li"


def test_alignment_follows_the_final_addresses() -> None:
    assembly = assemble_with_listing("goto far\n.align 16\nloop: goto loop\n.space 200\nfar: halt")
    assert assembly.symbols["loop"] == 16
    assert assembly.image.code[3:16] == b"\x01" * 13
