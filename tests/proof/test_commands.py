"""`vac prove` and `vac verify-proof` as people meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.proof.independent_checker import check
from typer.testing import CliRunner, Result

from vac.cli import app

PROGRAM = ".data\n.word 7, 8, 9\n.code\n.frame 2\n li l0, 5\n st32a l0, 4\n get0\n halt\n"


def vac(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.vasm"
    path.write_text(PROGRAM)
    return path


def test_prove_and_verify(program: Path) -> None:
    file = program.with_name("proof.json")
    made = vac("prove", program, "--at", 2, "--address", "1:4", "--stacks", "-o", file)
    assert made.exit_code == 0 and not made.stdout, made.stderr
    root = made.stderr.split()[-1]
    checked = vac("verify-proof", file, "--root", root)
    assert checked.exit_code == 0, checked.stderr
    assert "at tick 2 the machine is running" in checked.stdout and "07 00 00 00 05 00 00 00 09" in checked.stdout
    assert check(file.read_bytes(), bytes.fromhex(root))["memory"]["slot"] == 1
    asked = vac("verify-proof", file, "--root", root, "--json")
    assert json.loads(asked.stdout)["registers"]["tick"] == 2
    other = vac("prove", program, "--at", 3, "-o", program.with_name("other.json"))
    refused = vac("verify-proof", file, "--root", other.stderr.split()[-1])
    assert refused.exit_code == 1 and "refused: the proof leads to the root" in refused.stderr
    file.write_bytes(file.read_bytes().replace(b'"tick":2', b'"tick":3'))
    refused = vac("verify-proof", file, "--root", root)
    assert refused.exit_code == 1 and "refused" in refused.stderr


def test_proofs_of_a_run_as_it_goes(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.parent)
    done = vac("run", program, "--proof-at", 3, "--proof-at", 1, "--proof-at", 99, "--proof-leaf", "1:0", "--json")
    assert done.exit_code == 0, done.stderr
    *notes, report = done.stderr.splitlines()
    assert json.loads(report)["status"] == "halted" and json.loads(report)["ticks"] == 4
    assert notes[-1] == "no proof at tick 99: the run ends at tick 4"
    for tick, note in zip((1, 3), notes, strict=False):
        file, root = program.parent / f"proof-{tick:020d}.json", note.split()[-1]
        assert check(file.read_bytes(), bytes.fromhex(root))["registers"]["tick"] == tick
        same = vac("prove", program, "--at", tick, "--stacks", "--leaf", "1:0")
        assert same.stdout.encode() == file.read_bytes()
    wrong = vac("run", program, "--proof-at", 1, "--info-at", "halt")
    assert wrong.exit_code == 2 and "--proof-at goes with none of" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--leaf", "1"], "--leaf is '1'"),
        (["--leaf", "256:0"], "--leaf is '256:0'"),
        (["--address", "1:0x100000000"], "--address is"),
        (["--leaf", "1:0", "--address", "1:0"], "not both"),
        (["--at", "99"], "there is no tick 99"),
    ],
)
def test_bad_input(program: Path, arguments: list[str], message: str) -> None:
    done = vac("prove", program, *arguments)
    assert done.exit_code == 2 and message in done.stderr and not done.stdout


def test_bad_roots_and_files(program: Path) -> None:
    assert "64 hexadecimal digits" in vac("verify-proof", program, "--root", "12").stderr
    none = vac("verify-proof", program.with_name("none"), "--root", "0" * 64)
    assert none.exit_code == 2 and "cannot read" in none.stderr
    assert vac("verify-proof", program, "--root", "0" * 64).exit_code == 1
