"""Kept beams leave the host as far as a policy lets them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vac.assembler.assemble import assemble
from vac.beams.opening import open_store
from vac.cli import app
from vac.engines.registry import create_machine
from vac.host.session import Host
from vac.package.pack import Description, pack, write_archive

PROGRAM = assemble(".labels\nlit 1; emit; lit 5; lit 6; join; emit; lit 7; emit; halt")
LAW = """permit(principal, action, resource);
@id("secrets-stay") forbid(principal, action == Action::"export", resource)
when { context.labels.contains("secret") };
@id("no-trials") forbid(principal in QuotaClass::"trial", action == Action::"export", resource)
when { context.tick < 2 };
@id("not-this-one") forbid(principal == VM::"other", action == Action::"export", resource);
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    host = Host(create_machine("golden"), PROGRAM)
    host.run(100)
    with open_store(tmp_path / "beams") as store:
        store.ingest("mine", 0, host.machine.drain_beams())
        store.commit()
    (tmp_path / "law.cedar").write_text(LAW)
    package = pack(PROGRAM, Description("mine", policy=LAW, labels={"secret": 0}, quota_class="trial"))
    write_archive(package, tmp_path / "mine.vac")
    write_archive(pack(PROGRAM, Description("bare")), tmp_path / "bare.vac")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(*words: str) -> tuple[int, list[int], str]:
    """Exit code, label set of each event that came out, standard error."""
    done = CliRunner().invoke(app, ["beams", "export", "--jsonl", "out.jsonl", *words])
    lines = Path("out.jsonl").read_text().splitlines()[2:] if done.exit_code == 0 else []
    return done.exit_code, [json.loads(line)["result"]["labels"] for line in lines], done.stderr


def test_labelled_beams_stay(folder: Path) -> None:
    _, everything, _ = export()
    assert set(everything) == {0, 1}
    code, found, said = export("--policy", "law.cedar", "--label", "secret=0")
    assert code == 0 and found == [labels for labels in everything if not labels]
    assert said == (
        f"withheld tick 4, pc 0x6: {everything.count(1)} events of mine with labels 0x0001 denied: secrets-stay\n"
    )
    with open_store(folder / "out.jsonl") as store:
        assert store.run("mine").events == len(found)


def test_a_package_brings_its_policy_labels_and_class(folder: Path) -> None:
    code, found, said = export("--package", "mine.vac")
    assert code == 0 and set(found) == {0} and len(found) == len(export()[1]) - 4
    assert "secrets-stay" in said and "2 events of mine with labels 0x0000 denied: no-trials" in said
    assert "no-trials" not in export("--package", "mine.vac", "--class", "standard")[2]


def test_an_error_while_deciding_lets_nothing_out(folder: Path) -> None:
    (folder / "law.cedar").write_text("permit(principal, action, resource) when { context.sqi.coherence > 0 };")
    assert export("--policy", "law.cedar")[1] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "none.cedar"], "cannot read 'none.cedar'"),
        (["--policy", "law.cedar"], "no label 'secret'"),
        (["--label", "secret=0"], "are for --policy"),
        (["--policy", "law.cedar", "--package", "mine.vac"], "not both"),
        (["--package", "bare.vac"], "has no policy"),
        (["--package", "mine.vac", "--label", "secret=0"], "names its own labels"),
    ],
)
def test_what_does_not_fit_is_said(folder: Path, words: list[str], message: str) -> None:
    code, _, said = export(*words)
    assert code == 2 and message in said and not (folder / "out.jsonl").exists()
