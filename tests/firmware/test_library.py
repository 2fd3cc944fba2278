"""Every function of the run-time library against Python, over drawn arguments."""

from __future__ import annotations

import math
import zlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vac.assembler.assemble import assemble
from vac.golden.model import GoldenMachine
from vac.host.session import Host
from vac.image.verifier import verify
from vac.isa.traps import Trap

from .library_call import FIRMWARE, MEMORY_BASE, Called, call

CELL = (1 << 32) - 1
LONG = (1 << 64) - 1
_EDGES = [0, 1, 2, 9, 10, 0x7FFFFFFF, 0x80000000, CELL - 1, CELL]
cells = st.sampled_from(_EDGES) | st.integers(0, CELL)
longs = st.builds(lambda low, high: low | high << 32, cells, cells)
texts = st.binary(max_size=40).map(lambda text: text.replace(b"\0", b"."))


def halves(value: int) -> tuple[int, int]:
    return value & CELL, value >> 32


def whole(low: int, high: int) -> int:
    return low | high << 32


# ---- arithmetic ------------------------------------------------------------------------------------------------------


@given(cells)
def test_divmod10(n: int) -> None:
    assert call("divmod10", n, results=2).results == divmod(n, 10)


@given(longs, longs)
def test_add64(a: int, b: int) -> None:
    assert whole(*call("add64", *halves(a), *halves(b), results=2).results) == a + b & LONG


@given(longs, longs)
def test_subtract64(a: int, b: int) -> None:
    assert whole(*call("subtract64", *halves(a), *halves(b), results=2).results) == a - b & LONG


@given(cells, cells)
def test_multiply_wide(a: int, b: int) -> None:
    assert whole(*call("multiply_wide", a, b, results=2).results) == a * b


@given(longs, longs)
def test_multiply64(a: int, b: int) -> None:
    assert whole(*call("multiply64", *halves(a), *halves(b), results=2).results) == a * b & LONG


@given(longs, cells.filter(bool))
def test_divide64_short(n: int, divisor: int) -> None:
    low, high, rest = call("divide64_short", *halves(n), divisor, results=3).results
    assert (whole(low, high), rest) == divmod(n, divisor)


@given(longs, longs.filter(bool))
def test_divide64(n: int, divisor: int) -> None:
    q_low, q_high, r_low, r_high = call("divide64", *halves(n), *halves(divisor), results=4).results
    assert (whole(q_low, q_high), whole(r_low, r_high)) == divmod(n, divisor)


@given(cells | cells.map(lambda root: (root >> 16) ** 2) | cells.map(lambda root: max(0, (root >> 16) ** 2 - 1)))
def test_square_root(n: int) -> None:
    assert call("square_root", n, results=1).results == (math.isqrt(n),)


@pytest.mark.parametrize("source", ["k1; k0; k0; invoke divide64_short", "k1; k0; k0; k0; invoke divide64"])
def test_division_by_zero_traps_as_the_instruction_does(source: str) -> None:
    machine = GoldenMachine()
    Host(machine, assemble(f'{source}; halt\n.include "library/arithmetic.vasm"', str(FIRMWARE / "t.vasm"))).run(1000)
    assert machine.state().trap is Trap.DIVISION_BY_ZERO


# ---- memory ----------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=200, max_size=200), st.integers(0, 99), st.integers(0, 99), st.integers(0, 100))
def test_memory_copy(memory: bytes, target: int, source: int, count: int) -> None:
    expected = bytearray(memory)
    expected[target : target + count] = memory[source : source + count]
    after = call("memory_copy", MEMORY_BASE + target, MEMORY_BASE + source, count, memory=memory).memory
    assert after[: len(memory)] == expected
    assert not any(after[len(memory) :])


@given(st.binary(min_size=80, max_size=80), st.integers(0, 39), st.integers(0, 0xFFF), st.integers(0, 40))
def test_memory_fill(memory: bytes, target: int, byte: int, count: int) -> None:
    expected = memory[:target] + bytes([byte & 0xFF]) * count + memory[target + count :]
    assert call("memory_fill", MEMORY_BASE + target, byte, count, memory=memory).memory[:80] == expected


@given(texts, texts, st.integers(0, 40))
def test_memory_compare(a: bytes, b: bytes, common: int) -> None:
    a, b = b"\xff" * common + a, b"\xff" * common + b
    count = min(len(a), len(b))
    order = call("memory_compare", MEMORY_BASE, MEMORY_BASE + len(a), count, memory=a + b, results=1).results[0]
    assert order == ((a[:count] > b[:count]) - (a[:count] < b[:count])) & CELL


@given(texts)
def test_string_length(text: bytes) -> None:
    assert call("string_length", MEMORY_BASE, memory=text, results=1).results == (len(text),)


@given(texts, texts)
def test_crc32_goes_on_where_it_was(first: bytes, second: bytes) -> None:
    before = call("crc32", 0, MEMORY_BASE, len(first), memory=first, results=1).results[0]
    assert before == zlib.crc32(first)
    crc = call("crc32", before, MEMORY_BASE, len(second), memory=second, results=1).results[0]
    assert crc == zlib.crc32(first + second)


# ---- printing --------------------------------------------------------------------------------------------------------


@given(cells)
def test_print_decimal(n: int) -> None:
    assert call("print_decimal", n).output == b"%d" % n


@given(cells | st.integers(0, 999), st.integers(0, 20))
def test_print_decimal_wide(n: int, width: int) -> None:
    assert call("print_decimal_wide", n, width).output == b"%*d" % (width, n)


@given(cells)
def test_count_digits(n: int) -> None:
    assert call("count_digits", n, results=1).results == (len(str(n)),)


@given(cells, st.integers(1, 10))
def test_print_digits(n: int, count: int) -> None:
    assert call("print_digits", n, count).output == b"%0*d" % (count, n % 10**count)


@given(cells)
def test_print_signed(n: int) -> None:
    assert call("print_signed", n).output == b"%d" % (n - (n >> 31 << 32))


@given(cells, st.integers(1, 8))
def test_print_hex(n: int, digits: int) -> None:
    assert call("print_hex", n, digits).output == b"%0*x" % (digits, n & (1 << 4 * digits) - 1)


@given(longs | st.integers(0, 64).map(lambda bits: (1 << bits) - 1) | st.integers(0, 19).map(lambda tens: 10**tens))
def test_print_decimal64(n: int) -> None:
    assert call("print_decimal64", *halves(n)).output == b"%d" % n


@given(texts)
def test_print_string(text: bytes) -> None:
    assert call("print_string", MEMORY_BASE, memory=text).output == text


def test_print_newline() -> None:
    assert call("print_newline").output == b"\n"


# ---- input -----------------------------------------------------------------------------------------------------------


@given(
    texts.map(lambda text: text.translate(None, b"\r\n")), st.integers(0, 50), st.sampled_from([b"\n", b"\r\n", b""])
)
def test_read_line(text: bytes, room: int, end: bytes) -> None:
    typed = text + end
    assume(typed)
    called = call("read_line", MEMORY_BASE, room, typed=typed + b"rest" * bool(end), results=1)
    assert called.results == (min(len(text), room),)
    assert called.memory[: room + 10] == text[:room].ljust(room + 10, b"\0")


def test_read_line_at_the_end_of_the_input() -> None:
    assert call("read_line", MEMORY_BASE, 80, results=1).results == (CELL,)


@given(st.integers(0, CELL), texts)
def test_parse_decimal(n: int, behind: bytes) -> None:
    assume(not behind[:1].isdigit())
    text = b"%d" % n
    assert call("parse_decimal", MEMORY_BASE, len(text + behind), memory=text + behind, results=2).results == (
        n,
        len(text),
    )
    assert call("parse_decimal", MEMORY_BASE, len(behind), memory=behind, results=2).results == (0, 0)


@given(cells, st.booleans(), st.binary(max_size=3))
def test_parse_hex(n: int, is_upper: bool, behind: bytes) -> None:
    assume(behind[:1] not in [b"%c" % digit for digit in b"0123456789abcdefABCDEF"])
    text = (b"%X" if is_upper else b"%x") % n
    assert call("parse_hex", MEMORY_BASE, len(text + behind), memory=text + behind, results=2).results == (n, len(text))
    assert call("parse_hex", MEMORY_BASE, len(behind), memory=behind, results=2).results == (0, 0)


# ---- all -------------------------------------------------------------------------------------------------------------

CALLS: list[tuple[str, tuple[int, ...], int]] = [
    ("divmod10", (CELL,), 2),
    ("divide64", (1, CELL, 3, 7), 4),
    ("square_root", (1 << 31,), 1),
    ("memory_copy", (MEMORY_BASE + 3, MEMORY_BASE, 50), 0),
    ("memory_fill", (MEMORY_BASE, 0x77, 30), 0),
    ("memory_compare", (MEMORY_BASE, MEMORY_BASE + 1, 9), 1),
    ("crc32", (0, MEMORY_BASE, 20), 1),
    ("print_decimal64", (5, 6), 0),
    ("print_hex", (0xC0FFEE, 8), 0),
    ("read_line", (MEMORY_BASE, 20), 1),
    ("parse_hex", (MEMORY_BASE, 4), 2),
]


@pytest.mark.parametrize("engine", ["golden", pytest.param("rtl", marks=pytest.mark.rtl)])
@pytest.mark.parametrize(("function", "arguments", "results"), CALLS, ids=[row[0] for row in CALLS])
def test_every_engine_computes_the_same(function: str, arguments: tuple[int, ...], results: int, engine: str) -> None:
    def on(name: str) -> Called:
        return call(function, *arguments, results=results, memory=b"c0de" * 20, typed=b"line\n", engine=name)

    assert on(engine) == on("fast")


def test_every_function_is_verified_and_has_a_test() -> None:
    """The stack depth of each is known; and none is added without a test."""
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    for path in sorted((FIRMWARE / "library").glob("*.vasm")):
        for line in path.read_text().splitlines():
            if not line.startswith(".func"):
                continue
            name = line.split()[1]
            inputs = line.partition("(")[2].partition("--")[0].split()
            arithmetic = "" if path.stem == "arithmetic" else '.include "library/arithmetic.vasm"\n'
            text = f'{"k1; " * len(inputs)}invoke {name}; halt\n{arithmetic}.include "library/{path.name}"\n'
            verdict = verify(assemble(text, str(FIRMWARE / "t.vasm")))
            assert verdict.is_verified, (name, verdict.reasons)
            assert any(test.startswith(name) for test in tested), name
