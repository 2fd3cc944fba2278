"""`make sim`: firmware on the RTL under Verilator, driven by cocotb, in lockstep with a reference, on real input.

By default the demo computes the CRC-32 of a file, and the result is compared with zlib's.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from vac.package.errors import PackageError
from vac.recording.program import Program
from vac.runtime.errors import InvalidImage
from vac.runtime.vac_image import VacImage

from .bench.job import Job, Result, write_json
from .bench.runner import BenchFailed, run_bench
from .case import Case
from .disturbance import Disturbance
from .model import BuildFailed
from .reference import create_reference
from .report import beam_lines, console_text, report_markdown, report_values
from .span import Span, picture_title, record_span
from .toolchain import ToolMissing
from .trace import TraceError
from .wave import IMAGE_NAME
from .workplace import workplace

_ROOT = Path(__file__).resolve().parents[2]
DEMO = _ROOT / "firmware" / "demos" / "crc32_file.vasm"
_DEMO_INPUT = _ROOT / "LICENSE"
_BEAM_LINES = 1000
_WAVE_LEAD, _WAVE_COUNT = 60, 600
_EVENT_FLAG = 2
_SLICE_TICKS = 1 << 16
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class BadInput(Exception):
    """What the user named cannot be run; the message says what to do."""


_FAILURES = (BadInput, BenchFailed, BuildFailed, InvalidImage, OSError, PackageError, ToolMissing, TraceError)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 the program ended well, 1 it did not or the RTL differs, 2 bad input, 130 Ctrl-C."""
    options = _parse(arguments)
    console = Console(stderr=True)
    out: Path = options.out
    try:
        if options.ticks < 1:
            raise BadInput(f"--ticks is {options.ticks}; 1 and more are possible")
        program, content = _read_inputs(options.program, options.input)
        with workplace(out) as folder:
            status = _run(options, program, content, folder, console)
    except _FAILURES as error:
        print(f"sim: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sim: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    console.print(f"results in {out}: report.md, wave.fst (wave.gtkw), wave.png, beams.bin")
    return status


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vac_sim.main", description=__doc__)
    parser.add_argument(
        "--program", type=Path, default=DEMO, help="source (.vasm, .vcpu), image (.vacimg) or package (.vac)"
    )
    parser.add_argument("--input", type=Path, help="file that the program's console reads")
    parser.add_argument("--reference", choices=("golden", "fast"), default="fast",
                        help="what the RTL is compared with: the definition, or its equal in C")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0,
                        help="disturbs the RTL with random evictions, back-pressure and host delays")  # fmt: skip
    parser.add_argument("--ticks", type=int, default=1 << 28, help="stop a program that does not halt")
    parser.add_argument("--out", type=Path, default=Path("build/sim"), help="folder for the results")
    return parser.parse_args(arguments)


def _is_demo(path: Path) -> bool:
    """Whether this is the program whose answer is known, by whatever name."""
    return path.resolve() == DEMO


def _read_inputs(path: Path, input_path: Path | None) -> tuple[Program, bytes]:
    program = _read_program(path)
    input_path = input_path or (_DEMO_INPUT if _is_demo(path) else None)
    if input_path is None:
        return program, b""
    if not input_path.is_file():
        raise BadInput(f"no input file {input_path}")
    return program, input_path.read_bytes()


def _read_program(path: Path) -> Program:
    if not path.exists():
        raise BadInput(f"no program {path}; name a source (.vasm, .vcpu), an image (.vacimg) or a package (.vac)")
    loaded = VacImage.load(path)
    return Program(loaded.image, loaded.package)


def _run(options: argparse.Namespace, program: Program, content: bytes, folder: Path, console: Console) -> int:
    image = program.image
    image.save(folder / IMAGE_NAME)
    name, data = program.file()
    (folder / name).write_bytes(data)
    input_path = ""
    if content:
        input_path = str(folder / "input.bin")
        Path(input_path).write_bytes(content)
    drawn = Disturbance.drawn(options.seed) if options.seed else Disturbance()
    disturbance = replace(drawn, slice_ticks=_SLICE_TICKS)
    ticks = min(options.ticks, program.most_ticks or options.ticks)
    job = Job(str(folder / name), input_path, options.reference, ticks, str(folder), disturbance)
    result = _simulate(job, len(content), console)
    span = _draw_wave(job, options, console)
    named = options.input or (_DEMO_INPUT if _is_demo(options.program) else None)
    values = report_values(_shown(options.program), _shown(named) if named else "", options.reference, result, span)
    verdicts, is_good = _judge(options, content, result)
    (folder / "report.md").write_text(report_markdown(values, verdicts), encoding="utf-8")
    write_json(folder / "report.json", {**values, "verdicts": verdicts})
    with job.beams_path.open("rb") as beams, (folder / "beams.jsonl").open("w", encoding="utf-8") as lines:
        for line in beam_lines(beams.read(16 * _BEAM_LINES), image, _BEAM_LINES):
            lines.write(json.dumps(line) + "\n")
    for name in ("job.json", "progress.json", "input.bin", "results.xml"):
        (folder / name).unlink(missing_ok=True)
    _summarize(values, verdicts, console)
    if result.mismatch:
        print(Path(result.mismatch).read_text(encoding="utf-8").replace(str(folder), str(options.out)), file=sys.stderr)
        for path in folder.glob("mismatch-*.txt"):
            path.write_text(path.read_text(encoding="utf-8").replace(str(folder), str(options.out)), encoding="utf-8")
    return 0 if is_good else 1


def _simulate(job: Job, input_bytes: int, console: Console) -> Result:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[what]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("running on the RTL", total=None, what="building and starting the simulator")

        def show(path: Path) -> None:
            if path.exists():
                ticks = json.loads(path.read_text())["ticks"]
                progress.update(task, what=f"{ticks:,} instructions compared")

        return run_bench(job, on_progress=show)


def _draw_wave(job: Job, options: argparse.Namespace, console: Console) -> Span:
    with console.status("writing the waveform"):
        first = max(0, _first_event(job.beams_path) - _WAVE_LEAD)
        case = Case.load(job.case_path)
        title = picture_title(case.image)
        return record_span(case, create_reference(options.reference), first, _WAVE_COUNT, Path(job.folder), title)


def _first_event(path: Path) -> int:
    """Tick of the first request to the host; 0 where there is none near the beginning."""
    with path.open("rb") as beams:
        head = beams.read(16 << 16)
    return next((tick for tick in range(len(head) // 16) if head[16 * tick + 5] & _EVENT_FLAG), 0)


def _judge(options: argparse.Namespace, content: bytes, result: Result) -> tuple[list[str], bool]:
    verdicts: list[str] = []
    is_good = result.stop == "HALTED" and not result.mismatch
    if result.stop == "TRAPPED":
        verdicts.append(f"The program trapped: {result.trap}.")
    if result.stop == "TICK":
        verdicts.append(f"The program did not halt within {result.ticks:,} instructions.")
    verdicts += [f"Denied: {line}" for line in result.denials]
    if _is_demo(options.program) and not result.mismatch:
        expected = f"{zlib.crc32(content):08x}"
        agrees = expected in result.output.lower()
        verdicts.append(
            f"CRC-32 of the input: zlib says {expected}, the firmware {'agrees' if agrees else 'does not'}."
        )
        is_good = is_good and agrees
    return verdicts, is_good


def _summarize(values: dict, verdicts: list[str], console: Console) -> None:
    console.print(
        f"{values['ticks']:,} instructions in {values['cycles']:,} cycles "
        f"({values['cycles_per_instruction']} cycles per instruction); lockstep with {values['reference']}: "
        f"{values['lockstep']}, digest {values['digest_rtl']}, "
        f"{values['compared_instructions_per_second'] or 0:,} compared instructions/s",
        highlight=False,
    )
    if values["output"]:
        console.print(console_text(values["output"]), highlight=False, markup=False)
    for verdict in verdicts:
        console.print(verdict, highlight=False, markup=False)


def _shown(path: Path) -> str:
    """Relative to here where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    sys.exit(main())
