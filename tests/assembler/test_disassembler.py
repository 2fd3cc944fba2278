"""Disassembling and assembling again gives the same image."""

from hypothesis import example, given
from hypothesis import strategies as st

from vac.assembler.assemble import assemble
from vac.assembler.disassembler import disassemble
from vac.image.decode import decode
from vac.image.image import Image, Segment, Window
from vac.isa.encoding import FieldKind
from vac.isa.limits import WINDOWS
from vac.isa.table import INSTRUCTIONS


@st.composite
def instruction_words(draw: st.DrawFn) -> bytes:
    """The bytes of one legal instruction, corner values of its fields included."""
    row = draw(st.sampled_from(INSTRUCTIONS))
    word = row.opcode
    for field in row.fields:
        if field.kind is FieldKind.SUBOPERATION:
            assert row.suboperation is not None
            value = row.suboperation
        else:
            value = draw(st.integers(field.minimum, field.maximum) | st.sampled_from([field.minimum, field.maximum]))
        word |= field.insert(value)
    return word.to_bytes(row.length, "little")


def code_bytes() -> st.SearchStrategy[bytes]:
    """Legal instructions with bytes between them that are none."""
    return st.lists(instruction_words() | st.binary(max_size=6), min_size=1, max_size=30).map(b"".join)


def data_bytes() -> st.SearchStrategy[bytes]:
    """Data with text, runs of zeros and everything that needs care in quotes."""
    text = st.text(alphabet="ab \"\\\n'#;", max_size=100).map(str.encode)
    zeros = st.integers(0, 200).map(bytes)
    return st.lists(st.binary(max_size=40) | text | zeros, max_size=5).map(b"".join)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    base = draw(st.integers(0, (1 << 30) - 1)) * 4
    length = draw(st.integers(0, min(1 << 28, (1 << 32) - base)))
    return Window(draw(st.integers(0, 255)), base, length, draw(st.integers(0, 3)))


@st.composite
def segments(draw: st.DrawFn, slots: st.SearchStrategy[int]) -> Segment:
    data = draw(code_bytes() | data_bytes())
    offset = draw(st.integers(0, 64) | st.integers(0, 1 << 31))
    return Segment(draw(slots), offset, len(data) + draw(st.integers(0, 5000)), data)


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Any image that `Image.check` lets pass: segments may overlap, windows may repeat."""
    code = draw(code_bytes())
    code_length = max(1, len(code) + draw(st.integers(-3, 20)))
    entries = draw(st.integers(0, min(4, code_length // 4)))
    base = draw(st.integers(0, (code_length - 4 * entries) // 4)) * 4 if entries else 0
    more = draw(st.lists(segments(st.integers(0, 2) | st.integers(0, 255)), max_size=4))
    image = Image(
        entry=draw(st.integers(0, code_length - 1)),
        frame=draw(st.integers(0, 192)),
        code_length=code_length,
        segments=(Segment(0, 0, len(code), code), *more),
        windows=tuple(draw(st.lists(st.tuples(st.integers(0, WINDOWS - 1), windows()), max_size=4))),
        table_base=base,
        table_entries=entries,
        has_labels=draw(st.booleans()),
        name=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
    )
    image.check()
    return image


@given(images())
@example(Image(0, 15, 1, (Segment(0, 0, 1, b"\x02"),), name='a "quoted\\ \x85\u2028\n name ⊗'))
@example(Image(3, 0, 8, (Segment(0, 0, 8, bytes.fromhex("6eab0062ff01ff02")),), ((0, Window(0, 0, 8, 1)),)))
def test_disassembled_image_assembles_to_itself(image: Image) -> None:
    assert assemble(disassemble(image)).to_bytes() == image.to_bytes()


@given(instruction_words(), st.integers(0, (1 << 24) - 6))
def test_text_of_a_legal_instruction_assembles_to_its_bytes(word: bytes, pc: int) -> None:
    instruction = decode(word, 0, pc)
    if instruction is None:  # a number or pointer that makes the word illegal
        return
    length = pc + len(word)
    source = f".image {length}, 0, 0\n.segment 0, {pc}\n{instruction.text()}"
    assert assemble(source).segments[0].data == word


def test_bytes_that_are_no_instruction_are_kept_as_data() -> None:
    code = bytes([0x01, 0x00, 0x47, 99, 0x58, 0xFF, 0xE0, 0x02])
    image = Image(0, 0, len(code), (Segment(0, 0, len(code), code),))
    text = disassemble(image)
    assert ".byte 0x00" in text and "rd 99" not in text and "ld32p s" not in text
    assert assemble(text) == image


def test_reached_instructions_win_over_a_linear_reading() -> None:
    image = assemble("goto on\n.byte 0x81\non: li l0, 1; halt")
    text = disassemble(image)
    assert ".byte 0x81" in text
    assert "li l0, 1" in text


def test_branches_are_shown_with_labels() -> None:
    text = disassemble(assemble("again: djnz l0, again\ncall f, 2; halt\nf: ret"))
    assert "djnz l0, entry" in text
    assert "call f_000008, 2" in text
    assert "f_000008:" in text
