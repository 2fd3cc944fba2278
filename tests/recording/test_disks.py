"""Recordings and checkpoints on disks that are full, or that can only be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.disks import mounted, remount
from tests.recording.runs import LARGE, SEGMENT_TICKS, TEXT, finished, fresh, program, recorded

from vac.assembler.assemble import assemble
from vac.checkpoint.errors import CheckpointError
from vac.machine.protocol import StopReason
from vac.recording.bundle import export_recording
from vac.recording.errors import RecordingError
from vac.recording.recorder import Recorder
from vac.recording.recording import MANIFEST, Recording
from vac.recording.replay import replay
from vac.recording.start import fork_recording, resume_recording, start_recording

TEXT_OF_LARGE = TEXT[:8]


def to_the_end(recorder: Recorder) -> None:
    """With a checkpoint every thousand ticks."""
    while (stop := recorder.run(recorder.tick + 1000)).reason is StopReason.TICK:
        recorder.checkpoint()
    recorder.finish(stop)


def test_a_run_that_met_a_full_disk_goes_on_where_there_is_room(tmp_path: Path) -> None:
    image = assemble(LARGE)
    whole = recorded(tmp_path / "whole", TEXT_OF_LARGE, image=image)
    met: set[str] = set()
    with mounted(tmp_path / "disk", "size=1m") as disk:
        for pages in range(1, 40, 2):
            remount(disk, f"size={4 * pages}k")
            folder, given = disk / "run", program(TEXT_OF_LARGE, image)
            try:
                to_the_end(start_recording(folder, given, fresh, "fast", SEGMENT_TICKS))
                break
            except (RecordingError, CheckpointError) as error:
                assert "No space left on device" in str(error)
                met.add(str(error).split(str(disk))[0].strip())
            assert not list(disk.rglob("*.part"))
            remount(disk, "size=4m")
            if (folder / MANIFEST).exists():
                assert replay(Recording(folder), fresh()).root
                to_the_end(resume_recording(Recording(folder), program(TEXT_OF_LARGE, image), fresh))
            else:
                to_the_end(start_recording(folder, given, fresh, "fast", SEGMENT_TICKS))
            assert Recording(folder).about.end == whole.about.end
            assert replay(Recording(folder), fresh()).is_end_checked
            shutil.rmtree(folder)
    assert len(met) >= 3, f"the disk was full at few places only: {met}"


def test_a_disk_that_can_only_be_read(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=4m") as disk:
        cut = start_recording(disk / "cut", program(), fresh, "fast", SEGMENT_TICKS)
        cut.finish(cut.run(700))
        whole = recorded(disk / "whole")
        remount(disk, "ro")
        before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        read_only = "Read-only file system"
        assert replay(whole, fresh()).is_end_checked
        assert export_recording(whole, tmp_path / "out.vacrun") > 0
        with pytest.raises(RecordingError, match=read_only):
            export_recording(whole, disk / "out.vacrun")
        with pytest.raises((RecordingError, CheckpointError), match=read_only):
            start_recording(disk / "new", program(), fresh, "fast", SEGMENT_TICKS)
        with pytest.raises(RecordingError, match=read_only):
            resume_recording(Recording(disk / "cut"), program(), fresh)
        with pytest.raises(CheckpointError, match=read_only):
            whole.checkpoints.save("x", whole.origin.point)
        assert {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()} == before
        fork = fork_recording(Recording(disk / "cut"), 300, tmp_path / "fork", program(b"other"), fresh)
        assert finished(fork).about.end
        remount(disk, "rw")
        assert finished(resume_recording(Recording(disk / "cut"), program(), fresh)).about.end == whole.about.end
