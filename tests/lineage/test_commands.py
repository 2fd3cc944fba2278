"""`vac why` as people meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vac.cli import app
from vac.lineage.errors import LineageError
from vac.lineage.target import Target

PROGRAM = ".frame 2\n in 0\n set0\n addi s, l0, 1\n k0\n bzs end\n nop\nend: out 0\n halt\n"


def vac_why(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["why", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "input").write_bytes(b"x")
    path = tmp_path / "program.vasm"
    path.write_text(PROGRAM)
    return path


def test_a_tree_with_source_lines(program: Path) -> None:
    done = vac_why(program, "--cell", "local:0", "--input", program.with_name("input"))
    assert done.exit_code == 0, done.stderr
    assert "1: set0" in done.stdout and "[program.vasm:3]" in done.stdout
    assert "input: in 0x0 at tick 0 = 0x78 (120)" in done.stdout
    assert "made of 2 writes at 2 ticks and 1 input; looked back to tick 0" in done.stdout


def test_what_an_output_was_made_of(program: Path) -> None:
    output = program.with_name("lineage.json")
    done = vac_why(program, "--cell", "instruction", "--at", 5, "--input", program.with_name("input"),
                   "--format", "json", "-o", output)  # fmt: skip
    assert done.exit_code == 0 and not done.stdout, done.stderr
    fields = json.loads(output.read_text())
    assert [node["tick"] for node in fields["nodes"] if "tick" in node] == [5, 2, 1, 0]
    assert fields["nodes"][1]["source"]["line"] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell", "stack:0"], "there is no stack:0: the data stack is 0 deep"),
        (["--cell", "stack"], "names nothing that has a lineage"),
        (["--cell", "local:0", "--at", "99"], "the run ends at tick 7; there is no tick 99"),
        (["--cell", "local:0", "--format", "pdf"], "--format is 'pdf'"),
    ],
)
def test_bad_input(program: Path, arguments: list[str], message: str) -> None:
    done = vac_why(program, *arguments, "--input", program.with_name("input"))
    assert done.exit_code == 2 and message in done.stderr


@pytest.mark.parametrize(
    "text", ["stack:0", "local:14", "return:0x1f", "window:16", "mem:1:0x10", "mem:1:16:2", "pointer:0x10000000",
             "pointer:4:8", "instruction"],
)  # fmt: skip
def test_targets_in_text(text: str) -> None:
    target = Target.parse(text)
    assert Target.parse(str(target)) == target


@pytest.mark.parametrize(
    "text", ["", "stack", "stack:-1", "stack:1:2", "mem:1", "mem:1:2:3:4", "mem:1:zz", "heap:0", "instruction:1",
             "local:１"],
)  # fmt: skip
def test_texts_that_name_nothing(text: str) -> None:
    with pytest.raises(LineageError, match="names nothing"):
        Target.parse(text)
