"""Recordings that are held to quotas: where they stop, and that they stop there however often they were cut off."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.recording.runs import SEGMENT_TICKS, finished, fresh, program

from vac.assembler.assemble import assemble
from vac.devices.device import BaseDevice, NotYet, Reply
from vac.devices.registry import register_device
from vac.host.capabilities import DEFAULT
from vac.machine.protocol import StopReason
from vac.memory.pager_spec import open_pager
from vac.package.manifest import DeviceSpec, Quotas
from vac.package.pack import Description, pack
from vac.recording.errors import RecordingError
from vac.recording.program import Program
from vac.recording.recorder import Recorder
from vac.recording.recording import MANIFEST, End, Recording
from vac.recording.replay import replay
from vac.recording.start import fork_recording, resume_recording, start_recording
from vac.scheduler.quota import Quota, StopCause

WALK = """
.memory 0x40000
        li      l0, 0
        li      l1, 60
again:  in 0; out 0                     # two requests a turn, and a leaf of its own
        st32    l0, l1
        addw    l0, l0, 4096
        liw     l2, 300
wait:   djnz    l2, wait
        djnz    l1, again
        halt
"""
TICKS = 18_363
LONG = bytes(range(33, 93))


def walk(quota: Quota) -> Program:
    return replace(program(LONG, assemble(WALK)), quota=quota)


def started(folder: Path, quota: Quota, engine: str = "fast") -> Recorder:
    return start_recording(folder, walk(quota), lambda: fresh(engine), engine, SEGMENT_TICKS)


def end_of(recording: Recording) -> End:
    assert recording.about.end
    return recording.about.end


@pytest.mark.parametrize("engine", ["golden", "fast", "jit"])
@pytest.mark.parametrize(
    ("quota", "cause"),
    [
        (Quota(max_ticks=7001), StopCause.TICKS),
        (Quota(max_beams=7001), StopCause.BEAMS),
        (Quota(max_resident_pages=25), StopCause.RESIDENT_PAGES),
        (Quota(max_io_per_slice=60), StopCause.IO),
    ],
)
def test_every_quota_stops_a_recording_at_one_place(
    tmp_path: Path, quota: Quota, cause: StopCause, engine: str
) -> None:
    whole = finished(started(tmp_path / "whole", quota, engine))
    end = end_of(whole)
    assert end.reason == cause.value
    if cause in (StopCause.TICKS, StopCause.BEAMS):
        assert end.tick == 7001
    if cause is StopCause.IO:
        assert end.entries == 60 and end.tick < 10_000
    assert replay(whole, fresh("golden")).is_end_checked
    assert replay(whole, fresh("jit")).root.hex() == end.root

    # Cut off behind, between and at segments, with what a crash leaves and without a checkpoint.
    for cut in (1, 299, 1024, 6500):
        folder = tmp_path / f"cut{cut}"
        recorder = started(folder, quota, engine)
        recorder.run(cut)
        if cut == 1024:
            recorder.checkpoint()
        recorder.close()
        resumed = finished(resume_recording(Recording(folder), walk(Quota()), lambda: fresh(engine)))
        assert end_of(resumed) == end, cut
        assert resumed.segments == whole.segments and resumed.entries == whole.entries


@pytest.mark.parametrize("quota", [Quota(max_ticks=7001), Quota(max_resident_pages=25), Quota(max_io_per_slice=60)])
def test_a_recording_that_stands_at_its_quota_stays_there(tmp_path: Path, quota: Quota) -> None:
    stopped = finished(started(tmp_path / "run", quota))
    end = end_of(stopped)
    resumed = resume_recording(stopped, walk(Quota()), fresh)
    stop = resumed.run(1 << 40)
    assert (stop.reason, resumed.tick) == (StopReason.TICK, end.tick)
    assert resumed.cause and resumed.cause.value == end.reason
    resumed.finish(stop)
    assert end_of(Recording(tmp_path / "run")) == end


def test_requests_are_counted_by_slices_of_the_program(tmp_path: Path) -> None:
    # 66 requests fall into the first 10,000 ticks, the others into the next.
    assert end_of(finished(started(tmp_path / "enough", Quota(max_io_per_slice=66)))).reason == "halted"
    recorder = started(tmp_path / "cut", Quota(max_io_per_slice=54))
    # The slice began before the cut.
    recorder.run(5000)
    recorder.close()
    end = end_of(finished(resume_recording(Recording(tmp_path / "cut"), walk(Quota()), fresh)))
    assert (end.reason, end.entries) == ("max_io_per_slice reached", 54)


def test_what_halts_at_its_quota_has_halted(tmp_path: Path) -> None:
    end = end_of(finished(started(tmp_path / "run", Quota(max_ticks=TICKS, max_beams=TICKS))))
    assert (end.reason, end.tick) == ("halted", TICKS)
    end = end_of(finished(started(tmp_path / "less", Quota(max_ticks=TICKS - 1, max_beams=TICKS - 1))))
    assert (end.reason, end.tick) == ("max_ticks reached", TICKS - 1)


def test_pages_in_frames_are_counted_where_there_is_a_pager(tmp_path: Path) -> None:
    quota = Quota(max_resident_pages=6)

    def paged() -> Program:
        return replace(walk(quota), pager=open_pager(frames=32, page_size=16384, tiers="ram"))

    whole = finished(start_recording(tmp_path / "whole", paged(), fresh, "fast", SEGMENT_TICKS))
    end = end_of(whole)
    assert (end.reason, replay(whole, fresh()).root.hex()) == ("max_resident_pages reached", end.root)
    # Counted in leaves of 4 KiB it would have been before tick 2,000.
    assert end.tick > 4000
    recorder = start_recording(tmp_path / "cut", paged(), fresh, "fast", SEGMENT_TICKS)
    recorder.run(3000)
    recorder.checkpoint()
    recorder.close()
    assert end_of(finished(resume_recording(Recording(tmp_path / "cut"), paged(), fresh))) == end


def test_a_fork_has_limits_of_its_own(tmp_path: Path) -> None:
    stopped = finished(started(tmp_path / "run", Quota(max_io_per_slice=40, max_resident_pages=30)))
    end = end_of(stopped)
    whole = end_of(finished(started(tmp_path / "whole", Quota())))
    rest = replace(walk(Quota()), source=LONG[end.entries // 2 :])
    fork = finished(fork_recording(stopped, end.tick, tmp_path / "fork", rest, fresh))
    assert (end_of(fork).reason, end_of(fork).root) == ("halted", whole.root)
    # With the same ones it counts from where it begins, cut off or not.
    held = Program.from_recording(stopped)
    held.source = rest.source
    fork = finished(fork_recording(stopped, end.tick, tmp_path / "held", held, fresh))
    assert end_of(fork).tick > end.tick and end_of(fork).reason.endswith(" reached")
    recorder = fork_recording(stopped, end.tick, tmp_path / "cut", held, fresh)
    recorder.run(end.tick + 500)
    recorder.close()
    assert end_of(finished(resume_recording(Recording(tmp_path / "cut"), held, fresh))) == end_of(fork)
    beams = replace(held, quota=Quota(max_beams=100))
    fork = finished(fork_recording(stopped, end.tick, tmp_path / "beams", beams, fresh))
    assert (end_of(fork).reason, end_of(fork).tick) == ("max_beams reached", end.tick + 100)


def test_a_package_s_own_quotas_hold_unless_others_are_given(tmp_path: Path) -> None:
    caps = [str(capability.name).lower() for capability in DEFAULT]
    packed = pack(assemble(WALK), Description("walk", caps, quotas=Quotas(max_io_per_slice=40, max_ticks=9000)))
    given = Program(packed.image, packed, LONG)
    run = finished(start_recording(tmp_path / "run", given, fresh, "fast", SEGMENT_TICKS))
    assert end_of(run).reason == "max_io_per_slice reached"
    assert Program.from_recording(run).limits == Quota(max_io_per_slice=40, max_ticks=9000)
    other = replace(given, quota=Quota(max_ticks=50))
    assert end_of(finished(start_recording(tmp_path / "other", other, fresh, "fast"))).tick == 50

    # A recording of the time before quotas were kept was held to the ticks of its package.
    recorder = start_recording(tmp_path / "old", given, fresh, "fast", SEGMENT_TICKS)
    recorder.run(1000)
    recorder.close()
    path = tmp_path / "old" / MANIFEST
    fields = json.loads(path.read_bytes())
    del fields["options"]["quota"]
    path.write_text(json.dumps(fields))
    old = finished(resume_recording(Recording(tmp_path / "old"), given, fresh))
    assert (end_of(old).reason, end_of(old).tick) == ("max_ticks reached", 9000)


@pytest.mark.parametrize("quota", [{"max_ticks": 0}, {"max_ticks": "9"}, {"max_fun": 3}, {"max_ticks": True}, [1]])
def test_limits_that_are_none_are_refused(tmp_path: Path, quota: object) -> None:
    finished(started(tmp_path / "run", Quota(max_ticks=10)))
    path = tmp_path / "run" / MANIFEST
    fields = json.loads(path.read_bytes())
    fields["options"]["quota"] = quota
    path.write_text(json.dumps(fields))
    with pytest.raises(RecordingError, match="no recording"):
        Recording(tmp_path / "run")


class Rain(BaseDevice):
    """Comes once it was asked for so many times; asked again after that it comes at once."""

    def __init__(self, asked: int) -> None:
        self.left = asked

    def read_register(self, register: int, tick: int) -> Reply:
        if self.left:
            self.left -= 1
            raise NotYet("it waits for rain")
        return Reply(7)


WEATHER: list[int] = []
register_device("rain", lambda options, context: Rain(WEATHER[-1]))


def rainy(asked: int) -> Program:
    """A package whose device waits at tick 302. Each host that is made until the next call has one like it."""
    WEATHER.append(asked)
    image = assemble("lit 65; out 0\n" + 300 * "nop\n" + "in 0x50; in 0x50; halt")
    devices = {"0x00": DeviceSpec(kind="console"), "0x50": DeviceSpec(kind="rain")}
    packed = pack(image, Description("rainy", ("console",), devices=devices))
    return Program(packed.image, packed)


def test_a_machine_that_waits_for_ever_ends_the_recording_which_can_go_on(tmp_path: Path) -> None:
    recorder = start_recording(tmp_path / "run", rainy(9), fresh, "fast", SEGMENT_TICKS)
    stop = recorder.run(1 << 40)
    assert (stop.reason, recorder.cause, recorder.tick) == (StopReason.TICK, StopCause.PEERS, 302)
    assert str(recorder.host.waits_for) == "it waits for rain"
    recorder.finish(stop)
    waiting = Recording(tmp_path / "run")
    end = end_of(waiting)
    assert (end.reason, end.tick, end.entries) == (StopCause.PEERS.value, 302, 1)
    assert replay(waiting, fresh("golden")).is_end_checked
    # It still waits; then what it waits for has come.
    again = finished(resume_recording(waiting, rainy(9), fresh))
    assert end_of(again) == end
    gone_on = finished(resume_recording(again, rainy(0), fresh))
    straight = finished(start_recording(tmp_path / "straight", rainy(0), fresh, "fast", SEGMENT_TICKS))
    assert end_of(gone_on) == end_of(straight) and end_of(straight).reason == "halted"


def test_what_comes_when_it_is_asked_for_again_does_not_end_the_recording(tmp_path: Path) -> None:
    run = finished(start_recording(tmp_path / "run", rainy(1), fresh, "fast", SEGMENT_TICKS))
    assert end_of(run).reason == "halted"
