"""The commands around packages, as people meet them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.package.programs import HELLO
from typer.testing import CliRunner

from vac.cli import app
from vac.package.package import Package


def vac(*arguments: object, code: int = 0) -> str:
    """Output of a command, both streams."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, (arguments, done.output, done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output


def vac_run(*arguments: object) -> tuple[int, bytes, dict[str, object]]:
    """Exit code, standard output and report of `vac run`, which writes to the terminal past Python."""
    command = [sys.executable, "-c", "from vac.cli import main; main()", "run", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, json.loads(done.stderr)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hello.vasm"
    path.write_text(HELLO)
    return path


def test_a_package_is_made_signed_moved_and_run(source: Path) -> None:
    said = vac("pack", source, "--cap", "console,entropy", "--seed", 7, "--author", "Ada", "--quota", "max_ticks=100")
    package = Package.open("hello.vac")
    assert package.root.hex() in said
    vac("keygen", "ada")
    vac("sign", "hello.vac", "--key", "ada.key")
    assert "trusted as ada.pub" in vac("verify", "hello.vac", "--key", "ada.pub")
    vac("unpack", "hello.vac", "--key", "ada.pub", "-o", "there")
    assert sorted(path.name for path in Path("there").iterdir()) == [
        "hello.dsse.json",
        "hello.vac.json",
        "hello.vacimg",
    ]
    assert "trusted as ada.pub" in vac("verify", "there", "--key", "ada.pub")
    vac("sign", "there/hello.vac.json", "--key", "ada.key")
    code, printed, report = vac_run("there", "--key", "ada.pub")
    assert (code, printed, report["ticks"]) == (0, b"Hi", 7)
    assert vac_run("hello.vac")[2]["digest"] == report["digest"]
    assert vac_run("hello.vac", "--seed", 8)[2]["digest"] != report["digest"]
    assert vac_run("there/hello.vacimg")[1] == b"Hi", "its image runs by itself, too"


def test_images_of_both_forms_are_packed(source: Path) -> None:
    roots = []
    vac("asm", source, "-o", "plain.vacimg")
    vac("pack", source, "-o", "first")
    for program in (source, "plain.vacimg", "first/hello.vacimg"):
        roots.append(json.loads(vac("pack", program, "-o", "again.vac", "--json"))["root"])
    assert len(set(roots)) == 1
    report = json.loads(vac("verify", "again.vac", "--json"))
    assert report["verified"] and (report["root"], report["signed_by"]) == (roots[0], [])
    assert vac("disasm", "first/hello.vacimg") == vac("disasm", "plain.vacimg")
    source.write_text("add; halt")
    vac("pack", source)
    assert not json.loads(vac("verify", "hello.vac", "--json", code=1))["verified"]


def test_a_package_reaches_what_it_was_granted_and_no_more(source: Path) -> None:
    vac("pack", source, "--cap", "console")
    code, printed, report = vac_run("hello.vac")
    assert (code, printed, report["trap"]) == (3, b"Hi", "DENIED")
    assert "entropy_probe" in str(report["denials"])
    vac("pack", source)
    assert vac_run("hello.vac")[1] == b""
    vac("pack", source, "--cap", "default", "--device", "0x10=clock")
    assert "0x00" in str(vac_run("hello.vac")[2]["denials"]), "a capability without its device reaches nothing"
    (source.parent / "data").write_bytes(b"x")
    assert "does not grant storage" in vac("run", "hello.vac", "--storage", "data", code=2)
    source.write_text("in 0x30; emit; halt")
    vac("pack", source, "--cap", "storage")
    assert "no file 'storage'" in vac("run", "hello.vac", code=2)
    assert vac_run("hello.vac", "--storage", "data")[0] == 0


def test_what_a_program_will_not_reach_is_said_when_it_is_packed(source: Path) -> None:
    assert "warning" not in vac("pack", source, "--cap", "default,net")
    said = vac("pack", source, "--device", "0x30=key_value", "--device", "0x50=steam", "--cap", "console")
    assert "warning: no program reaches key_value at 0x30: that needs --cap storage" in said
    assert "warning: this host has no device of kind 'steam', at 0x50; it has clock, console" in said
    assert (
        "warning: console is granted, but the device map has nothing at 0x00: that needs --device 0x00=console" in said
    )


def test_a_package_stops_at_its_quota_of_ticks(source: Path) -> None:
    source.write_text("again: jmp again")
    vac("pack", source, "--quota", "max_ticks=1_234")
    code, _, report = vac_run("hello.vac")
    assert (code, report["ticks"], report["status"]) == (4, 1234, "max_ticks reached")
    assert vac_run("hello.vac", "--ticks", 5)[2]["ticks"] == 5


def test_a_child_stores_what_changed(source: Path) -> None:
    data = "\n".join(f".word {number}" for number in range(9000))
    source.write_text(f'.name "big"\nhalt\n.data\n{data}')
    base = json.loads(vac("pack", source, "-o", "base", "--json"))
    source.write_text(f'.name "big"\nnop\nhalt\n.data\n{data}')
    made = json.loads(vac("pack", source, "-o", "child.vac", "--parent", "base/hello.vacimg", "--json"))
    assert base["stored_leaves"] == base["leaves"] == made["leaves"] == 10
    assert made["stored_leaves"] == 1
    alone = json.loads(vac("pack", source, "-o", "alone.vac", "--json"))
    assert alone["root"] == made["root"], "how it is stored does not matter"
    vac("unpack", "child.vac")
    pages = json.loads(vac("inspect", "child/child.vacimg", "--pages", "--json"))["pages"]
    assert [page["place"] for page in pages] == [0] + [None] * 9
    Path("child/hello.vacimg").rename("elsewhere.vacimg")
    said = vac("verify", "child", code=2)
    assert base["root"] in said and made["root"][:8] not in said and "--parent" in said
    assert "whole" in vac("verify", "child", "--parent", "elsewhere.vacimg")


def test_inspect_shows_what_there_is(source: Path) -> None:
    Path("law.cedar").write_text("permit(principal, action, resource);\n" * 9)
    vac("pack", source, "--label", "secret=3", "--mark", "secret=1", "--policy", "law.cedar", "--created", 86400)
    shown = vac("inspect", "hello.vac", "--pages")
    for expected in ("1970-01-02T00:00:00Z", "secret (bit 3)", "9 lines of Cedar", "0x8", "signed by"):
        assert expected in shown
    report = json.loads(vac("inspect", "hello.vac", "--json", "--pages"))
    assert [page["labels"] for page in report["pages"]] == [0, 8]
    vac("asm", source)
    assert "Segments" in vac("inspect", "hello.vacimg")
    assert "page-table form" in vac("inspect", "hello.vacimg", "--pages", code=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pack", "none.vasm"], "cannot read 'none.vasm'"),
        (["pack", "hello.vasm", "--cap", "warp"], "no such capability; there are"),
        (["pack", "hello.vasm", "--quota", "ticks=1"], "no such quota; there are max_ticks"),
        (["pack", "hello.vasm", "--quota", "max_ticks=0"], "max_ticks: Input should be greater than or equal to 1"),
        (["pack", "hello.vasm", "--quota", "max_ticks"], "write NAME=VALUE"),
        (["pack", "hello.vasm", "--seed", "x"], "is no number"),
        (["pack", "hello.vasm", "--seed", "1", "--seed", "2"], "given twice"),
        (["pack", "hello.vasm", "--created", "today"], "is no time"),
        (["pack", "hello.vasm", "--created", "2026-01-31T12:00:00"], "is no time"),
        (["pack", "hello.vasm", "--label", "a=16"], "labels.a"),
        (["pack", "hello.vasm", "--mark", "a=1"], "is not declared"),
        (["pack", "hello.vasm", "--name", "../x"], "String should match pattern"),
        (["pack", "hello.vasm", "--device", "0x01=console"], "a device's first address is a multiple of 0x10"),
        (["pack", "hello.vasm", "--device", "0x30=STORE"], "kind: String should match"),
        (["pack", "hello.vasm", "--policy", "hello.vasm"], "policy"),
        (["pack", "hello.vasm", "--parent", "hello.vasm"], "not a VAC image in the page-table form"),
        (["pack", "hello.vasm", "-o", "nowhere/x.vac"], "cannot write 'nowhere/x.vac'"),
        (["pack", "hello.vac"], "is a package already"),
        (["unpack", "none.vac"], "cannot read 'none.vac'"),
        (["unpack", "cut.vac"], "cut.vac: the archive is truncated"),
        (["inspect", "hello.vasm"], "not a VAC image"),
        (["verify", "cut.vac"], "truncated"),
        (["verify", "hello.vac", "--key", "none.pub"], "cannot read 'none.pub'"),
        (["verify", "hello.vac", "--key", "eve.pub"], "nobody has signed it"),
        (["verify", "hello.vasm", "--key", "eve.pub"], "is no package"),
        (["run", "hello.vac", "--key", "eve.pub"], "nobody has signed it"),
        (["run", "hello.vasm", "--key", "eve.pub"], "is no package"),
        (["sign", "hello.vac", "--key", "none.key"], "cannot read 'none.key'"),
        (["sign", "hello.vac", "--key", "eve.pub"], "is no private key"),
        (["keygen", "eve"], "exists"),
        (["keygen", "nowhere/bob"], "cannot write 'nowhere/bob'"),
    ],
)
def test_bad_input_is_told_without_a_traceback(source: Path, arguments: list[str], message: str) -> None:
    vac("pack", source)
    vac("keygen", "eve")
    Path("cut.vac").write_bytes(Path("hello.vac").read_bytes()[:-1])
    before = {path: path.read_bytes() for path in source.parent.iterdir()}
    assert message in vac(*arguments, code=2).replace("\n", " ")
    assert {path: path.read_bytes() for path in source.parent.iterdir()} == before, "nothing was left behind"
