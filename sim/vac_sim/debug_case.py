"""A lockstep case as a program for the debugger: it opens where the RTL and the reference part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vac.debugger.comparison import Comparison, compare_states
from vac.debugger.opening import Program, assembly_of
from vac.debugger.output import Output
from vac.debugger.source_map import SourceMap
from vac.golden.model import GoldenMachine
from vac.history.history import History
from vac.host.input_log import Entry
from vac.machine.protocol import Answer, Event, MachineError, Stop

from .case import Case, CaseError
from .lockstep import LockstepMachine
from .mismatch import LockstepMismatch
from .reference import RecordingGolden, Reference
from .replay import AFTER, BEFORE
from .replay_command import replay_command
from .span import FST_NAME, VCD_NAME, record_span
from .stage_table import stage_table
from .trace import read_trace


class _Asking(GoldenMachine):
    """The golden model, which writes down what it was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self._asked: Event | None = None

    def run(self, until_tick: int) -> Stop:
        stop = super().run(until_tick)
        self._asked = stop.event
        return stop

    def answer(self, answer: Answer) -> None:
        super().answer(answer)
        if self._asked:
            self.entries.append(Entry(self._asked.tick, self._asked.kind, self._asked.number, answer))


def open_mismatch(
    path: Path,
    source: Path | None = None,
    engine: str = "fast",
    reference: Callable[[], Reference] = RecordingGolden,
    library: Any = None,
    has_wave: bool = True,
) -> Program:
    """The case's run, at the first instruction that differs, with both states after it side by side.

    source: what the image was assembled from. engine: what visits the run; the RTL is there only in the comparison.
    reference, library: as for `LockstepMachine`. has_wave: write the waveform around it into the folder that is called
    as the case, with a picture, and show its cycles; a library of one's own must be built with tracing then. Raises
    CaseError, also where the two agree all the way, OSError, DebuggerError, AssemblyErrors, EngineError, ToolMissing,
    BuildFailed, TraceError.
    """
    case = Case.load(path)
    mismatch = _mismatch(case, reference(), library, None)
    if mismatch is None:
        raise CaseError(f"{path}: the reference and the RTL agree as far as this case goes; there is nothing to open")
    # Stopped right behind the instruction, both show what it did and nothing that came of it.
    nearer = _mismatch(case, reference(), library, mismatch.tick + 1) or mismatch
    asking = _Asking()
    try:
        case.replay(asking)
    except MachineError as error:
        raise CaseError(f"{path}: the calls of this case do not fit its image: {error}") from error
    image = case.whole_image
    history = History(image, asking.entries, engine=engine)
    history.seek(mismatch.tick)
    window = _window(path, case, mismatch, reference(), library) if has_wave else []
    rows = compare_states(*nearer.states)
    comparison = Comparison(("reference", "RTL"), mismatch.tick, rows, _notes(path, mismatch), tuple(window))
    assembly = assembly_of(image, path, source) if source else None
    return Program(image.name or path.name, history, SourceMap(image, assembly), Output(), comparison)


def _mismatch(case: Case, reference: Reference, library: Any, until_tick: int | None) -> LockstepMismatch | None:
    machine = LockstepMachine(reference, case.disturbance, case.config, library)
    try:
        case.replay(machine, until_tick)
        machine.state()
    except LockstepMismatch as mismatch:
        return mismatch
    return None


def _window(path: Path, case: Case, mismatch: LockstepMismatch, reference: Reference, library: Any) -> list[str]:
    """Writes the waveform around a mismatch; its cycles as text."""
    first = max(0, mismatch.tick - BEFORE)
    title, folder = f"{case.image.name or path.name}, around tick {mismatch.tick}", _folder(path)
    record_span(
        case, reference, first, mismatch.tick + AFTER - first, folder, title, library, middle=mismatch.tick - first
    )
    return stage_table(read_trace(folder / VCD_NAME), case.whole_image, mismatch.tick - first)


def _folder(path: Path) -> Path:
    return path.with_suffix("").with_suffix("")


def _notes(path: Path, mismatch: LockstepMismatch) -> tuple[str, ...]:
    first, last = max(0, mismatch.tick - BEFORE), mismatch.tick + AFTER
    wave = _folder(path) / FST_NAME
    window = str(wave) if wave.exists() else replay_command(path, mismatch.tick)
    differences = [f"{what}: {expected} / {found}" for what, expected, found in mismatch.differences]
    where = f"tick {mismatch.tick:,}, pc {mismatch.pc:06x}: {mismatch.instruction}"
    return (where, *differences, f"waveform of ticks {first:,} to {last:,}:", f"  {window}")
