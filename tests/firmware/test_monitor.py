"""The boot monitor at its console: every command, bad input, and programs that it loads, on every engine."""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.assembler.assemble import assemble, assemble_file
from vac.image.image import Image
from vac.link.monitor_script import (
    MEMORY_BYTES,
    MEMORY_SLOT,
    PROGRAM_BYTES,
    PROGRAM_POINTER,
    UnfitProgram,
    monitor_script,
)
from vac_sim.main import main

from .runs import FIRMWARE, Ran, run_image

ENGINES = ["golden", "fast", pytest.param("rtl", marks=pytest.mark.rtl)]
GREETING = b"VAC monitor 1; h lists the commands\n"
REAL_INPUT = Path(__file__).read_bytes()[:1000]
RETURNING = """
        .memory 4096
        .frame 2
        jmp     start
        .func square, 1
        set0
        get0
        get0
        mul
        ret
        .endfunc
start:  lit     12
        invoke  square
        st32a   s, 64           # beside what came with the image
        ld32a   s, 60
        ld32a   s, 64
        ret
        .entry  start
        .data
        .space  60
        .word   0x5ca1ab1e
"""


@cache
def monitor() -> Image:
    return assemble_file(FIRMWARE / "monitor" / "monitor.vasm")


def type_at(typed: bytes, engine: str = "fast") -> Ran:
    return run_image(monitor(), typed, engine)


def answers(typed: bytes, engine: str = "fast") -> bytes:
    """What the monitor says between its first prompt and the end, without the prompts."""
    output = type_at(typed, engine).output
    assert output.startswith(GREETING + b"> ")
    return output.removeprefix(GREETING).replace(b"> ", b"")


def test_the_script_knows_the_monitor_as_it_is() -> None:
    windows = dict(monitor().windows)
    assert (windows[0].slot, windows[0].base, windows[0].length) == (MEMORY_SLOT, 0, MEMORY_BYTES)
    assert (windows[1].slot, windows[1].length, PROGRAM_POINTER) == (0, PROGRAM_BYTES, 1 << 28)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (b"w 0 48 65 6c 6C 6f\nd 0 5", b"done\n00000000  48 65 6c 6c 6f  Hello\n"),
        (b"w 0 41\nc 0 1", b"done\n%08x\n" % zlib.crc32(b"A")),
        (b"f 100 20 5a\nd 11e 4", b"done\n0000011e  5a 5a 00 00  ZZ..\n"),
        (b"d 0 0", b""),
        (b"  \n\r\n\nq", b"? unknown command; h lists them\nbye\n"),
        (b"w 10000000 27 28 03\ng\ng 1", b"done\n00000001 left on the stack\n00000000 left on the stack\n3 ticks\n"
         b"00000001 left on the stack\n2 ticks\n"),
        (b"w 10000000 2\nw 10000000", b"done\ndone\n"),
        (b"l 20 3 %x\nabcd 20 3" % zlib.crc32(b"abc"), b"loaded\n00000020  61 62 63  abc\n"),
        (b"l 20 3 0\nabcd 20 3", b"? the bytes came with another CRC; load again\n00000020  61 62 63  abc\n"),
        (b"l 0 10 0\nabc", b"? the input ended\n"),
    ],
)  # fmt: skip
def test_commands(typed: bytes, answer: bytes) -> None:
    assert answers(typed + b"\n" if not typed.endswith(b"abc") else typed) == answer


BAD_NUMBERS = """d|d 0|d x 1|d 0 1 2|d 0 1x|d 000000001 1|c 0|f 0 1|f 0 1 100|w|w x|w 0 100|w 0 1 x|l 0 1|l 0 1 2 3|g x
g 4000|g 0 80|g 0 1 2"""


@pytest.mark.parametrize("command", BAD_NUMBERS.replace("\n", "|").split("|"))
def test_bad_numbers(command: str) -> None:
    assert answers(command.encode() + b"\n") == b"? hexadecimal numbers are expected as h says\n"


@pytest.mark.parametrize("command", ["d fffe 3", "d 10000 1", "d 10000 0ffffffff", "d 20000000 1", "d e0000000 4",
                                     "d f0000000 4", "c 10004000 1", "c ffff 2", "f 0 10001 0", "w ffffffff 0",
                                     "w 10003fff 1 2", "d 0fffffff 10", "f 10003fff 2 0"])  # fmt: skip
def test_memory_outside_the_program_is_refused(command: str) -> None:
    typed = command.replace("0ffffffff", "ffffffff")
    assert answers(typed.encode() + b"\n").endswith(b"? outside the program's memory\n")


def test_bytes_for_outside_are_read_and_dropped() -> None:
    content = b"d 0 1\n" * 1000
    typed = b"l fff0 %x 0\n%bd 0 1\n" % (len(content), content)
    assert answers(typed) == b"? outside the program's memory\n00000000  00  .\n"


@given(st.binary(max_size=300))
def test_no_input_breaks_it(typed: bytes) -> None:
    """Whatever is typed, the monitor comes to the end of it. It cannot start a program: none was loaded."""
    type_at(typed.replace(b"g", b"G").replace(b"w", b"W").replace(b"l", b"L"))


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60), st.integers(0, MEMORY_BYTES - 60))
def test_what_was_loaded_is_there(content: list[int], pointer: int) -> None:
    data = bytes(content)
    typed = b"l %x %x %x\n%bc %x %x\n" % (pointer, len(data), zlib.crc32(data), data, pointer, len(data))
    assert answers(typed) == b"loaded\n%08x\n" % zlib.crc32(data)


def test_registers() -> None:
    shown = answers(b"r\n").decode().splitlines()
    assert [line.split()[0] for line in shown] == ["tick", "sqi", "last", "label", "instruction"]
    tick = int(shown[0].split()[1])
    assert len(GREETING) < tick < type_at(b"r\n").state.tick
    assert all(0 <= int(part.split()[-1]) <= 65535 for part in shown[1].split(","))
    assert shown[4] == "instruction set 1"


def test_help_names_every_command() -> None:
    shown = answers(b"h\n").decode()
    assert [line[0] for line in shown.splitlines()[:-1]] == list("lwdcfgrq")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_returning_program_is_loaded_run_and_inspected(engine: str) -> None:
    program = assemble(RETURNING, "returning.vasm")
    typed = monitor_script(program) + b"d 38 c\ng %x 2\nr\nq\n" % program.entry
    ran = type_at(typed, engine)
    text = ran.output.replace(b"> ", b"").removeprefix(GREETING)
    once = b"00000090 left on the stack\n5ca1ab1e left on the stack\n11 ticks\n"
    dump = b"00000038  00 00 00 00 1e ab a1 5c 90 00 00 00  .......\\....\n"
    assert text.startswith(b"loaded\nloaded\ndone\n" + once + dump + once + b"tick ")
    assert text.endswith(b"bye\n")
    assert not ran.state.differences(type_at(typed).state)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_crc_demo_runs_below_the_monitor(engine: str) -> None:
    program = assemble_file(FIRMWARE / "demos" / "crc32_file.vasm")
    ran = type_at(monitor_script(program) + REAL_INPUT, engine)
    assert ran.output.endswith(b"> %08x\n" % zlib.crc32(REAL_INPUT))


@pytest.mark.rtl
@pytest.mark.slow
def test_make_sim_runs_it_in_lockstep(tmp_path: Path) -> None:
    """It writes the code that it then runs; here under evictions, back-pressure and delays, too."""
    (tmp_path / "typed").write_bytes(monitor_script(assemble_file(FIRMWARE / "demos" / "primes.vasm")))
    monitor_source = str(FIRMWARE / "monitor" / "monitor.vasm")
    arguments = ["--program", monitor_source, "--input", str(tmp_path / "typed"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--seed", "5"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["lockstep"] == "equal"
    assert report["output"].endswith("303 primes below 2000\n")


def test_every_demo_without_input_runs_below_the_monitor() -> None:
    for name in ("primes", "mandelbrot", "pi_digits"):
        program = assemble_file(FIRMWARE / "demos" / f"{name}.vasm")
        assert type_at(monitor_script(program)).output.endswith(run_image(program).output)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (".labels\nhalt", "labels"),
        ("halt\nf: ret\n.function f, 0", "function table"),
        (f"halt\n.space {PROGRAM_BYTES}", "16385 bytes of code"),
        (".frame 128\nhalt", "128 locals"),
        (".memory 65537\nhalt", "window 0"),
        (".window 3, 1, 0, 4, READ\nhalt", "window 3"),
        ("halt\n.segment 7, 0\n.byte 1", "slot 7"),
    ],
)
def test_programs_that_do_not_fit_are_refused(source: str, reason: str) -> None:
    with pytest.raises(UnfitProgram, match=reason):
        monitor_script(assemble(source, "unfit.vasm"))
