"""The assembly language: expressions, labels, data, functions, macros, conditions, includes, image header."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.assembler.assemble import assemble, assemble_file, assemble_with_listing
from vac.assembler.listing import listing
from vac.image.image import Segment, Window
from vac.isa.ports import SYSTEM_CALLS


def data_of(source: str) -> bytes:
    """Bytes of the data section, behind a program that does nothing."""
    image = assemble(f"halt\n.data\n{source}")
    return next(segment for segment in image.segments if segment.slot == 1).data


def word(expression: str) -> int:
    return int.from_bytes(data_of(f".word {expression}\n.byte 1")[:4], "little")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("10 - 4 - 3", 3), ("0x10 | 0b11", 0x13), ("1_000", 1000),
        ("1 << 4 + 1", 32), ("6 & 3 ^ 5 | 8", 15), ("~0 & 0xFF", 255), ("-7 / 2 + 10", 7), ("-7 % 3 + 10", 9),
        ("7 / -2 + 10", 7), ("'a'", 97), (r"'\n'", 10), (r"'\''", 39), (r"'\x7f'", 127), (r"'\u{2192}'", 0x2192),
        ("'⊗'", ord("⊗")), ("1 == 1 && 2 < 3", 1), ("1 > 2 || !0", 1), ("3 & 1 == 1", 1), ("0xFFFFFFFF", 0xFFFFFFFF),
        ("-1", 0xFFFFFFFF), ("- - 5", 5), ("SYS_READ", 0), ("READ | WRITE", 3), ("SCORE", 5), ("STORAGE", 0x30),
    ],
)  # fmt: skip
def test_expressions(expression: str, value: int) -> None:
    assert word(expression) == value


_OPERATORS = {"+": 1, "-": 1, "*": 2, "|": -2, "&": 0, "^": -1}


@st.composite
def python_expressions(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return str(draw(st.integers(0, 99)))
    left, right = draw(python_expressions(depth=depth - 1)), draw(python_expressions(depth=depth - 1))
    inner = f"{left} {draw(st.sampled_from(sorted(_OPERATORS)))} {right}"
    return f"({inner})" if draw(st.booleans()) else draw(st.sampled_from(["", "-", "~"])) + inner


@given(python_expressions())
def test_precedence_is_that_of_python(expression: str) -> None:
    assert word(f"({expression}) & 0xFFFFFFFF") == eval(expression) & 0xFFFFFFFF


def test_every_system_call_has_a_name() -> None:
    for call in SYSTEM_CALLS:
        assert word(f"SYS_{call.name.upper()}") == call.number


def test_data_directives() -> None:
    content = data_of('.byte 1, -1, 255\n.align 4\n.half 0x1234, -2\n.ascii "a;#\\n"\n.asciz "é"\n.space 2\n.word $')
    assert content == bytes([1, 255, 255, 0, 0x34, 0x12, 0xFE, 0xFF]) + b"a;#\n" + "é".encode() + bytes(3) + b"\x11"


def test_labels_are_addresses_and_may_stand_in_front() -> None:
    source = ".const SIZE = end - start\nlit start; lit SIZE; halt\n.data\n.space 300\nstart: .byte 1, 2, 3\nend:"
    assembly = assemble_with_listing(source)
    assert (assembly.symbols["start"], assembly.symbols["end"]) == (300, 303)
    assert assembly.image.code == bytes.fromhex("6ecf12 4003 02".replace(" ", ""))


def test_here_in_a_constant_is_the_place_of_the_constant() -> None:
    assert data_of("text: .byte 1, 2, 3\n.const LENGTH = $ - text\n.byte 9, LENGTH")[3:] == bytes([9, 3])


def test_local_labels_belong_to_their_function() -> None:
    source = ".func a\n@x: goto @x\n.func b\n@x: goto @x\n.endfunc\nhalt"
    assert assemble(source).code == bytes.fromhex("4300430002")


def test_named_locals_count_up_in_each_function() -> None:
    source = ".local a, b\npush b\n.func f\n.local c\npop c\nld32 s, c\n.func g\n.local a, b, c\nget c\nadd3 c, a, b"
    assert [placed.content.hex() for placed in assemble_with_listing(source).placed] == [
        "31", "38", "500f", "4102", "600201",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "frame"),
    [(".func f, 7\nret", 7), (".func f\n.local a, b\nret", 2), (".func f\nli l4, 0\nret", 5), (".func f\nset3\nret", 4),
     (".func f\nget 20\nret", 21), (".func f\nret", 0), (".const N = 3\n.func f, N + 1\nret", 4)],
)  # fmt: skip
def test_calls_take_the_frame_from_the_function(function: str, frame: int) -> None:
    code = assemble(f"call f\ninvoke f\n.function f\n{function}").code
    assert code[3] == frame and code[7] == frame and code[-1] == frame


def test_operands_follow_the_format() -> None:
    assert assemble("ld32o s, l1, 8").code == bytes([0x70, 0x1F, 2])
    assert assemble("wnar w3, 0").code == assemble("wnar 3, w0").code == bytes([0x4B, 0x03])
    assert assemble("back: jmp back").code == bytes([0x6F, 0, 0])


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_macros_are_hygienic() -> None:
    source = """
    .macro wait local
    @loop: djnz local, @loop
    .endm
    @loop: wait l1
    wait l2
    goto @loop
    """
    assert assemble(source).code == bytes.fromhex("6d0100 6d0200 43fa".replace(" ", ""))


def test_macro_arguments_keep_the_names_of_their_caller() -> None:
    source = ".macro branch target\n@x: nop\ngoto target\n.endm\n@x: branch @x"
    assert assemble(source).code == bytes.fromhex("0143ff")


def test_macro_arguments_are_split_outside_brackets_and_macros_nest() -> None:
    source = """
    .macro byte2 a, b
    .byte a, b
    .endm
    .macro bytes4 a, b
    byte2 a, (b)
    byte2 (a) + 1, b + 1
    .endm
    """
    assert data_of(source + "bytes4 (1 + 2), 7") == bytes([3, 7, 4, 8])


def test_locals_declared_in_a_macro_do_not_clash() -> None:
    source = ".macro zero\n.local t\nli t, 0\n.endm\n.local t\nli t, 1\nzero\nzero"
    assert assemble(source).code.hex() == "6e1000" + "6e0100" + "6e0200"


def test_repeat_counts() -> None:
    assert data_of(".repeat 4, i\n.repeat 2, j\n.byte 16 * i + j + 1\n.endr\n.endr").hex() == "0102111221223132"
    assert data_of(".repeat 0\n.byte 7\n.endr\n.byte 1") == b"\x01"


def test_labels_in_a_repetition_inside_a_macro_belong_to_one_round() -> None:
    source = ".macro spins count\n.repeat count, i\n@x: li l1, i\ngoto @x\n.endr\n.endm\nspins 2"
    assert assemble(source).code.hex() == "6e0100" + "43fd" + "6e1100" + "43fd"


def test_an_argument_is_not_taken_for_the_counter_of_a_repetition() -> None:
    source = ".const i = 40\n.macro twice value\n.repeat 2, i\n.byte i, value\n.endr\n.endm\ntwice i"
    assert data_of(source) == bytes([0, 40, 1, 40])


def test_conditions() -> None:
    source = (
        ".const A = 2\n.if A == 1\n.byte 1\n.elseif A == 2\n.if 0\n.else\n.byte 2\n.endif\n.else\nnonsense here\n.endif"
    )
    assert data_of(source) == b"\x02"


def test_statements_are_separated_by_semicolons_and_comments_end_lines() -> None:
    assert assemble("k1; k2 # k4; k8\n;; k4 ;").code == bytes.fromhex("28292a")


def test_includes_are_searched_beside_the_file_then_in_the_paths(tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    (tmp_path / "far").mkdir()
    (tmp_path / "near" / "main.vasm").write_text('.include "sub.vasm"\n.include "lib.vasm"\nhalt\n.incbin "blob"\n')
    (tmp_path / "near" / "blob").write_bytes(b"\x00\xff")
    (tmp_path / "far" / "sub.vasm").write_text("nonsense\n")
    (tmp_path / "near" / "sub.vasm").write_text(".data\n.byte 5\n.local x\n")
    (tmp_path / "far" / "lib.vasm").write_text("k1\n.local y\npush y\n")
    image = assemble_file(tmp_path / "near" / "main.vasm", [tmp_path / "far"])
    assert image.code == bytes.fromhex("28310200ff")
    assert image.segments[1].data == b"\x05"
    assert image.name == "main"


def test_assertions_see_the_layout() -> None:
    assemble("k1\n.assert $ == 1\n.assert end <= 8\nhalt\nend:")


# ---- the image -------------------------------------------------------------------------------------------------------


def test_default_image() -> None:
    image = assemble("k1; halt", "demo.vasm")
    assert image.segments == (Segment(0, 0, 2, b"\x28\x02"), Segment(1, 0, 4096, b""))
    assert image.windows == ((0, Window(1, 0, 4096, 3)),)
    assert (image.entry, image.frame, image.name, image.has_labels) == (0, 15, "demo", False)


def test_memory_covers_the_data_in_whole_leaves() -> None:
    image = assemble("halt\n.data\n.space 4097\n.byte 0, 0")
    assert image.segments[1] == Segment(1, 0, 8192, b"")
    assert assemble("halt\n.memory 100\n.data\n.byte 1").windows == ((0, Window(1, 0, 100, 3)),)
    assert assemble("halt\n.memory 0").windows == ()


def test_header_directives() -> None:
    image = assemble(
        ".entry start\n.frame 3\n.labels\n.name \"a b\"\n.window 2, 0, 0, 4, READ\nnop\nstart: halt\n"
        ".segment 7, 0x100, 32\nlabel: .word label\n.window 0, 7, 0x100, 32, READ"
    )  # fmt: skip
    assert (image.entry, image.frame, image.has_labels, image.name) == (1, 3, True, "a b")
    assert image.windows == ((2, Window(0, 0, 4, 1)), (0, Window(7, 0x100, 32, 1)))
    assert image.segments[2] == Segment(7, 0x100, 32, bytes([0, 1, 0, 0]))


def test_function_table_stands_aligned_behind_the_code() -> None:
    image = assemble("halt\n.function f\n.function f, 9\n.func f, 2\nret")
    assert (image.table_base, image.table_entries, image.code_length) == (4, 2, 12)
    assert image.code == bytes.fromhex("02030000 01000002 01000009".replace(" ", ""))


# ---- for people and debuggers ----------------------------------------------------------------------------------------


def test_every_instruction_knows_its_source_line() -> None:
    source = "k1\n.macro two\nk2\nk4\n.endm\n\ntwo\nlast: lit 1 << 20; halt"
    assembly = assemble_with_listing(source, "a.vasm")
    assert {pc: span.line for pc, span in assembly.code_lines.items()} == {0: 1, 1: 3, 2: 4, 3: 8, 8: 8}
    assert [span.outermost.line for span in assembly.code_lines.values()] == [1, 7, 7, 8, 8]
    assert assembly.location(5) == ("a.vasm", 8)
    assert assembly.location(99) is None


def test_listing_shows_addresses_bytes_source_and_symbols() -> None:
    text = listing(assemble_with_listing("start: li l0, 7\nhalt\n.data\nbuffer: .space 20\nb: .byte 1", "a.vasm"))
    assert "00000000  6e 70 00                     1  start: li l0, 7" in text
    assert "00000014  01 " in text
    assert text.endswith("symbols\n00000000  .data    buffer\n00000000  .code    start\n00000014  .data    b\n")
