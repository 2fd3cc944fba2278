"""`vac asm`, `vac disasm` and `vac verify` as people run them: files, messages, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vac.cli import app
from vac.image.image import Image

PROGRAM = "start: lit 65; out CONSOLE_DATA; halt\n"
runner = CliRunner()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "hello.vasm"
    path.write_text(PROGRAM)
    return path


def vac(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    """Standard output and error of a command that must end with this exit code, and without a traceback."""
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout, result.stderr


def test_asm_writes_the_image_beside_the_source(source: Path) -> None:
    assert vac("asm", source) == ("", "")
    image = Image.load(source.with_suffix(".vacimg"))
    assert image.code == bytes([0x40, 65, 0x49, 0, 2])
    assert image.name == "hello"
    assert sorted(path.name for path in source.parent.iterdir()) == ["hello.vacimg", "hello.vasm"]


def test_asm_writes_output_and_listing_where_told(source: Path, tmp_path: Path) -> None:
    vac("asm", source, "-o", tmp_path / "x.img", "--listing", tmp_path / "x.lst")
    assert Image.load(tmp_path / "x.img")
    assert "start: lit 65" in (tmp_path / "x.lst").read_text()


def test_asm_finds_includes_in_given_folders(source: Path, tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "names.vasm").write_text(".const LETTER = 66\n")
    source.write_text('.include "names.vasm"\nlit LETTER; halt\n')
    vac("asm", source, code=1)
    vac("asm", source, "-I", tmp_path / "library")


def test_wrong_source_writes_nothing_and_exits_1(source: Path) -> None:
    source.write_text("li l0, 5000\n")
    out, err = vac("asm", source, "-l", source.with_suffix(".lst"), code=1)
    assert out == ""
    assert f"{source}:1:8: error: 5000 is out of range" in err and "1 error" in err
    assert [path.name for path in source.parent.iterdir()] == ["hello.vasm"]


def test_files_that_cannot_be_read_or_written_exit_2(source: Path, tmp_path: Path) -> None:
    assert "cannot read" in vac("asm", tmp_path / "none.vasm", code=2)[1]
    assert "cannot read" in vac("disasm", tmp_path / "none.vacimg", code=2)[1]
    assert "cannot read" in vac("verify", tmp_path, code=2)[1]
    assert "cannot write" in vac("asm", source, "-o", tmp_path / "no" / "x.img", code=2)[1]
    assert "would overwrite its source" in vac("asm", source, "-o", source, code=2)[1]
    assert source.read_text() == PROGRAM
    source.write_bytes(b"\xff\xff")
    assert "no text in UTF-8" in vac("asm", source, code=2)[1]


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text"])
@pytest.mark.parametrize("command", ["disasm", "verify"])
def test_damaged_images_exit_2(source: Path, command: str, damage: str) -> None:
    vac("asm", source)
    path = source.with_suffix(".vacimg")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"flip": bytes(content), "truncate": bytes(content[:-40]), "empty": b"", "text": PROGRAM.encode()}
    path.write_bytes(damaged[damage])
    out, err = vac(command, path, code=2)
    assert out == "" and str(path) in err


def test_disasm_prints_source_that_assembles_to_the_same_file(source: Path, tmp_path: Path) -> None:
    vac("asm", source)
    again = tmp_path / "again.vasm"
    again.write_text(vac("disasm", source.with_suffix(".vacimg"))[0])
    vac("disasm", source.with_suffix(".vacimg"), "-o", tmp_path / "file.vasm")
    assert again.read_text() == (tmp_path / "file.vasm").read_text()
    vac("asm", again)
    assert again.with_suffix(".vacimg").read_bytes() == source.with_suffix(".vacimg").read_bytes()


def test_verify_says_what_it_found(source: Path) -> None:
    vac("asm", source)
    image = source.with_suffix(".vacimg")
    out, _ = vac("verify", image)
    assert "verified. 3 instructions in 1 function; at most 1 cell on the data stack and 15 on the return" in out
    source.write_text("invoke f; halt\n.func f, 2\nadd; ret\n")
    vac("asm", source)
    out, _ = vac("verify", "--functions", image, code=1)
    assert "not verified" in out
    assert "0x000000 `call 0x000005, 2`: the function at 0x000005 needs 2 cells; 0 are there" in out
    assert "0x000005  frame   2  takes 2, leaves 1" in out


def test_the_installed_command_shows_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from vac.cli import main; main()", "asm", str(tmp_path / "none.vasm")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("cannot read") and "Traceback" not in done.stderr
