"""`vac schedule` and `vac plot` as people meet them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vac.assembler.assemble import assemble
from vac.cli import app
from vac.engines.registry import create_machine
from vac.host.session import Host
from vac.memory.address import PageKey
from vac.memory.errors import TierUnavailable
from vac.memory.page import Page
from vac.memory.tier import RamTier
from vac.scheduler.statistics_file import read_statistics

from .loads import CALM, ERRATIC, MIX, TOUCHER

VAC = [sys.executable, "-c", "from vac.cli import main; main()"]
SOURCES = {
    "mix": MIX.format(seed=3, rounds=200),
    "touch": TOUCHER.format(leaves=9, bytes=4096 * 9),
    "hello": "li s, 72\nout 0\nli s, 105\nout 0\nhalt\n",
    "calm": CALM,
    "erratic": ERRATIC,
    "trap": "drop\n",
}


def vac(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, (arguments, done.output, done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output


def report(*arguments: object, code: int = 0) -> dict[str, Any]:
    return json.loads(vac("schedule", *arguments, "--json", code=code))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in SOURCES.items():
        Path(f"{name}.vasm").write_text(text)


def digest_alone(name: str, seed: int) -> str:
    machine = create_machine("fast", keeps_beams=False)
    Host(machine, assemble(SOURCES[name]), seed=seed).run(1 << 40)
    digest = machine.state().digest
    assert digest is not None
    return f"{digest:016x}"


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--processes", 2, "--slice", 300),
        ("--shared-core", "--slice", 500),
        ("--frames", 20, "--page-size", "4KiB", "--tiers", "lz4@8KiB,file:pages", "--slice", 400),
        ("--processes", 2, "--frames", 19, "--page-size", "4K", "--no-prefetch", "--engine", "golden"),
    ],
)
def test_machines_end_as_they_do_alone(options: tuple[object, ...]) -> None:
    found = report("mix.vasm", "touch.vasm", "--copies", 2, *options)
    assert [row["name"] for row in found["machines"]] == ["mix-0", "mix-1", "touch-0", "touch-1"]
    expected = [digest_alone(name, seed) for seed, name in enumerate(("mix", "mix", "touch", "touch"))]
    assert [row["digest"] for row in found["machines"]] == expected
    assert all(row["stop"] == "halted" for row in found["machines"])
    assert ("stalls" in found["machines"][0]) == ("--frames" in options)
    assert found["exit"] == 0 and found["ticks"] == sum(row["ticks"] for row in found["machines"])


def test_a_table_says_who_got_what_and_consoles_go_to_files() -> None:
    said = vac("schedule", "hello.vasm", "trap.vasm", "mix.vasm", "--quota", "max_ticks=50", "--output", "out", code=3)
    lines = said.splitlines()
    assert any(line.split()[:2] == ["hello", "5"] and line.split()[-1] == "halted" for line in lines), said
    assert "trapped: DATA_UNDERFLOW at pc 0x0" in said or "trapped:" in said
    assert "max_ticks reached" in said and "weighted Jain index" in said
    assert Path("out/hello.out").read_bytes() == b"Hi" and Path("out/mix.out").read_bytes() == b""


def test_limits_have_their_exit_code() -> None:
    assert report("calm.vasm", "--quota", "max_ticks=1000", code=4)["machines"][0]["ticks"] == 1000
    found = report("calm.vasm", "--copies", 3, "--until", 90_000, code=4)
    assert found["ticks"] == 90_000 and all(row["stop"] is None for row in found["machines"])


def test_programs_of_one_name_get_names_of_their_own() -> None:
    Path("other").mkdir()
    Path("other/hello.vasm").write_text("halt\n")
    found = report("hello.vasm", "other/hello.vasm")
    assert [(row["name"], row["ticks"]) for row in found["machines"]] == [("hello", 5), ("hello.2", 1)]


def test_packages_bring_their_quotas() -> None:
    vac("pack", "calm.vasm", "--quota", "max_ticks=700")
    found = report("calm.vac", "--quota", "max_ticks=900", "--frames", 8, code=4)
    assert found["machines"][0] | {"stop": "max_ticks reached", "ticks": 700} == found["machines"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent.vasm",), "cannot read 'absent.vasm'"),
        (("mix.vasm", "--engine", "slow"), "no engine 'slow'"),
        (("mix.vasm", "--quota", "max_beer=2"), "no such quota"),
        (("mix.vasm", "--quota", "max_ticks=0"), "max_ticks is 0"),
        (("mix.vasm", "--tiers", "tape"), "'tape' is no kind of tier"),
        (("mix.vasm", "--tiers", "lz4,file:x"), "lz4 needs a size"),
        (("mix.vasm", "--tiers", "lz4@1MiB"), "the last tier"),
        (("mix.vasm", "--tiers", "ram,ram"), "two tiers of one kind"),
        (("mix.vasm", "--tiers", "file:mix.vasm"), "cannot open"),
        (("mix.vasm", "--frames", "2"), "2 frames of 65536 bytes"),
        (("mix.vasm", "--page-size", "5000"), "page size 5000"),
        (("mix.vasm", "--page-size", "big"), "'big' is no size"),
        (("mix.vasm", "--shared-core", "--processes", "2"), "leave out --processes"),
        (("mix.vasm", "--engine", "board", "--processes", "1"), "leave out --processes"),
        (("mix.vasm", "--engine", "board", "--port", "nowhere"), "cannot open nowhere"),
        (("calm.vasm", "--statistics", "absent/s.jsonl"), "cannot write 'absent/s.jsonl'"),
        (("calm.vasm", "--output", "mix.vasm"), "cannot write 'mix.vasm'"),
        (("mix.vasm", "--tiers", "s3:host/bucket"), "write s3:http://HOST:PORT/BUCKET"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(arguments: tuple[str, ...], message: str) -> None:
    said = vac("schedule", *arguments, code=2)
    assert message in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(("refusals", "patience", "code"), [(3, 60, 0), (3, 0, 5), (1 << 30, 0.6, 5)])
def test_a_tier_that_fails_for_a_while_is_tried_again(
    refusals: int, patience: float, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_page, left = RamTier.get_page, refusals

    def get(tier: RamTier, key: PageKey) -> Page:
        nonlocal left
        left -= 1
        if left < 0:
            return get_page(tier, key)
        raise TierUnavailable(tier.name, "no answer")

    monkeypatch.setattr(RamTier, "get_page", get)
    options = ("--frames", 19, "--page-size", "4KiB", "--slice", 400, "--tier-patience", patience, "--no-prefetch")
    said = vac("schedule", "touch.vasm", "--copies", 3, *options, "--json", code=code)
    rows = json.loads(said.splitlines()[-1])["machines"]
    stops = {row["stop"] for row in rows}
    assert stops == {"halted"} if code == 0 else "a tier of memory failed" in stops
    assert code or [row["digest"] for row in rows] == [digest_alone("touch", seed) for seed in range(3)]
    assert ("no answer; trying again for" in said) == bool(patience)


@pytest.mark.parametrize("processes", [0, 2])
def test_ctrl_c_ends_the_run_between_slices(processes: int) -> None:
    arguments = ["schedule", "calm.vasm", "--copies", "4", "--processes", str(processes), "--json"]
    arguments += ["--statistics", "s.jsonl", "--every", "10"]
    with subprocess.Popen([*VAC, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout and running.stderr
        # The record is written at the end; that all is set up shows in the children, or in processor time.
        while not Path(f"/proc/{running.pid}/stat").exists() or cpu_ticks(running.pid) < 150:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    assert running.returncode == 130 and err == b""
    found = json.loads(out)
    assert found["is_interrupted"] and found["ticks"] > 0
    assert all(row["stop"] is None and row["ticks"] % 10_000 == 0 for row in found["machines"])
    assert read_statistics(Path("s.jsonl")).samples[-1].clock == found["ticks"]


def cpu_ticks(pid: int) -> int:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(words[11]) + int(words[12])


def test_statistics_are_recorded_and_drawn() -> None:
    common = ("--frames", 19, "--page-size", "4KiB", "--slice", 500, "--every", 1)
    found = report(
        "touch.vasm", "mix.vasm", "erratic.vasm", *common, "--until", 40_000, "--statistics", "s.jsonl", code=4
    )
    statistics = read_statistics(Path("s.jsonl"))
    assert statistics.machines == ["touch", "mix", "erratic"]
    for index, row in enumerate(found["machines"]):
        assert statistics.series(index, "ticks")[-1] == row["ticks"]
        assert statistics.series(index, "stalls")[-1] == row["stalls"]
        assert statistics.series(index, "misses") == sorted(statistics.series(index, "misses"))
    assert statistics.series(2, "sqi")[-1] < statistics.series(2, "sqi")[0]
    vac("plot", "s.jsonl")
    assert Path("s.png").read_bytes().startswith(b"\x89PNG")
    vac("plot", "s.jsonl", "-o", "s.svg", "--machine", "mix")
    picture = Path("s.svg").read_text()
    vac("plot", "s.jsonl", "-o", "s.svg", "--machine", "mix")
    assert Path("s.svg").read_text() == picture and picture.count("<svg") == 1


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, (), "cannot read"),
        ("", (), "holds no statistics"),
        ('{"type":"other"}\n', (), "its type is another one"),
        ('{"type":"vac_statistics","version":2,"columns":[],"machines":[]}\n', (), "version 1 only"),
        ("HEAD\n", (), "has no sample"),
        ('HEAD\n{"clock":1,"seconds":0,"machines":[[1]]}\n', (), "9 numbers"),
        ("HEAD\nSAMPLE\n", ("--machine", "b"), "no machine 'b'; there are a"),
        ("HEAD\nSAMPLE\n", ("-o", "s.gif"), "pictures are .png or .svg"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(text: str | None, options: tuple[str, ...], message: str) -> None:
    columns = '["ticks","slices","sqi","stalls","misses","hits","fetched","fetched_used","frames"]'
    if text is not None:
        text = text.replace("HEAD", f'{{"type":"vac_statistics","version":1,"columns":{columns},"machines":["a"]}}')
        text = text.replace("SAMPLE", '{"clock":1,"seconds":0,"machines":[[1,1,1,1,1,1,1,1,1]]}')
        Path("s.jsonl").write_text(text)
    said = vac("plot", "s.jsonl", *options, code=2)
    assert message in said and len(said.splitlines()) == 1


def test_a_record_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    report("mix.vasm", "--slice", 100, "--every", 1, "--statistics", "s.jsonl")
    whole = read_statistics(Path("s.jsonl"))
    content = Path("s.jsonl").read_bytes()
    Path("s.jsonl").write_bytes(content[:-7])
    assert read_statistics(Path("s.jsonl")).samples == whole.samples[:-1]
