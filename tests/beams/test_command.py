"""`vac beams` as people meet it: a process with exit codes, tables and JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vac.assembler.assemble import assemble
from vac.cli import app
from vac.contracts.beam_event import BeamEvent
from vac.contracts.entanglement import EntanglementMap
from vac.contracts.reader import read_event
from vac.isa.limits import DATA_STACK_CELLS

VAC = [sys.executable, "-c", "from vac.cli import main; main()"]
PROGRAM = """
.labels
.memory 64
.frame 3
        lit 1; lit 4096; sys SYS_ALLOC; drop
        li l0, 8
        li l1, 5
        let l2, 0x10000008
        st32 l0, l1
        st32 l2, l1
        push l1; push l0; join; set1
        st32 l0, l1
        ld32 s, l0
        ld32 s, l2
        in 0
        drop; drop; drop
        halt
"""


def vac(*arguments: object) -> Result:
    """The command in this process; an exception that reaches a person as a traceback fails the test."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image, its beams and its input log, and a store that has them with exact cells."""
    folder = tmp_path_factory.mktemp("recorded")
    assemble(PROGRAM).save(folder / "program.vacimg")
    outputs = ["--beams", str(folder / "run.beams"), "--record", str(folder / "run.log")]
    subprocess.run([*VAC, "run", str(folder / "program.vacimg"), *outputs], input=b"x", check=True, capture_output=True)
    exact = ("--image", folder / "program.vacimg", "--log", folder / "run.log")
    done = vac("beams", "ingest", folder / "run.beams", "--run", "demo", "-s", folder / "store", *exact)
    assert done.exit_code == 0 and "beams taken" in done.stdout, done.stderr
    return folder


def events(folder: Path, *arguments: object) -> list[BeamEvent]:
    done = vac("beams", *arguments, "-s", folder / "store", "--json")
    assert done.exit_code == 0, done.stderr
    found = [read_event(line) for line in done.stdout.splitlines()]
    assert all(isinstance(event, BeamEvent) for event in found)
    return [event for event in found if isinstance(event, BeamEvent)]


def test_a_replay_tells_slots_apart_and_names_stack_cells(recorded: Path) -> None:
    first = events(recorded, "lineage", "mem:1:0x8")
    assert [event.token for event in first] == ["st32", "st32", "ld32"]
    assert [event.result["value"] for event in first] == [5, 1, 1]
    other = events(recorded, "lineage", "mem:255:0x8")
    assert [event.token for event in other] == ["st32", "ld32"] and other[-1].result["value"] == 5
    locals_of_1 = events(recorded, "lineage", f"stack:{DATA_STACK_CELLS + 1}")
    assert [event.result["value"] for event in locals_of_1] == [5, 1]
    assert events(recorded, "lineage", "mem:7:0x8") == []


def test_queries(recorded: Path) -> None:
    everything = events(recorded, "query", "--run", "demo", "--limit", 1000)
    size = (recorded / "run.beams").stat().st_size // 16
    assert [event.tick for event in everything] == list(range(size))
    assert events(recorded, "query", "-r", "demo", "--first", 3, "--end", 5) == everything[3:5]
    assert all(event.result["value"] == 5 for event in events(recorded, "query", "-r", "demo", "--value", "0x5"))
    eid = vac("beams", "eids", "-r", "demo", "-s", recorded / "store").stdout.split()
    assert len(eid) == 1
    ghosts = events(recorded, "ghost", eid[0])
    assert ghosts == [event for event in everything if event.eid == eid[0]] and ghosts[0].token == "join"
    found = vac("beams", "entanglement", "-r", "demo", "-s", recorded / "store", "--json").stdout
    links = read_event(found)
    assert isinstance(links, EntanglementMap) and "mem:1:0x8" in links.links[eid[0]]
    counted = json.loads(vac("beams", "counts", "-r", "demo", "-s", recorded / "store", "--json").stdout)
    assert counted["st32"] == 3 and sum(counted.values()) == size


@pytest.mark.parametrize(
    "command", [["runs"], ["query", "-r", "demo"], ["counts", "-r", "demo"], ["entanglement", "-r", "demo"]]
)
def test_tables(recorded: Path, command: list[str]) -> None:
    done = vac("beams", *command, "-s", recorded / "store")
    assert done.exit_code == 0 and len(done.stdout.splitlines()) > 3


def test_sql_before_and_after_sealing(recorded: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    vac("beams", "ingest", recorded / "run.beams", "--run", "a run", "-s", store)
    asked = "SELECT token, count(*) AS n FROM beams WHERE run = 'a run' GROUP BY token ORDER BY token"
    first = vac("beams", "sql", asked, "-s", store, "--json")
    assert {"token": "st32", "n": 3} in [json.loads(line) for line in first.stdout.splitlines()]
    sealed = vac("beams", "seal", "-s", store)
    assert sealed.exit_code == 0 and "sealed" in sealed.stdout
    assert vac("beams", "sql", asked, "-s", store, "--json").stdout == first.stdout
    cells = "SELECT b.cell, j.eid FROM beams b JOIN joins j ON b.eid = j.ordinal AND b.run = j.run LIMIT 1"
    assert vac("beams", "sql", cells, "-s", store).exit_code == 0
    assert "all as they were written" in vac("beams", "verify", "-s", store).stdout
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for statement in (
        f"SELECT * FROM read_csv('{secret}')",
        "CREATE TABLE x (a INT)",
        "COPY beams TO 'x'",
        f"COPY (SELECT 1) TO '{store}/x'",
        "SELECT 1; DROP VIEW beams",
        "nonsense",
        "",
    ):
        refused = vac("beams", "sql", statement, "-s", store)
        assert refused.exit_code == 2 and refused.stderr, statement
    assert sorted(path.name for path in store.iterdir()) == ["000001", "lock", "store.json"]


def test_verify_names_what_is_damaged(recorded: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    vac("beams", "ingest", recorded / "run.beams", "--run", "r", "-s", store)
    path = store / "000001" / "000000.rec"
    content = bytearray(path.read_bytes())
    content[17] ^= 1
    path.write_bytes(content)
    done = vac("beams", "verify", "-s", store)
    assert done.exit_code == 1 and str(path) in done.stdout


def test_as_a_process_it_exits_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run([*VAC, "beams", "runs", "-s", "nowhere"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2 and done.stderr and b"Traceback" not in done.stderr


def test_ingest_goes_on_where_it_was(recorded: Path, tmp_path: Path) -> None:
    beams = (recorded / "run.beams").read_bytes()
    (tmp_path / "half").write_bytes(beams[: 16 * 6])
    store = ("--run", "r", "-s", tmp_path / "store.jsonl")
    assert vac("beams", "ingest", tmp_path / "half", *store).exit_code == 0
    again = vac("beams", "ingest", recorded / "run.beams", *store)
    assert again.exit_code == 2 and "up to tick 5" in again.stderr
    done = vac("beams", "ingest", recorded / "run.beams", *store, "--continue")
    assert done.exit_code == 0 and "6 were there" in done.stdout
    found = vac("beams", "query", *store, "--limit", 1000, "--json").stdout.splitlines()
    assert [json.loads(line)["tick"] for line in found] == list(range(len(beams) // 16))


def test_export_redacts(recorded: Path, tmp_path: Path) -> None:
    policy, out = tmp_path / "policy.json", tmp_path / "out.jsonl"
    policy.write_text('{"fields": ["result.value"], "labels": [{"any_of": [0]}]}')
    done = vac("beams", "export", "--jsonl", out, "-s", recorded / "store", "--redact", policy)
    assert done.exit_code == 0
    report = json.loads(done.stderr)
    assert report["events_removed"] > 0 and report["fields"]["result.value"] > 0
    found = vac("beams", "query", "-r", "demo", "-s", out, "--limit", 1000, "--json").stdout.splitlines()
    assert len(found) == report["events"] - report["events_removed"]
    assert all("value" not in json.loads(line)["result"] for line in found)


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "-s", "nowhere"],
        ["query", "-r", "other", "-s", "STORE"],
        ["query", "-r", "demo", "-s", "STORE", "--value", "many"],
        ["query", "-r", "demo", "-s", "STORE", "--first", "5", "--end", "2"],
        ["ghost", "eid", "-s", "STORE"],
        ["ghost", "eid::other::0", "-s", "STORE"],
        ["ingest", "nothing", "-r", "x", "-s", "STORE"],
        ["ingest", "STORE/store.json", "-r", "x", "-s", "STORE"],
        ["ingest", "BEAMS", "-r", " x", "-s", "STORE"],
        ["ingest", "BEAMS", "-r", "x", "-s", "STORE", "--image", "IMAGE"],
        ["ingest", "BEAMS", "-r", "x", "-s", "STORE", "--image", "OTHER", "--log", "LOG"],
        ["seal", "-s", "sqlite:///nowhere/at.db"],
        ["runs", "-s", "sqlite:///nowhere/at.db"],
        ["runs", "-s", "postgresql://nobody@localhost:1/none"],
        ["runs", "-s", "BEAMS"],
        ["export", "--jsonl", "nowhere/out.jsonl", "-s", "STORE"],
        ["export", "--jsonl", "out.jsonl", "-s", "STORE", "--redact", "BEAMS"],
        ["export", "--jsonl", "out.jsonl", "-s", "STORE", "--redact", "nothing"],
    ],
)
def test_bad_input_is_said_in_words(
    arguments: list[str], recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assemble("lit 1; halt").save(tmp_path / "other.vacimg")
    places = {"STORE": recorded / "store", "BEAMS": recorded / "run.beams", "IMAGE": recorded / "program.vacimg",
              "LOG": recorded / "run.log", "OTHER": tmp_path / "other.vacimg"}  # fmt: skip
    for word, path in places.items():
        arguments = [
            argument.replace(word, str(path)) if argument.startswith(word) else argument for argument in arguments
        ]
    done = vac("beams", *arguments)
    assert done.exit_code == 2 and done.stderr.strip(), done.stderr
    assert not (tmp_path / "out.jsonl").exists() and not (tmp_path / "out.jsonl.part").exists()
