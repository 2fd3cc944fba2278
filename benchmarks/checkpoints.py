"""What checkpoints, recordings and time travel cost: `python -m benchmarks.checkpoints`.

Times are of the processor, of this process, with all its threads and what the system does for it, page faults and
writing included; what a disk takes to make a file safe stands apart. The long runs have 10^9 ticks: a loop that stores
to a single leaf, one that stores to sixteen in turn, and the four kernels, repeated. What keeping points costs is the
whole run with them against the whole run without, the best of several of each in turns.
"""

import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from benchmarks.measurement import Measurement
from benchmarks.results import Result
from vac.assembler.assemble import assemble
from vac.checkpoint.checkpoint import CheckpointFolder
from vac.checkpoint.point import Point
from vac.engines.registry import create_machine
from vac.history.history import History
from vac.host.session import Host
from vac.image.image import Image
from vac.machine.protocol import StopReason
from vac.recording.playback import Playback
from vac.recording.program import Program
from vac.recording.start import start_recording

_LEAVES = (1, 16, 256, 4096)
_SEEKS = 40
_KERNELS_FOLDER = Path(__file__).resolve().parents[1] / "firmware" / "kernels"
_KERNEL_RUNS = {"crc32": 290, "fib": 5_150_000, "sieve": 6_700, "copy": 325_000}
"""How often a kernel is repeated for about 10^9 ticks."""
_CRC_LOOP = (
    (".frame 6", ".frame 7"),
    ("mask, bits\n", "mask, bits, runs\n"),
    ("        li      pointer, 0\n", "        li      runs, 0\nagain:\n        li      pointer, 0\n"),
    ("        djnz    bytes, byte\n", "        djnz    bytes, byte\n        djnz    runs, again\n"),
)
"""CRC-32 alone does its work once."""
_FILL = """
.memory 33554432
.frame 4
        let     l0, 1000000
outer:  let     l1, 0
        let     l2, {leaves}
again:  add3    l3, l1, l0
        st32    l1, l3
        addw    l1, l1, 4096
        djnz    l2, again
        djnz    l0, outer
        halt
"""
_LOOPS = {
    "one_leaf": """
.memory 65536
.frame 4
        let     l3, 0x5EED
        st32a   l3, 40000
        let     l0, {rounds}
        li      l1, 0
again:  addi    l1, l1, 7
        andi    l2, l1, 252
        st32    l2, l1
        djnz    l0, again
        halt
""",
    "sixteen_leaves": """
.memory 524288
.frame 4
        let     l3, 0x5EED
        st32a   l3, 500000
        let     l0, {rounds}
        li      l1, 0
again:  addw    l1, l1, 4100
        andw    l2, l1, 0xF0FC
        st32    l2, l1
        djnz    l0, again
        halt
""",
}
_FAR = {"one_leaf": 40000, "sixteen_leaves": 500000}
_NEAR = {"one_leaf": 248, "sixteen_leaves": 8}


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _points(leaves: int, rounds: int, command: str) -> list[Result]:
    """Points of a machine that has stored to so many leaves since the one before."""
    image = assemble(_FILL.format(leaves=leaves))
    playback = Playback(create_machine("fast", keeps_beams=False), image, Point.initial(image), [])
    ticks = 5 * leaves + 4
    playback.run(ticks)
    taken = [playback.capture()]
    takes: list[float] = []
    hashes: list[float] = []
    for number in range(2, rounds + 2):
        playback.run(number * ticks)
        takes.append(_seconds(lambda: taken.append(playback.capture())))
        hashes.append(_seconds(taken[-1].root))
    restores = []
    for number in range(rounds):
        playback.run(taken[-1].tick + number)
        restores.append(_seconds(lambda: playback.restore(taken[0])))
    with tempfile.TemporaryDirectory() as folder:
        kept = CheckpointFolder(Path(folder))
        kept.save("first", taken[0])
        before, elapsed, busy = kept.store.bytes, [], []
        for number, point in enumerate(taken[1:]):
            began = time.perf_counter()
            busy.append(_seconds(lambda point=point, number=number: kept.save(f"p{number}", point)))
            elapsed.append(time.perf_counter() - began)
        size = (kept.store.bytes - before) / len(taken[1:])
    name = f"checkpoints.{leaves}_leaves"
    figures = {
        "take": (1e3 * statistics.median(takes), "ms"),
        "root": (1e3 * statistics.median(hashes), "ms"),
        "restore": (1e3 * statistics.median(restores), "ms"),
        "save": (1e3 * statistics.median(busy), "ms"),
        "save_elapsed": (1e3 * statistics.median(elapsed), "ms"),
        "disk": (size / 1024, "KiB"),
    }
    return [Result(f"{name}.{what}", value, unit, None, command) for what, (value, unit) in figures.items()]


def _run(image: Image) -> float:
    host = Host(create_machine("fast", keeps_beams=False), image)
    return _seconds(lambda: _to_end(host))


def _to_end(host: Host) -> None:
    assert host.run((1 << 64) - 1).reason is StopReason.HALTED


def _recorded(image: Image, folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    create = lambda: create_machine("fast", keeps_beams=False)  # noqa: E731
    recorder = start_recording(folder, Program(image), create, "fast")
    return _seconds(lambda: recorder.finish(recorder.run((1 << 64) - 1)))


def _travel(name: str, ticks: int, command: str) -> list[Result]:
    image = assemble(_LOOPS[name].format(rounds=ticks // 4))
    history = History(image, [])
    passed = _seconds(history.end)
    end, draw = history.tick, Random(1)
    seeks: list[float] = []
    steps: list[float] = []
    for _ in range(_SEEKS):
        tick = draw.randrange(1, end)
        seeks.append(_seconds(lambda tick=tick: history.seek(tick)))
        steps += [_seconds(history.step_back) for _ in range(2)]
    history.seek(end)
    slot = image.windows[0][1].slot
    far = _seconds(lambda: history.last_write(slot, _FAR[name], 4))
    near = _seconds(lambda: history.last_write(slot, _NEAR[name], 4))
    never = _seconds(lambda: history.last_write(slot, _NEAR[name] + 2048, 4))
    with tempfile.TemporaryDirectory() as folder:
        both = [(_run(image), _recorded(image, Path(folder) / "run")) for _ in range(3)]
        plain, recorded = (min(column) for column in zip(*both, strict=True))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    taking = history.timeline.seconds_taking / history.timeline.seconds_running
    figures = {
        "ticks": (end, "ticks"),
        "plain": (plain, "s"),
        "history": (passed, "s"),
        "share": (100 * taking, "% of run time"),
        "points": (len(history.timeline.kept), "points"),
        "memory": (history.timeline.held_bytes / 2**20, "MiB"),
        "seek": (1e3 * statistics.median(seeks), "ms"),
        "seek_worst": (1e3 * max(seeks), "ms"),
        "step_back": (1e3 * statistics.median(steps), "ms"),
        "step_back_worst": (1e3 * max(steps), "ms"),
        "who_wrote_far": (far, "s"),
        "who_wrote_near": (near, "s"),
        "who_wrote_never": (never, "s"),
        "recorded": (recorded, "s"),
        "recording_disk": (size / 1024, "KiB"),
    }
    return [Result(f"travel.{name}.{what}", value, unit, None, command) for what, (value, unit) in figures.items()]


def _kernel(name: str, runs: int) -> Image:
    source = (_KERNELS_FOLDER / f"{name}.vasm").read_text()
    for line, longer in _CRC_LOOP if name == "crc32" else ():
        assert line in source, f"{name}.vasm no longer says {line!r}"
        source = source.replace(line, longer)
    return assemble(re.sub(r"\bli +runs, \d+", f"let runs, {runs}", source))


def _followed(image: Image) -> History:
    return History.following(Host(create_machine("fast", keeps_beams=False), image), image)


def _kernel_costs(name: str, runs: int, rounds: int, command: str) -> list[Result]:
    """A kernel by itself, with a history that follows it, passed through by one, and recorded: processor seconds."""
    image, times = _kernel(name, runs), {"plain": 1e9, "followed": 1e9, "passed": 1e9, "recorded": 1e9}
    history, size = _followed(image), 0
    for _ in range(rounds):
        times["plain"] = min(times["plain"], _run(image))
        history = _followed(image)
        times["followed"] = min(times["followed"], _seconds(history.end))
        passed = History(image, [])
        times["passed"] = min(times["passed"], _seconds(passed.end))
        with tempfile.TemporaryDirectory() as folder:
            times["recorded"] = min(times["recorded"], _recorded(image, Path(folder) / "run"))
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    figures = {
        "ticks": (history.tick, "ticks"),
        **{what: (seconds, "s") for what, seconds in times.items()},
        **{
            f"{what}_cost": (100 * (times[what] / times["plain"] - 1), "% of run time")
            for what in ("followed", "passed", "recorded")
        },
        "points": (len(history.timeline.kept), "points"),
        "memory": (history.timeline.held_bytes / 2**20, "MiB"),
        "recording_disk": (size / 1024, "KiB"),
    }
    return [Result(f"kept.{name}.{what}", value, unit, None, command) for what, (value, unit) in figures.items()]


def measure_checkpoints(quick: bool, command: str) -> list[Result]:
    """All records. quick: a hundredth of the long run, fewer repetitions."""
    results: list[Result] = []
    for leaves in _LEAVES:
        results += _points(leaves, 3 if quick else 9, command)
    for name in _LOOPS:
        results += _travel(name, 10_000_000 if quick else 1_000_000_000, command)
    for name, runs in _KERNEL_RUNS.items():
        results += _kernel_costs(name, max(1, runs // 100) if quick else runs, 1 if quick else 3, command)
    return results


def print_checkpoints(results: Sequence[Result]) -> None:
    """Two tables: points by leaves stored to, and the long runs."""
    values = {record.name: record.value for record in results}
    print("leaves stored to   take ms   root ms   restore ms   save ms   save ms elapsed   KiB on disk")
    for leaves in _LEAVES:
        take, root, restore, save, elapsed, disk = (
            values[f"checkpoints.{leaves}_leaves.{what}"]
            for what in ("take", "root", "restore", "save", "save_elapsed", "disk")
        )
        print(f"{leaves:16} {take:9.2f} {root:9.2f} {restore:12.2f} {save:9.2f} {elapsed:17.2f} {disk:13.1f}")
    for name in _LOOPS:
        own = {key.rsplit(".", 1)[1]: value for key, value in values.items() if key.startswith(f"travel.{name}.")}
        print(
            f"{name}: {own['ticks']:,.0f} ticks in {own['plain']:.2f} s, passed through in {own['history']:.2f} s "
            f"({own['share']:.1f} % for {own['points']:.0f} points, {own['memory']:.0f} MiB), recorded in "
            f"{own['recorded']:.2f} s ({own['recording_disk']:.0f} KiB)\n"
            f"  seek {own['seek']:.1f} ms (worst {own['seek_worst']:.1f}), step back {own['step_back']:.1f} ms "
            f"(worst {own['step_back_worst']:.1f}), who wrote: long ago {own['who_wrote_far']:.2f} s, just now "
            f"{own['who_wrote_near']:.2f} s, nobody {own['who_wrote_never']:.2f} s"
        )
    for name in _KERNEL_RUNS:
        own = {key.rsplit(".", 1)[1]: value for key, value in values.items() if key.startswith(f"kept.{name}.")}
        print(
            f"{name}: {own['ticks']:,.0f} ticks in {own['plain']:.2f} s; points cost {own['followed_cost']:.1f} % "
            f"live, {own['passed_cost']:.1f} % passed through, {own['recorded_cost']:.1f} % recorded; "
            f"{own['points']:.0f} points, {own['memory']:.1f} MiB, {own['recording_disk']:.0f} KiB on disk"
        )


CHECKPOINTS = Measurement("checkpoints", __doc__, "a hundredth of the long run", measure_checkpoints, print_checkpoints)

if __name__ == "__main__":
    sys.exit(CHECKPOINTS.main())
