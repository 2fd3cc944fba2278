"""Crash campaign: recordings whose process is killed at random moments, again and again, and resumed each time.

``python -m vac.campaigns.crashes --kills 300`` records a program that reads, computes and writes, kills the recorder
with SIGKILL at random moments (also while it opens, replays and takes checkpoints), resumes, and in the end compares
everything that the run determines with a recording that nobody disturbed. After each kill all that the recorder had
spoken of must be there and whole. What it did is written to ``build/campaigns``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from ..assembler.assemble import assemble
from ..checkpoint.errors import CheckpointError
from ..engines.registry import create_machine
from ..image.image import Image
from ..machine.protocol import Machine, StopReason
from ..recording.errors import RecordingError
from ..recording.input_log_file import InputLogFile
from ..recording.program import Program
from ..recording.recorder import Recorder
from ..recording.recording import Recording
from ..recording.replay import replay
from ..recording.start import resume_recording, start_recording

SOURCE = """
.memory 65536
.frame 6
again:  lit 0; lit32 100; lit 3; sys 0          # up to three bytes to 100
        set0
        bz      l0, end
        sys 6; st32a s, 4096
        let     l2, {spin}
spin:   addi    l3, l3, 7
        addw    l4, l3, 0
        andw    l4, l4, 0xFFFC
        st32    l4, l3
        djnz    l2, spin
        lit 0; lit32 100; get0; sys 1; drop     # and out again
        jmp     again
end:    get3
        halt
"""
SEGMENT_TICKS = 1 << 12


class CrashFailure(Exception):
    """Something that was acknowledged is not there, or a run ended otherwise than it would have."""


@dataclass
class Tally:
    """kills: processes killed. finished: runs that came to their end. torn: bytes cut from logs. kept: answers that
    survived kills. checkpoints: found after kills."""

    kills: int = 0
    finished: int = 0
    torn: int = 0
    kept: int = 0
    checkpoints: int = 0


def crash_image(spin: int = 400) -> Image:
    return assemble(SOURCE.format(spin=spin))


def crash_text(seed: int, length: int = 400) -> bytes:
    return Random(seed).randbytes(length)


def _program(text: bytes, image: Image) -> Program:
    return Program(image, source=text, seed=9)


def _machine() -> Machine:
    return create_machine("fast", keeps_beams=False)


def facts(recording: Recording) -> tuple[bytes, bytes, object]:
    """All of a recording that the run determines."""
    return recording.log_path.read_bytes(), recording.segment_path.read_bytes(), recording.about.end


def record_to_the_end(folder: Path, seed: int, spin: int) -> None:
    """What a killed process does: begins or resumes, and says what is safe, a line at a time."""
    text, image = crash_text(seed), crash_image(spin)
    draw = Random(os.getpid())
    recorder: Recorder
    if (folder / "recording.json").exists():
        recorder = resume_recording(Recording(folder), _program(text, image), _machine)
    else:
        recorder = start_recording(folder, _program(text, image), _machine, "fast", SEGMENT_TICKS)
    while True:
        stop = recorder.run(recorder.tick + 5000)
        if stop.reason is not StopReason.TICK:
            break
        if draw.random() < 0.3:
            recorder.checkpoint()
        else:
            recorder.commit()
        print(recorder.log.acknowledged, flush=True)
    recorder.finish(stop)
    print("end", flush=True)


def _run_until_killed(folder: Path, seed: int, spin: int, seconds: float) -> tuple[int, bool]:
    """Entries that the process spoke of, and whether it came to the end."""
    command = [sys.executable, "-m", "vac.campaigns.crashes", "--child", str(folder), str(seed), str(spin)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        output, errors = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        output, errors = child.communicate()
    if child.returncode not in (0, -signal.SIGKILL):
        raise CrashFailure(f"{folder}: the recorder failed: {errors.decode()[-2000:]}")
    lines = output.split(b"\n")[:-1]
    numbers = [int(line) for line in lines if line != b"end"]
    return max(numbers, default=0), b"end" in lines


def crash_one(base: Path, seed: int, kills: int, spin: int, tally: Tally) -> None:
    """One run, killed up to so many times. Raises CrashFailure."""
    draw, folder = Random(seed), base / f"run{seed}"
    text, image = crash_text(seed), crash_image(spin)
    recorder = start_recording(base / f"whole{seed}", _program(text, image), _machine, "fast", SEGMENT_TICKS)
    recorder.finish(recorder.run(1 << 60))
    whole = Recording(base / f"whole{seed}")
    is_finished, spoken, startup = False, 0, _startup_seconds()
    for _ in range(kills):
        seconds = startup * draw.uniform(0.2, 1.0) if draw.random() < 0.2 else startup + draw.random() * 0.25
        said, is_finished = _run_until_killed(folder, seed, spin, seconds)
        spoken = max(spoken, said)
        if is_finished:
            break
        tally.kills += 1
        _check(folder, whole, spoken, tally)
    if not is_finished:
        _, is_finished = _run_until_killed(folder, seed, spin, 3600)
    tally.finished += 1
    if not is_finished or facts(Recording(folder)) != facts(whole):
        raise CrashFailure(f"{folder}: the resumed run is not what the undisturbed one is")


def _check(folder: Path, whole: Recording, spoken: int, tally: Tally) -> None:
    """What a kill left is whole, and holds all that was spoken of."""
    if not (folder / "recording.json").exists():
        if spoken:
            raise CrashFailure(f"{folder}: {spoken} answers were acknowledged, and there is no recording")
        return  # nothing was promised yet: the next process begins again
    try:
        found = Recording(folder)
        entries = found.entries
        if len(entries) < spoken or entries != whole.entries[: len(entries)]:
            raise CrashFailure(f"{folder}: {spoken} answers were acknowledged, {len(entries)} are there")
        if found.segments != whole.segments[: len(found.segments)]:
            raise CrashFailure(f"{folder}: the segments are not those of the run")
        for checkpoint in found.checkpoints.all():
            tally.checkpoints += 1
            for _ in checkpoint.point.memory.items():
                pass
        replay(found, _machine())
    except (RecordingError, CheckpointError) as error:
        raise CrashFailure(f"{folder}: damaged by a kill: {error}") from error
    if found.log_path.exists():
        log = InputLogFile(found.log_path)
        tally.torn += log.cut_bytes
        log.close()
    tally.kept += len(entries)


def _startup_seconds() -> float:
    """How long a process takes to be ready here and now."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import vac.campaigns.crashes"], check=True)
    return time.monotonic() - began


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 nothing was lost, 1 something was, 2 could not run."""
    parser = argparse.ArgumentParser(prog="python -m vac.campaigns.crashes", description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="processes to kill")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--spin", type=int, default=4000, help="rounds that the program computes between its inputs")
    parser.add_argument("--output", type=Path, default=Path("build/campaigns"), help="folder of the report")
    parser.add_argument("--child", nargs=3, metavar=("FOLDER", "SEED", "SPIN"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        folder, seed, spin = options.child
        record_to_the_end(Path(folder), int(seed), int(spin))
        return 0
    began, tally, seed = time.monotonic(), Tally(), options.first
    failure = None
    with tempfile.TemporaryDirectory() as base:
        try:
            while tally.kills < options.kills:
                crash_one(Path(base), seed, min(12, options.kills - tally.kills), options.spin, tally)
                seed += 1
        except CrashFailure as error:
            failure = f"seed {seed}: {error}"
    report = {**asdict(tally), "seeds": seed, "failure": failure, "seconds": round(time.monotonic() - began, 1)}
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "crashes.json").write_text(json.dumps(report, indent=1) + "\n")
    except OSError as error:
        print(f"crash campaign: cannot write the report: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report))
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
