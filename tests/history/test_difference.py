"""Where two runs part: what a comparison of everything finds, found without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests.recording.runs import TEXT, finished, fresh, program, recorded

from vac.assembler.assemble import assemble
from vac.history.difference import find_parting
from vac.machine.protocol import StopReason
from vac.recording.errors import RecordingError, ReplayMismatch
from vac.recording.playback import Playback
from vac.recording.recording import Recording
from vac.recording.segments import encode_segments
from vac.recording.start import fork_recording, start_recording


def linear(one: Recording, other: Recording) -> int | None:
    """The first tick at which beams or answers are not the same, all of them compared."""
    beams: list[bytes] = []
    for recording in (one, other):
        machine = fresh("golden")
        playback = Playback(machine, recording.image, recording.origin.point, recording.entries)
        playback.run(1 << 40)
        beams.append(machine.drain_beams())
    answers = [{entry.tick: entry for entry in recording.entries} for recording in (one, other)]
    for tick in range(max(map(len, beams)) // 16 + 1):
        if answers[0].get(tick) != answers[1].get(tick):
            return tick
        if beams[0][16 * tick : 16 * tick + 16] != beams[1][16 * tick : 16 * tick + 16]:
            return tick
    return None


def test_the_same_run_twice(tmp_path: Path) -> None:
    assert find_parting(recorded(tmp_path / "a"), recorded(tmp_path / "b", engine="golden")) is None


def test_other_input_is_found_where_a_full_comparison_finds_it(tmp_path: Path) -> None:
    first, draw = recorded(tmp_path / "first"), Random(2)
    for number in range(8):
        text = bytearray(TEXT)
        if number % 4 == 3:
            del text[draw.randrange(1, len(text)) :]
        else:
            text[draw.randrange(len(text))] ^= 1
        other = recorded(tmp_path / str(number), bytes(text))
        parting = find_parting(first, other)
        assert parting
        assert parting.tick == linear(first, other)
        assert parting.what == "input"
        assert parting.searched <= 2 * 256
        assert parting.differences == ()
        assert next(side.entry for side in parting.sides) != [side.entry for side in parting.sides][1]
        assert parting.sides[0].instruction == parting.sides[1].instruction == "sys 0"
        swapped = find_parting(other, first)
        assert swapped and swapped.tick == parting.tick


def test_another_program_is_found_at_its_first_other_instruction(tmp_path: Path) -> None:
    source = "let l0, {0}\nagain: addi l1, l1, 3\ndjnz l0, again\naddi l1, l1, {1}\nk0\nhalt\n.frame 2\n"
    runs = []
    for number, values in enumerate(((1000, 5), (1000, 6), (1000, 5), (900, 5))):
        given = program(b"", assemble(source.format(*values)))
        runs.append(finished(start_recording(tmp_path / str(number), given, fresh, "fast", 256)))
    parting = find_parting(runs[0], runs[1])
    # The code differs from the start; it is in memory.
    assert parting and (parting.what, parting.tick) == ("start", 0)
    assert find_parting(runs[0], runs[2]) is None


def test_recordings_that_only_say_that_they_part(tmp_path: Path) -> None:
    first = recorded(tmp_path / "first")
    second = recorded(tmp_path / "second")
    wrong = [replace(s, digest=(s.digest or 0) ^ 1) if s.tick > 700 else s for s in second.segments]
    second.segment_path.write_bytes(encode_segments(wrong))
    with pytest.raises(ReplayMismatch, match="run again they are the same"):
        find_parting(first, Recording(second.folder))


def test_a_patched_fork_parts_where_it_was_patched(tmp_path: Path) -> None:
    first = recorded(tmp_path / "first")
    fork = finished(fork_recording(first, 500, tmp_path / "fork", program(TEXT), fresh, [(1, 4096, b"\1")]))
    parting = find_parting(first, fork)
    assert parting and (parting.what, parting.tick) == ("start", 500)
    assert parting.leaves == ((1, 1),)
    other = finished(fork_recording(first, 500, tmp_path / "other", program(b"zzz"), fresh))
    parting = find_parting(first, other)
    assert parting and parting.what == "input"
    assert parting.tick == next(e.tick for e in other.entries if e.answer.writes)


def test_one_that_was_cut_off_does_not_part(tmp_path: Path) -> None:
    first = recorded(tmp_path / "first")
    recorder = start_recording(tmp_path / "cut", program(), fresh, "fast", 256)
    assert find_parting(first, finished(recorder, until=900)) is None
    recorder = start_recording(tmp_path / "killed", program(), fresh, "fast", 256)
    assert recorder.run(900).reason is StopReason.TICK
    recorder.close()
    assert find_parting(Recording(tmp_path / "killed"), first) is None


def test_runs_that_have_no_tick_in_common(tmp_path: Path) -> None:
    first = recorded(tmp_path / "first")
    fork = finished(fork_recording(first, 900, tmp_path / "fork", program(b"q"), fresh))
    short = finished(start_recording(tmp_path / "short", program(), fresh, "fast", 256), until=300)
    with pytest.raises(RecordingError, match="before the other begins"):
        find_parting(short, fork)
