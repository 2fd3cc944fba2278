"""Recordings: the same on every engine, in every process, after every interruption; what is damaged is refused."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests.recording.runs import LARGE, SEGMENT_TICKS, TEXT, busy_image, finished, fresh, program, recorded

from vac.assembler.assemble import assemble
from vac.checkpoint.capture import MemoryCapture
from vac.checkpoint.encoding import Checkpoint, decode_checkpoint, encode_checkpoint
from vac.checkpoint.leaf_store import LeafStore
from vac.checkpoint.memory_map import MemoryMap
from vac.checkpoint.point import Point, moment_of
from vac.host.input_log import InputLog, ReplayError
from vac.machine.protocol import Answer, StopReason
from vac.machine.state import Status
from vac.memory.pager_spec import open_pager
from vac.package.pack import Description, pack
from vac.recording.bundle import encode_bundle, export_recording, import_recording
from vac.recording.errors import RecordingError, ReplayMismatch
from vac.recording.family import family, flattened, prune
from vac.recording.input_log_file import encode_log
from vac.recording.program import Program
from vac.recording.recorder import Recorder, place_host
from vac.recording.recording import Recording
from vac.recording.replay import replay
from vac.recording.segments import MAGIC, decode_segments, encode_segments
from vac.recording.start import fork_recording, resume_recording, start_recording


def facts(recording: Recording) -> tuple[bytes, bytes, object]:
    """All of a recording that the run determines."""
    return recording.log_path.read_bytes(), recording.segment_path.read_bytes(), recording.about.end


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recorded(tmp_path_factory.mktemp("run") / "reference")


def test_a_recording_says_how_the_run_went(reference: Recording) -> None:
    end = reference.about.end
    assert end and end.reason == "halted"
    assert end.entries == len(reference.entries) > 50
    assert [segment.tick for segment in reference.segments] == list(range(256, end.tick, 256))
    assert encode_segments(reference.segments) == reference.segment_path.read_bytes()


@pytest.mark.parametrize("engine", ["golden", "fast", "jit", pytest.param("rtl", marks=pytest.mark.rtl)])
def test_every_engine_records_and_replays_the_same(tmp_path: Path, reference: Recording, engine: str) -> None:
    assert facts(recorded(tmp_path / "run", engine=engine)) == facts(reference)
    output = bytearray()
    found = replay(reference, fresh(engine), on_output=output.extend)
    assert found.segments == len(reference.segments)
    assert found.is_end_checked
    assert reference.about.end and found.root.hex() == reference.about.end.root
    assert bytes(output) == TEXT


@pytest.mark.parametrize("hash_seed", ["0", "1", "77"])
def test_other_processes_and_hash_seeds_give_the_same(tmp_path: Path, reference: Recording, hash_seed: str) -> None:
    (tmp_path / "busy.vacimg").write_bytes(busy_image().to_bytes())
    (tmp_path / "text").write_bytes(TEXT)
    engine = "golden" if hash_seed == "1" else "fast"
    command = ["record", "busy.vacimg", "-o", "run", "--input", "text", "--seed", "5", "--segment", "8"]
    done = subprocess.run(
        [sys.executable, "-c", "from vac.cli import main; main()", *command, "--engine", engine],
        cwd=tmp_path, env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == TEXT
    assert facts(Recording(tmp_path / "run")) == facts(reference)


def test_one_restored_at_every_tick_ends_as_one_that_ran_through(tmp_path: Path, reference: Recording) -> None:
    """Through the bytes of a checkpoint each time, on another engine each time, with its devices."""
    output, store = bytearray(), LeafStore(tmp_path)
    given = program(output=output)
    host = given.host(fresh())
    memory = MemoryMap.of_segments(host.memory.segments)
    point, ticks, draw = Point(host.machine.state(), memory, host=host.save()), 0, Random(1)
    while point.state.status is Status.RUNNING:
        checkpoint = Checkpoint("x", point, Recording(reference.folder).origin.created)
        store.add(point.memory)
        point = decode_checkpoint("x", encode_checkpoint(checkpoint), store).point
        host = given.host(fresh(draw.choice(("fast", "fast", "golden"))))
        place_host(host, point)
        capture = MemoryCapture(host.machine, host.memory.residency, point.memory)
        host.run(point.tick + 1)
        memory, written = capture.take()
        point = Point(host.machine.state(), memory, host.answered, written, host.save())
        ticks += 1
        given.source = TEXT
    end = reference.about.end
    assert end and (ticks, moment_of(point.state), point.root().hex()) == (end.moment, end.moment, end.root)
    assert bytes(output) == TEXT


def test_one_resumed_at_many_places_ends_as_one_that_ran_through(tmp_path: Path, reference: Recording) -> None:
    output = bytearray()
    recorder = start_recording(tmp_path / "run", program(output=output), fresh, "fast", SEGMENT_TICKS)
    for until in range(37, 3000, 173):
        stop = recorder.run(until)
        if until % 2:
            recorder.checkpoint()
        if stop.reason is not StopReason.TICK:
            break
        # As a crash leaves it: nothing is ended.
        recorder.close()
        recorder = resume_recording(Recording(tmp_path / "run"), program(output=output), fresh)
    assert facts(finished(recorder)) == facts(reference)
    assert bytes(output) == TEXT


def test_one_that_came_to_its_limit_goes_on(tmp_path: Path, reference: Recording) -> None:
    recorder = start_recording(tmp_path / "run", program(), fresh, "fast", SEGMENT_TICKS)
    stopped = finished(recorder, until=700)
    assert stopped.about.end and (stopped.about.end.reason, stopped.about.end.tick) == ("limit", 700)
    assert replay(stopped, fresh("golden")).ticks == 700
    resumed = finished(resume_recording(stopped, program(), lambda: fresh("jit")))
    assert facts(resumed) == facts(reference)
    with pytest.raises(RecordingError, match="halted at tick"):
        resume_recording(resumed, program(), fresh)


def test_torn_files_are_cut_where_they_are_whole(tmp_path: Path, reference: Recording) -> None:
    draw = Random(3)
    log, segments = reference.log_path.read_bytes(), reference.segment_path.read_bytes()
    for number in range(8):
        folder = tmp_path / str(number)
        recorder = start_recording(folder, program(), fresh, "fast", SEGMENT_TICKS)
        recorder.close()
        (folder / "inputs.log").write_bytes(log[: draw.randrange(len(log))])
        (folder / "segments.bin").write_bytes(segments[: draw.randrange(len(segments))])
        torn = Recording(folder)
        assert torn.entries == reference.entries[: len(torn.entries)]
        replay(torn, fresh())
        assert facts(finished(resume_recording(torn, program(), fresh))) == facts(reference)


def test_export_and_import_keep_everything(tmp_path: Path, reference: Recording) -> None:
    path = tmp_path / "run.vacrun"
    assert export_recording(reference, path) == len(path.read_bytes())
    again = import_recording(path, tmp_path / "again")
    assert facts(again) == facts(reference)
    assert encode_bundle(again) == path.read_bytes()
    assert replay(again, fresh("golden")).is_end_checked
    with pytest.raises(RecordingError, match="is there already"):
        import_recording(path, tmp_path / "again")


def test_a_changed_byte_of_an_exported_recording_is_refused_or_found_by_replay(
    tmp_path: Path, reference: Recording
) -> None:
    path, draw = tmp_path / "run.vacrun", Random(9)
    content = encode_bundle(reference)
    refused = 0
    for number in range(60):
        damaged = bytearray(content)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        folder = tmp_path / f"run{number}"
        try:
            found = import_recording(path, folder)
            replay(found, fresh())
        except (RecordingError, ReplayError):
            refused += 1
            continue
        # What is left is a text about the run, or a torn end.
        assert found.entries == reference.entries[: len(found.entries)]
        assert found.segments == reference.segments[: len(found.segments)]
    assert refused > 40
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_replay_says_in_which_segment_a_run_parts(tmp_path: Path, reference: Recording) -> None:
    copy = import_recording(_exported(reference, tmp_path), tmp_path / "copy")
    entries = list(copy.entries)
    index = next(i for i, entry in enumerate(entries) if entry.tick > 900 and entry.answer.writes)
    slot, offset, data = entries[index].answer.writes[0]
    answer = replace(entries[index].answer, writes=((slot, offset, bytes(len(data))),))
    entries[index] = replace(entries[index], answer=answer)
    copy.log_path.write_bytes(encode_log(InputLog(entries)))
    boundary = next(s.tick for s in copy.segments if s.tick > entries[index].tick)
    with pytest.raises(ReplayMismatch, match=f"between tick {boundary - 256:,} and tick {boundary:,}"):
        replay(Recording(copy.folder), fresh())
    entries[index] = replace(entries[index], tick=entries[index].tick + 1, answer=Answer())
    copy.log_path.write_bytes(encode_log(InputLog(entries)))
    with pytest.raises(ReplayError, match="another image"):
        replay(Recording(copy.folder), fresh())


def _exported(recording: Recording, folder: Path) -> Path:
    export_recording(recording, folder / "exported.vacrun")
    return folder / "exported.vacrun"


def test_another_program_is_refused(tmp_path: Path, reference: Recording) -> None:
    copy = import_recording(_exported(reference, tmp_path), tmp_path / "copy")
    (copy.folder / "program.vacimg").write_bytes(busy_image().to_bytes() + b"!")
    with pytest.raises(RecordingError, match="another one than was recorded"):
        replay(Recording(copy.folder), fresh())


def test_what_is_no_recording(tmp_path: Path, reference: Recording) -> None:
    with pytest.raises(RecordingError, match=r"cannot read .*recording\.json"):
        Recording(tmp_path)
    for text in ("", "[]", '{"format":"x"}', '{"format":"vac-recording","version":2}'):
        (tmp_path / "recording.json").write_text(text)
        with pytest.raises(RecordingError, match=r"recording\.json"):
            Recording(tmp_path)
    fields = json.loads((reference.folder / "recording.json").read_text())
    for name, value in (("segment_ticks", 3), ("program", "../x"), ("program", ".x"), ("end", {}), ("more", 1)):
        (tmp_path / "recording.json").write_text(json.dumps({**fields, name: value}))
        with pytest.raises(RecordingError):
            Recording(tmp_path)
    with pytest.raises(RecordingError, match="not a file of segments"):
        decode_segments(b"something else")
    assert decode_segments(MAGIC[:5]) == ([], 0, 0)
    with pytest.raises(RecordingError, match="is there already"):
        start_recording(reference.folder, program(), fresh, "fast")


def test_a_full_disk_loses_nothing(tmp_path: Path, reference: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = start_recording(tmp_path / "run", program(), fresh, "fast", SEGMENT_TICKS)
    real, left = os.pwrite, [40]

    def pwrite(file: int, data: bytes, position: int) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data, position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(RecordingError, match="No space left"):
        recorder.run(100_000)
    monkeypatch.undo()
    recorder.close()
    stopped = Recording(tmp_path / "run")
    assert 10 < len(stopped.entries) < 50
    assert stopped.entries == reference.entries[: len(stopped.entries)]
    assert facts(finished(resume_recording(stopped, program(), fresh))) == facts(reference)


# ---- forks --------------------------------------------------------------------------------------------------------


def test_a_fork_with_the_input_that_was_left_is_the_run_itself(tmp_path: Path, reference: Recording) -> None:
    end = reference.about.end
    assert end
    for tick in (0, 1, 300, 333, end.tick - 1):
        taken = sum(len(data) for e in reference.entries if e.tick < tick for _, _, data in e.answer.writes)
        recorder = fork_recording(reference, tick, tmp_path / str(tick), program(TEXT[taken:]), fresh)
        fork = finished(recorder)
        assert fork.about.end
        assert (fork.about.end.root, fork.about.end.digest) == (end.root, end.digest)
        shared = [segment.chain for segment in reference.segments if segment.tick > tick]
        assert [segment.chain for segment in fork.segments] == shared


def test_forks_of_forks_replay_and_stand_in_a_tree(tmp_path: Path) -> None:
    first = recorded(tmp_path / "first")
    second = finished(fork_recording(first, 500, tmp_path / "second", program(b"another text"), fresh, name="dream"))
    third = finished(fork_recording(second, 700, tmp_path / "third", program(b"x"), fresh, [(1, 4096, b"\1\2\3\4")]))
    fourth = finished(fork_recording(first, 100, tmp_path / "fourth", program(b""), fresh))
    roots = {run.about.end.root for run in (first, second, third, fourth) if run.about.end}
    assert len(roots) == 4
    for run in (first, second, third, fourth):
        for engine in ("fast", "golden"):
            assert replay(Recording(run.folder), fresh(engine)).is_end_checked
    assert third.about.parent and third.about.parent.patches == ((1, 4096, "01020304"),)
    tree = [(kin.recording.folder.name, kin.depth) for kin in flattened(family(tmp_path))]
    assert sorted(tree) == [("first", 0), ("fourth", 1), ("second", 1), ("third", 2)]
    assert tree.index(("third", 2)) == tree.index(("second", 1)) + 1
    chosen = next(kin for kin in flattened(family(tmp_path)) if kin.recording.folder.name == "second")
    assert [path.name for path in prune(chosen)] == ["third", "second"]
    assert [kin.recording.folder.name for kin in flattened(family(tmp_path))] == ["first", "fourth"]


def test_a_fork_can_be_interrupted_and_resumed(tmp_path: Path, reference: Recording) -> None:
    whole = finished(fork_recording(reference, 400, tmp_path / "whole", program(b"other text here"), fresh))
    recorder = fork_recording(reference, 400, tmp_path / "parts", program(b"other text here"), fresh)
    recorder.run(600)
    recorder.close()
    parts = finished(resume_recording(Recording(tmp_path / "parts"), program(b"other text here"), fresh))
    assert facts(parts) == facts(whole)


@pytest.mark.parametrize("tiers", ["ram", "lz4@16KiB,file:{}"])
def test_a_machine_under_a_pager_is_recorded_resumed_and_forked(tmp_path: Path, tiers: str) -> None:
    image, text = assemble(LARGE), TEXT[:12]
    whole = recorded(tmp_path / "whole", text, image=image)
    assert len(whole.segments) > 10

    def paged() -> Program:
        pager = open_pager(frames=20, page_size=4096, tiers=tiers.format(tmp_path / "pages"))
        return replace(program(text, image), pager=pager)

    def stopped(recorder: Recorder, given: Program, until: int = 1 << 60) -> Recording:
        recorder.finish(recorder.run(until))
        pager = given.pager
        assert pager and recorder.host.memory.paged and recorder.host.memory.paged.statistics.evictions > 50
        pager.close()
        return Recording(recorder.recording.folder)

    given = paged()
    cut = stopped(start_recording(tmp_path / "cut", given, fresh, "fast", SEGMENT_TICKS), given, 1001)
    for until in (2000, 1 << 60):
        given = paged()
        cut = stopped(resume_recording(cut, given, fresh), given, until)
    assert facts(cut) == facts(whole)
    assert replay(cut, fresh("golden")).is_end_checked

    assert whole.about.end
    at = whole.about.end.tick // 2
    patches = [(1, 4096 * 50, b"dream")]
    plain = finished(fork_recording(whole, at, tmp_path / "plain", program(b"xyz", image), fresh, patches), 1 << 60)
    given = replace(paged(), source=b"xyz")
    fork = stopped(fork_recording(cut, at, tmp_path / "fork", given, fresh, patches), given)
    assert facts(fork) == facts(plain) and facts(fork)[2] != facts(whole)[2]


def test_what_cannot_be_forked(tmp_path: Path, reference: Recording) -> None:
    end = reference.about.end
    assert end
    with pytest.raises(RecordingError, match="is not in it"):
        fork_recording(reference, end.tick + 1, tmp_path / "x", program(), fresh)
    with pytest.raises(RecordingError, match="has no future"):
        fork_recording(reference, end.tick, tmp_path / "x", program(), fresh)
    with pytest.raises(RecordingError, match="cannot be patched"):
        fork_recording(reference, 5, tmp_path / "x", program(), fresh, [(1, 1 << 32, b"x")])
    assert not (tmp_path / "x").exists()


def test_a_package_is_recorded_resumed_and_replayed(tmp_path: Path, reference: Recording) -> None:
    grants = ("clock", "console", "entropy", "memory", "storage")
    packed = pack(busy_image(), Description("busy", grants, seeds={"entropy": 5}))
    (tmp_path / "bytes").write_bytes(b"of the storage")
    given = Program(packed.image, packed, TEXT, storage=tmp_path / "bytes")
    recorder = start_recording(tmp_path / "run", given, fresh, "fast", SEGMENT_TICKS)
    recorder.run(700)
    recorder.close()
    run = finished(resume_recording(Recording(tmp_path / "run"), given, fresh))
    assert facts(run) == facts(reference)
    replay(run, fresh())
