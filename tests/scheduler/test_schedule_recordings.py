"""`vac schedule --record`: machines that exchange messages, each of which can be replayed alone."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vac.beams.opening import open_store
from vac.cli.schedule_machines import add_machines, planned
from vac.commitment.state_root import StateCommitment
from vac.engines.registry import create_machine
from vac.history.recorded import history_of
from vac.host.input_log import Entry
from vac.isa.ports import Device
from vac.machine.protocol import EventKind, Leaf, StopReason
from vac.memory.errors import TierUnavailable
from vac.memory.paged_memory import PagedMemory
from vac.recording.errors import ReplayMismatch
from vac.recording.input_log_file import InputLogFile, chained
from vac.recording.playback import Playback
from vac.recording.recording import Recording
from vac.recording.replay import replay
from vac.scheduler.executors import OneEach
from vac.scheduler.quota import Quota
from vac.scheduler.scheduler import Scheduler

from .exchange import NAMES, ROUNDS, packed, sums, vac
from .loads import CALM, TOUCHER

VAC = [sys.executable, "-c", "from vac.cli import main; main()"]


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    return packed(tmp_path)


def recorded(group: list[Path], *options: object, code: int = 0) -> list[dict[str, Any]]:
    found = json.loads(vac("schedule", *group, "--record", "rec", "--segment", 8, "--json", *options, code=code))
    return found["machines"]


def unrecorded(group: list[Path]) -> list[tuple[str, bytes]]:
    """Digest and state root of each machine of a run that nobody records."""
    with Scheduler(OneEach("golden"), slice_ticks=77) as scheduler:
        add_machines(scheduler, planned(group, 1, 0, b"", None), Quota())
        scheduler.run()
        states = [vm.machine.state() for vm in scheduler.machines]
        roots = [StateCommitment().take(vm.machine) for vm in scheduler.machines]
    return [(f"{state.digest:016x}", root) for state, root in zip(states, roots, strict=True)]


@pytest.mark.parametrize(
    "options",
    [
        ("--slice", 100),
        ("--slice", 256, "--shared-core"),
        ("--slice", 333, "--engine", "golden"),
        ("--slice", 64, "--frames", 19, "--page-size", "4KiB", "--tiers", "lz4@8KiB,file:pages"),
    ],
)
def test_each_machine_is_replayed_alone(group: list[Path], options: tuple[object, ...]) -> None:
    rows = recorded(group, *options)
    expected = unrecorded(group)
    assert [row["name"] for row in rows] == NAMES
    assert [row["stop"] for row in rows] == ["halted"] * 6
    assert [row["stack"] for row in rows[:4]] == [[]] * 4
    for row, (digest, root) in zip(rows, expected, strict=True):
        assert (row["digest"], row["root"]) == (digest, root.hex())
        for engine in ("golden", "fast"):
            done = replay(Recording(Path(row["recording"])), create_machine(engine, keeps_beams=False))
            assert done.is_end_checked and done.segments == done.ticks >> 8 > 0
            assert (done.ticks, done.root, f"{done.digest:016x}") == (row["ticks"], root, digest)


def test_what_machines_send_each_other_is_in_the_logs_as_input(group: list[Path]) -> None:
    recorded(group)
    numbers, sent = list(range(4)), []
    for left in range(ROUNDS, 0, -1):
        sent.append(numbers)
        numbers = [(3 * numbers[number - 1] + left) & 0xFFFF_FFFF for number in range(4)]
    for number in range(4):
        recording = Recording(Path(f"rec/ring{number}"))
        came = [data for entry in recording.entries for data in data_of(entry) if entry.kind is EventKind.SYSTEM_CALL]
        assert came == [words[number - 1].to_bytes(4, "little") for words in sent]
        senders = [entry.answer.value for entry in recording.entries if entry.number == Device.NET + 3]
        assert senders == [(number - 1) % 4] * ROUNDS
    assert numbers == sums()


def data_of(entry: Entry) -> list[bytes]:
    return [data for _, _, data in entry.answer.writes]


def test_a_delivered_message_that_is_not_recorded_is_noticed(
    group: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, left_out = InputLogFile.record, []

    def forgetful(log: InputLogFile, event: Any, answer: Any) -> None:
        if answer.writes and log.path.parent.name == "ring2" and not left_out:
            left_out.append(event)
        else:
            record(log, event, answer)

    monkeypatch.setattr(InputLogFile, "record", forgetful)
    recorded(group)
    assert left_out
    for name in NAMES:
        said = vac("replay", f"rec/{name}", "--engine", "golden", code=5 if name == "ring2" else 0)
        assert ("the run asks for" in said) == (name == "ring2")


def test_another_message_than_was_delivered_is_noticed(group: list[Path]) -> None:
    recorded(group)
    recording = Recording(Path("rec/ring1"))
    index = next(index for index, entry in enumerate(recording.entries) if entry.answer.writes)
    entry = recording.entries[index]
    slot, offset, data = entry.answer.writes[0]
    writes = ((slot, offset, bytes([data[0] ^ 1, *data[1:]])),)
    recording.entries[index] = Entry(
        entry.tick, entry.kind, entry.number, type(entry.answer)(entry.answer.value, writes=writes)
    )
    assert chained(recording.chain, entry) != chained(recording.chain, recording.entries[index])
    with pytest.raises(ReplayMismatch):
        replay(recording, create_machine("fast", keeps_beams=False))


def test_beams_of_a_replay_are_those_that_were_kept(group: list[Path]) -> None:
    rows = recorded(group, "--store", "beams", "--run", "talk", "--slice", 90)
    assert [row["run"] for row in rows] == [f"talk.{name}" for name in NAMES]
    with open_store("alone") as alone, open_store("beams", writable=False) as kept:
        for row in rows:
            recording = Recording(Path(row["recording"]))
            machine = create_machine("golden", keeps_beams=True)
            playback = Playback(machine, recording.image, recording.origin.point, recording.entries)
            assert playback.run(1 << 40) is StopReason.HALTED
            alone.ingest(row["run"], 0, machine.drain_beams())
            found, expected = (store.range(row["run"]).rows for store in (kept, alone))
            found = found[found["stage"] == expected["stage"][0]]  # packets of the bus are beside the beams
            assert len(found) == row["ticks"]
            for field in ("tick", "pc", "opcode", "value", "aux", "labels", "flags"):
                assert (found[field] == expected[field]).all()


def test_history_commands_take_the_recordings(group: list[Path]) -> None:
    rows = recorded(group)
    shutil.copytree("rec", "again")
    vac("diff", "rec/ring1", "again/ring1")
    said = vac("replay", "rec/ring3", "--stop-at", "in:0x46", "--json")
    assert json.loads(said.splitlines()[0])["tick"] > 0
    said = vac("bisect", "rec/ring0", "u32(1, 0x1000) != 0", "--json")
    assert 0 < json.loads(said)["tick"] < rows[0]["ticks"]
    history = history_of(Recording(Path("rec/ring2")), "fast")
    history.end()
    assert history.tick == rows[2]["ticks"]
    assert all(name in vac("runs", "rec") for name in NAMES)


def test_a_machine_of_a_group_does_not_go_on_alone(group: list[Path]) -> None:
    recorded(group, "--quota", "max_ticks=300", code=4)
    before = {path: path.read_bytes() for path in Path("rec").rglob("*") if path.is_file()}
    for arguments in (("record", "--resume", "rec/ring1"), ("fork", "rec/ring1", "--at", "100", "-o", "fork")):
        assert "it can be replayed alone, but not go on alone" in vac(*arguments, code=2)
    assert before == {path: path.read_bytes() for path in Path("rec").rglob("*") if path.is_file()}
    for name in NAMES:
        assert "and its end" in vac("replay", f"rec/{name}")


@pytest.mark.parametrize(("ticks", "turns"), [(0, 4), (1, 4), (5, 4), (2500, 4), (5000, 4), (7900, 0)])
def test_a_group_goes_on_together(group: list[Path], ticks: int, turns: int) -> None:
    """Cut off again and again: before some have run at all, while messages are on their way, when some have halted."""
    expected = unrecorded(group)
    recorded(group, "--slice", 3 if ticks < 10 else 200, "--until", ticks, "--store", "beams", code=4)
    for slice_ticks in (7, 100, 1000, 33)[:turns]:
        options = ("--slice", slice_ticks, "--until", 400, "--store", "beams")
        vac("schedule", "--resume", "rec", *options, code=4)
    vac("schedule", "--resume", "rec", "--store", "beams", "--shared-core")
    said = vac("schedule", "--resume", "rec", code=2)
    assert said == "rec: all of its machines have halted or trapped\n"
    ends = [Recording(Path("rec") / name).about.end for name in NAMES]
    assert [(end.digest, bytes.fromhex(end.root)) for end in ends if end] == expected
    with open_store("beams", writable=False) as store:
        for name, end in zip(NAMES, ends, strict=True):
            vac("replay", f"rec/{name}", "--engine", "golden")
            assert end and store.run(name).next_tick == end.tick


def test_what_did_not_stop_together_does_not_go_on(group: list[Path]) -> None:
    recorded(group, "--until", 3000, "--slice", 100, code=4)
    vac("schedule", *group, "--until", 3000, "--slice", 100, "--record", "other", code=4)
    shutil.copytree("rec", "mixed")
    shutil.rmtree("mixed/ring1")
    shutil.copytree("other/ring1", "mixed/ring1")
    assert "machines of 2 groups" in vac("schedule", "--resume", "mixed", code=2)
    Recording(Path("rec/ring2")).set_end(None)
    before = {path: path.read_bytes() for path in Path("rec").rglob("*") if path.is_file()}
    assert "rec/ring2 has no end" in vac("schedule", "--resume", "rec", code=2)
    assert before == {path: path.read_bytes() for path in Path("rec").rglob("*") if path.is_file()}
    for arguments in ((), (*group, "--resume", "rec"), ("--resume", "rec", "--record", "new")):
        assert len(vac("schedule", *arguments, code=2).splitlines()) == 1


def test_machines_without_a_bus_go_on_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("touch.vasm").write_text(TOUCHER.format(leaves=9, bytes=4096 * 9))
    paging = ("--frames", 19, "--page-size", "4KiB", "--tiers", "lz4@8KiB,file:pages", "--slice", 150)
    options = ("--copies", 3, "--record", "rec", "--segment", 8, "--until", 900, "--seed", 5)
    vac("schedule", "touch.vasm", *options, *paging, code=4)
    for copy in range(3):
        vac("record", "--resume", f"rec/touch-{copy}", "--input", "/dev/null")
        vac("record", "touch.vasm", "-o", f"alone-{copy}", "--seed", 5 + copy, "--input", "/dev/null")
        vac("diff", f"rec/touch-{copy}", f"alone-{copy}")
        vac("replay", f"rec/touch-{copy}", "--engine", "golden")


def test_a_tier_that_fails_leaves_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("touch.vasm").write_text(TOUCHER.format(leaves=9, bytes=4096 * 9))
    leaf, asked, refused = PagedMemory.leaf, 0, 0

    def get(memory: PagedMemory, slot: int, number: int) -> Leaf:
        """Only a recorder, at the end of a segment or of the run, asks for a leaf like this."""
        nonlocal asked, refused
        asked += 1
        if asked % 20 == 5 and refused < 3:
            refused += 1
            raise TierUnavailable("lz4", "no answer")
        return leaf(memory, slot, number)

    monkeypatch.setattr(PagedMemory, "leaf", get)
    paging = ("--frames", 19, "--page-size", "4KiB", "--slice", 150, "--tier-patience", 60)
    said = vac("schedule", "touch.vasm", "--copies", 3, "--record", "rec", "--segment", 8, *paging, "--json")
    assert refused == 3 and "no answer; trying again" in said
    for row in json.loads(said.splitlines()[-1])["machines"]:
        recording = Recording(Path(row["recording"]))
        assert [segment.tick for segment in recording.segments] == list(range(256, row["ticks"] + 1, 256))
        assert replay(recording, create_machine("fast", keeps_beams=False)).root.hex() == row["root"]


@pytest.mark.parametrize("kept", [(), ("--store", "beams")])
def test_recordings_are_held_to_the_quotas_of_the_schedule(
    tmp_path: Path, kept: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("calm.vasm").write_text(CALM)
    for limit, reason in (("max_ticks=700", "max_ticks reached"), ("max_beams=700", "max_beams reached")):
        options = ("--quota", limit, "--quota", "deadline=100000", "--slice", 300, "--json", *kept)
        folder = limit.partition("=")[0]
        options += ("--run", folder) if kept else ()
        row = json.loads(vac("schedule", "calm.vasm", "--record", folder, *options, code=4))["machines"][0]
        assert (row["ticks"], row["stop"]) == (700, reason)
        end = Recording(Path(folder) / "calm").about.end
        assert end and (end.tick, end.reason) == (700, reason)
        said = vac("record", "--resume", f"{folder}/calm", "--input", "/dev/null", "--json", code=4)
        assert (json.loads(said)["ticks"], json.loads(said)["reason"]) == (700, reason)


@pytest.mark.parametrize("options", [(), ("--shared-core",)])
def test_ctrl_c_leaves_whole_recordings(tmp_path: Path, options: tuple[str, ...]) -> None:
    packages = [str(path) for path in packed(tmp_path, rounds=2_000_000)]
    (tmp_path / "calm.vasm").write_text(CALM)
    (tmp_path / "short.vasm").write_text("li s, 7\nhalt\n")
    command = [*VAC, "schedule", *packages, "calm.vasm", "short.vasm", "--record", "rec", "--segment", "12", "--json"]
    command += [*options, "--slice", "1000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        segments = [tmp_path / "rec" / name / "segments.bin" for name in (*NAMES, "calm")]
        while not all(path.exists() and path.stat().st_size > 500 for path in segments):
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    assert (running.returncode, err) == (130, b"")
    rows = json.loads(out)["machines"]
    for row in rows:
        recording = Recording(tmp_path / row["recording"])
        end = recording.about.end
        assert end and end.reason == ("halted" if row["name"] == "short" else "interrupted")
        assert (end.tick, end.root, end.digest) == (row["ticks"], row["root"], row["digest"])
        for engine in ("fast", "golden") if row["name"] in ("ring0", "short") else ("fast",):
            done = replay(recording, create_machine(engine, keeps_beams=False))
            assert (done.is_end_checked, done.root.hex()) == (True, row["root"])


def test_a_kill_leaves_what_was_answered(tmp_path: Path) -> None:
    packages = [str(path) for path in packed(tmp_path, rounds=2_000_000)]
    command = [*VAC, "schedule", *packages, "--record", "rec", "--segment", "12", "--slice", "1000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as running:
        segments = [tmp_path / "rec" / name / "segments.bin" for name in NAMES]
        while not all(path.exists() and path.stat().st_size > 500 for path in segments):
            assert running.poll() is None
            time.sleep(0.01)
        running.kill()
    for name in NAMES:
        recording = Recording(tmp_path / "rec" / name)
        assert recording.about.end is None and len(recording.segments) >= 4
        done = replay(recording, create_machine("fast", keeps_beams=False))
        assert not done.is_end_checked and done.ticks >= recording.entries[-1].tick


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--record", "rec", "--processes", 2), "machines in worker processes are not recorded"),
        (("--record", "there"), "there/ring1 is there already"),
        (("--record", "ring0.vac"), "cannot make the recording"),
        (("--run", "name"), "say --store as well"),
        (("--store", "ring0.vac"), "ring0.vac"),
        (("--store", "full"), "run 'left' is there up to tick"),
        (("--quota", "max_beams=3"), "no such quota here"),
    ],
)
def test_what_cannot_be_kept_is_said_in_a_line(group: list[Path], options: tuple[object, ...], message: str) -> None:
    vac("schedule", group[1], "--record", "there", "--slice", 3, "--until", 5, code=4)
    vac("schedule", group[4], "--store", "full", "--slice", 3, "--until", 5, code=4)
    said = vac("schedule", *group, *options, code=2)
    assert message in said and len(said.splitlines()) == 1
    assert not Path("rec").exists() and [path.name for path in Path("there").iterdir()] == ["ring1"]
    with open_store("full", writable=False) as store:
        assert [run.name for run in store.runs()] == ["left"]
