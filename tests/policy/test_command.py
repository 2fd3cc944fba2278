"""`vac policy`: what it prints and how it ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vac.cli import app

LAW = """permit(principal, action, resource);
@id("stay") forbid(principal, action in Action::"outflow", resource) when { context.labels.contains("secret") };
@id("short") forbid(principal in QuotaClass::"trial", action, resource) when { context.length > 10 };
@id("shard") forbid(principal, action == Action::"map", resource == Shard::"7") when { context.permissions > 1 };
"""


@pytest.fixture
def law(tmp_path: Path) -> Path:
    path = tmp_path / "law.cedar"
    path.write_text(LAW)
    return path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("", 0, "4 policies, well-formed"),
        ("--ask write:net", 0, "write:net: allowed"),
        ("--ask write:net --carrying secret", 1, "write:net: denied: stay"),
        ("--ask in:net --carrying secret", 0, "allowed"),
        ("--ask export --carrying secret", 1, "export: denied: stay"),
        ("--ask read:device:0x50 --fact length=11 --class trial", 1, "denied: short"),
        ("--ask map:7 --fact permissions=3", 1, "denied: shard"),
        ("--ask map:7 --fact permissions=1", 0, "allowed"),
        ("--ask fly", 2, "there is no action 'fly'"),
        ("--ask write", 2, "write write:console"),
        ("--ask alloc:net", 2, "write alloc:memory"),
        ("--ask write:net --carrying nobody", 2, "there is no label 'nobody'"),
        ("--ask write:net --fact speed=1", 2, "there is no number 'speed'"),
        ("--ask write:net --fact length=-1", 2, "0 to 2**63 - 1"),
    ],
)
def test_requests(law: Path, words: str, code: int, said: str) -> None:
    done = CliRunner().invoke(app, ["policy", str(law), "--label", "secret=0", *words.split()])
    assert done.exit_code == code and said in done.output, done.output


def test_json_has_the_tables_and_cedars_answer(law: Path) -> None:
    words = ["policy", str(law), "--label", "secret=0", "--ask", "write:net", "--carrying", "secret", "--json"]
    report = json.loads(CliRunner().invoke(app, words).output)
    assert report["denied_by"] == "stay" and report["cedar"] == {"allowed": False, "policies": ["stay"]}
    assert report["policies"] == ["policy0", "stay", "short", "shard"] and report["tables"]["version"] == 1


def test_bad_files(law: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["policy", str(law)])
    assert done.exit_code == 2 and "policy stay: there is no label 'secret'" in done.output
    done = CliRunner().invoke(app, ["policy", str(tmp_path / "none.cedar")])
    assert done.exit_code == 2 and "cannot read" in done.output
