"""The demos' exact output against Python, on golden, the fast engine and the RTL; and `make sim` runs each."""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.assembler.assemble import assemble_file
from vac.image.verifier import verify
from vac_sim.main import main

from .runs import FIRMWARE, Ran, run_firmware

ENGINES = ["golden", "fast", pytest.param("rtl", marks=pytest.mark.rtl)]
DEMOS = sorted(path.name for path in (FIRMWARE / "demos").glob("*.vasm"))
REAL_TEXT = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_bytes()[:2000]


def primes() -> bytes:
    found = [n for n in range(2, 2000) if all(n % divisor for divisor in range(2, int(n**0.5) + 1))]
    lines = [found[at : at + 10] for at in range(0, len(found), 10)]
    return b"".join(b"".join(b"%6d" % n for n in line) + b"\n" for line in lines) + b"%d primes below 2000\n" % len(
        found
    )


def mandelbrot() -> bytes:
    """The same points in the same number format; Python's integers do not overflow."""
    shades, one, most = "@%%##**++==---:::......   ", 1 << 26, 24
    top, text = one + one // 8, ""
    y = top
    for _ in range(24):
        x = -2 * one - one // 8
        for _ in range(64):
            left, real, imaginary = most, x, y
            while left:
                a, b = real * real >> 26, imaginary * imaginary >> 26
                if a + b >= 4 * one:
                    break
                real, imaginary = a - b + x, 2 * (real * imaginary >> 26) + y
                left -= 1
            text += shades[left]
            x += 44 * one // 1024
        text += "\n"
        y -= 2 * top // 23
    return text.encode()


def pi_digits() -> bytes:
    """By Machin's formula."""
    unit = 10**220

    def arctangent(inverse: int) -> int:
        total, power, odd = 0, unit // inverse, 1
        while power:
            total += power // odd if odd % 4 == 1 else -(power // odd)
            power, odd = power // inverse**2, odd + 2
        return total

    digits = str(4 * (4 * arctangent(5) - arctangent(239)))[:204]
    return "".join(digits[at : at + 40] + "\n" for at in range(0, 204, 40)).encode()


def sort_lines(text: bytes) -> bytes:
    lines = text.replace(b"\r", b"").split(b"\n")
    return b"".join(line + b"\n" for line in sorted(lines if lines[-1] else lines[:-1]))


def expected(name: str) -> bytes:
    if name == "crc32_file.vasm":
        return b"%08x\n" % zlib.crc32(REAL_TEXT)
    if name == "sort_lines.vasm":
        return sort_lines(REAL_TEXT)
    return {"primes.vasm": primes, "mandelbrot.vasm": mandelbrot, "pi_digits.vasm": pi_digits}[name]()


@cache
def ran(name: str, engine: str) -> Ran:
    return run_firmware(f"demos/{name}", REAL_TEXT, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", DEMOS)
def test_output_is_exact(name: str, engine: str) -> None:
    assert ran(name, engine).output == expected(name)
    assert not ran(name, engine).state.differences(ran(name, "fast").state)


@pytest.mark.parametrize("name", DEMOS)
def test_demo_is_verified(name: str) -> None:
    verdict = verify(assemble_file(FIRMWARE / "demos" / name))
    assert verdict.is_verified, verdict.reasons


@given(st.lists(st.binary(max_size=12).map(lambda line: line.translate(None, b"\r\n")), max_size=40))
def test_any_lines_are_sorted(lines: list[bytes]) -> None:
    text = b"\n".join(lines)
    assert run_firmware("demos/sort_lines.vasm", text).output == sort_lines(text)


def test_more_lines_than_fit_are_refused() -> None:
    assert run_firmware("demos/sort_lines.vasm", b"x\n" * 3999).output == b"x\n" * 3999
    assert run_firmware("demos/sort_lines.vasm", b"x\n" * 4001).output == b"? too many lines\n"
    assert run_firmware("demos/sort_lines.vasm", b"y" * 50_000 + b"\nz\n").output == b"? too many lines\n"


@pytest.mark.rtl
@pytest.mark.slow
@pytest.mark.parametrize("name", DEMOS)
def test_make_sim_runs_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(REAL_TEXT)
    program = str(FIRMWARE / "demos" / name)
    assert main(["--program", program, "--input", str(tmp_path / "input"), "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["lockstep"] == "equal"
    # The report has a character a byte.
    assert report["output"].encode("latin-1") == expected(name)
    # For people it is text again.
    assert expected(name).decode().rstrip("\n") in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
