"""Wrong source: every error says what, where, with the line and a caret; nothing else ever comes out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.assembler.assemble import assemble, assemble_file
from vac.assembler.diagnostics import AssemblyErrors
from vac.assembler.directives import DIRECTIVES
from vac.assembler.generic import GENERIC
from vac.isa.table import BY_MNEMONIC


def errors_of(source: str) -> AssemblyErrors:
    with pytest.raises(AssemblyErrors) as caught:
        assemble(source, "a.vasm")
    return caught.value


CASES = {
    # Source, line and column of the error, part of its message.
    "unknown instruction": ("k1\n  addd", 2, 3, "unknown instruction 'addd'; did you mean 'add'"),
    "unknown directive": (".wrd 1", 1, 1, "unknown directive .wrd"),
    "undefined name": ("lit 1 + nothing", 1, 9, "'nothing' is not defined"),
    "duplicate label": ("a: nop\na: nop", 2, 1, "'a' is already defined"),
    "reserved label": ("l3: nop", 1, 1, "name of an operand"),
    "predefined constant": (".const SCORE = 1\nhalt", 1, 8, "predefined"),
    "circular constant": (".const A = B\n.const B = A\nlit A", 2, 12, "defined by itself"),
    "missing operand": ("add3 s, l1", 1, 1, "add3 takes d, a, b; 2 are given"),
    "no operand": ("jmp", 1, 1, "jmp takes target; none is given"),
    "too many operands": ("add3 s, l1, l2, l3", 1, 15, "the statement should end here"),
    "operand of a plain instruction": ("ret 5", 1, 5, "ret takes no operands"),
    "number for a local": ("add3 s, 1, l2", 1, 9, "an operand is expected here"),
    "fifteenth local": ("li l15, 0", 1, 4, "an operand is expected here"),
    "literal too wide": ("li l0, 2048", 1, 8, "2048 is out of range -2048 to 2047; use let"),
    "short literal": ("lit8 128", 1, 6, "out of range -128 to 127; use lit"),
    "cell too wide": ("lit 1 << 32", 1, 5, "4294967296 is out of range"),
    "unaligned displacement": ("ld32o s, l0, 6", 1, 14, "no multiple of the access size, 4"),
    "displacement too far": ("ld8uo s, l0, 256", 1, 14, "out of range 0 to 255"),
    "negative displacement": ("ld32a s, -4", 1, 10, "out of range 0 to"),
    "pointer on the stack": ("ld32p s, s", 1, 10, "needs a local as its pointer"),
    "unknown register": ("rd 13", 1, 4, "rd 13 does not exist; 0 to 12 do"),
    "unknown system call": ("sys 7", 1, 5, "sys 7 does not exist"),
    "unknown window": ("wlen s, w16", 1, 9, "out of range 0 to 15"),
    "branch too far": ("beq s, s, on\n.space 200\non: halt", 1, 11, "8 bits reach -128 to +127; use beqw"),
    "short branch too far": ("bzs on\n.space 200\non: halt", 1, 5, "use bz"),
    "jump too far": ("jmps on\n.space 200\non: halt", 1, 6, "use jmp or jmpf or goto"),
    "call too far": ("call on, 1\n.space 40000\non: halt", 1, 6, "use callf or invoke"),
    "no longer branch": ("djnz l0, on\n.space 3000\non: halt", 1, 10, "branch around a jmpf"),
    "branch to data": ("goto text\n.data\ntext: .byte 1", 1, 6, "'text' is data, not code"),
    "unknown frame": ("call f\nf: ret", 1, 6, "declare the function with .func"),
    "frame too small": ("halt\n.func f, 1\nli l1, 0\nret", 2, 10, "'f' has a frame of 1 locals, but names 2"),
    "frame too great": ("call f, 256\nf: ret", 1, 9, "out of range 0 to 255"),
    "local twice": (".local a, a", 1, 11, "already declared"),
    "sixteenth local": (".local " + ", ".join(f"v{i}" for i in range(16)) + "\nli v15, 0", 2, 4, "reach locals 0 to"),
    "local in an expression": (".local a\nlit a", 2, 5, "'a' is a local; a number is wanted"),
    "unclosed string": ('.ascii "abc', 1, 8, "does not end"),
    "unknown escape": (r'.ascii "a\q"', 1, 8, "unknown escape"),
    "two characters": ("lit 'ab'", 1, 5, "does not end properly"),
    "bad number": ("lit 0x12G", 1, 5, "is no number"),
    "decimal with leading zero": ("lit 012", 1, 5, "is no number"),
    "bad character": ("lit 1 ? 2", 1, 7, "unexpected character '?'; comments start with #"),
    "missing bracket": ("lit (1 + 2", 1, 11, "')' is expected here"),
    "missing operand of an operator": ("lit 1 +", 1, 8, "an expression is expected here"),
    "division by zero": ("lit 1 / (2 - 2)", 1, 5, "division by zero"),
    "negative shift": ("lit 1 << -1", 1, 5, "shift by -1"),
    "byte too great": ("halt\n.data\n.byte 1, 256", 3, 10, "256 is out of range -128 to 255"),
    "negative space": ("halt\n.data\n.space -1", 3, 8, "0 to 268435456 are possible"),
    "space of unknown size": ("halt\n.space later\nlater:", 2, 8, "not known yet"),
    "odd alignment": ("halt\n.align 3", 2, 8, "a power of two"),
    "instruction in data": (".data\nnop", 2, 1, "an instruction in the .data section"),
    "function in data": (".data\n.func f", 2, 1, "a function in the .data section"),
    "no instructions": ("\n.data\n.byte 1", 1, 1, "there are no instructions"),
    "memory too small": ("halt\n.memory 2\n.data\n.space 3", 2, 9, "already holds 3"),
    "impossible window": ("halt\n.window 1, 0, 2, 4, 1", 2, 1, "impossible window"),
    "window too far": ("halt\n.window 16, 0, 0, 4, 1", 1, 1, "window 16 does not exist"),
    "window twice": ("halt\n.window 1, 0, 0, 4, 1\n.window 1, 0, 0, 4, 1", 3, 1, "window 1 is given twice"),
    "entry outside": (".entry 9\nhalt", 1, 1, "entry point 0x9 is outside"),
    "entry twice": (".entry 0\n.entry 0\nhalt", 2, 1, ".entry is given twice"),
    "segment over code": ("halt\n.segment 0, 0", 2, 10, "laid out from .code"),
    "macro without end": (".macro m\nnop", 1, 1, ".macro without .endm"),
    "end without macro": ("nop\n.endm", 2, 1, ".endm without its beginning"),
    "macro called as an instruction": (".macro add\n.endm", 1, 8, "is an instruction"),
    "macro twice": (".macro m\n.endm\n.macro m\n.endm", 3, 8, "already defined"),
    "macro arguments": (".macro m a, b\n.endm\nm 1", 3, 1, "macro m takes a, b; 1 given"),
    "endless macro": (".macro m\nm\n.endm\nm", 2, 1, "more than 32 levels deep"),
    "condition on a label": ("a: nop\n.if a\n.endif", 2, 5, "not known yet"),
    "negative repeat": (".repeat -1\n.endr", 1, 9, "negative"),
    "endless repeat": (".repeat 1 << 40\nnop\n.endr", 1, 9, "more than"),
    "assertion": ('halt\n.assert 1 == 2, "sizes differ"', 2, 9, "sizes differ"),
    "missing include": ('.include "no such file"', 1, 10, "there is no file"),
    "deep expression": ("lit " + "(" * 500, 1, 45, "nests deeper"),
    "deep constants": (
        "\n".join(f".const C{i} = C{i + 1}" for i in range(5000)) + "\n.const C5000 = 1\nlit C0",
        5002, 5, "nests too deeply",
    ),
    "layout in a circle": ("a: .space b - a\nb: .space 4 - (b - a)\nhalt", 1, 11, "not known yet"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_error_has_place_and_reason(name: str) -> None:
    source, line, column, message = CASES[name]
    (diagnostic, *_) = errors_of(source).diagnostics
    assert message in diagnostic.message
    if message:
        assert (diagnostic.span.line, diagnostic.span.column) == (line, column)


def test_the_caret_stands_below_the_fault_and_tabs_stay() -> None:
    text = str(errors_of("nop\n\tli l0, 1 << 20 # too wide"))
    assert text == (
        "a.vasm:2:9: error: 1048576 is out of range -2048 to 2047; use let, which picks the shortest instruction that"
        " fits\n    \tli l0, 1 << 20 # too wide\n    \t       ^~~~~~~\n1 error"
    )


def test_several_errors_in_one_run_from_top_to_bottom() -> None:
    found = errors_of("lit nothing\nfoo\nbeq s, s, far\nret 1\n.space 300\nfar: .byte 'ab'\nli l0, 9999").diagnostics
    assert [diagnostic.span.line for diagnostic in found] == [2, 3, 4, 6, 7]
    assert [diagnostic.span.line for diagnostic in errors_of("lit nothing\nlit none").diagnostics] == [1, 2]


def test_macro_and_include_chains_are_shown(tmp_path: Path) -> None:
    (tmp_path / "main.vasm").write_text('halt\n.include "library.vasm"\nouter l3\n')
    (tmp_path / "library.vasm").write_text(
        ".macro inner x\nadd3 x, x, 7\n.endm\n.macro outer y\ninner y\n.endm\nbogus\n"
    )
    with pytest.raises(AssemblyErrors) as caught:
        assemble_file(tmp_path / "main.vasm")
    main, library = tmp_path / "main.vasm", tmp_path / "library.vasm"
    text = str(caught.value)
    assert f"{library}:7:1: error: unknown instruction 'bogus'" in text
    assert f"{main}:2:10: included from here" in text
    at = text.index(f"{library}:2:12: error: an operand is expected here")
    inner = text.index(f"{library}:5:1: in macro inner used here")
    outer = text.index(f"{main}:3:1: in macro outer used here")
    assert at < inner < outer


def test_an_earlier_definition_is_shown() -> None:
    assert "a.vasm:1:1: note: first defined here\n    a: nop\n    ^" in str(errors_of("a: nop\na: halt"))


def test_a_file_that_includes_itself_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "a.vasm").write_text('nop\n.include "a.vasm"\n')
    with pytest.raises(AssemblyErrors, match="more than 32 levels deep"):
        assemble_file(tmp_path / "a.vasm")


def test_a_binary_file_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"\xff\xfe")
    (tmp_path / "a.vasm").write_text('.include "blob"\n.include "."\nhalt')
    with pytest.raises(AssemblyErrors, match="cannot read"):
        assemble_file(tmp_path / "a.vasm")


_WORDS = st.sampled_from(
    [*BY_MNEMONIC, *GENERIC, *DIRECTIVES, ".macro", ".endm", ".repeat", ".endr", ".if", ".else", ".endif", ".assert",
     "s", "l0", "l14", "w3", "@x", "name", "$", "SCORE", "0", "-1", "70000", "1 << 31", '"text"', "'c'", ",", ",", ",",
     ":", "(", ")", "+", "/", "=", ";", "\n", "\n", "#"]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=40).map(" ".join) | st.text(max_size=60))
def test_any_text_assembles_or_is_refused_with_diagnostics(source: str) -> None:
    try:
        assemble(source)
    except AssemblyErrors as errors:
        assert errors.diagnostics
        assert str(errors).count("^") >= len(errors.diagnostics)


def test_a_flood_of_errors_is_cut() -> None:
    errors = errors_of("lit nothing\n" * 60)
    assert len(errors.diagnostics) == 60
    assert str(errors).count("is not defined") == 50
    assert str(errors).endswith("60 errors; the first 50 are shown")
