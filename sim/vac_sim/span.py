"""Does a case again on a build that writes waveforms, and leaves the span that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vac.image.image import Image

from .case import Case
from .decoding import add_texts
from .diagram import COLUMNS
from .lockstep import LockstepMachine
from .mismatch import LockstepMismatch
from .picture import draw
from .reference import Reference
from .stage_table import retirement
from .trace import Trace, TraceError, read_trace
from .wave_files import write_fst, write_gtkwave_save, write_vcd

VCD_NAME, FST_NAME, SAVE_NAME, PNG_NAME, SVG_NAME = "wave.vcd", "wave.fst", "wave.gtkw", "wave.png", "wave.svg"
_RAW_NAME = "raw.vcd"


def picture_title(image: Image) -> str:
    """What stands above the picture of a run."""
    return f"{image.name or 'a program'} on the RTL"


@dataclass(frozen=True)
class Span:
    """first: tick of the waveform's first instruction. cycles: in the waveform. mismatch: what the run ended in."""

    first: int
    cycles: int
    mismatch: LockstepMismatch | None


def record_span(
    case: Case,
    reference: Reference,
    first: int,
    count: int,
    folder: Path,
    title: str,
    library: Any = None,
    middle: int | None = None,
) -> Span:
    """Writes waveform, save file and picture of `count` instructions from tick `first` into `folder`.

    middle: number, from 0, of the instruction that the picture is about; without it the picture chooses. library: a
    model built with tracing, in place of the configuration's own. Raises TraceError where no cycle of the span was run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    machine = LockstepMachine(reference, case.disturbance, case.config, library, traced=True)
    raw = folder / _RAW_NAME
    machine.rtl.trace_to(raw, first, count)
    mismatch: LockstepMismatch | None = None
    try:
        case.replay(machine, first + count)
    except LockstepMismatch as error:
        mismatch = error
    machine.rtl.end_trace()
    if not raw.exists():
        raise TraceError(f"tick {first} is not reached: the case ends at tick {machine.reference.state().tick}")
    trace = read_trace(raw)
    add_texts(trace, case.whole_image)
    write_vcd(trace, folder / VCD_NAME)
    write_fst(trace, folder / FST_NAME)
    write_gtkwave_save(trace, folder / FST_NAME, folder / SAVE_NAME)
    draw(trace, case.whole_image, title, folder / PNG_NAME, folder / SVG_NAME, _first_cycle(trace, middle))
    raw.unlink()
    return Span(first, len(trace.edges), mismatch)


def _first_cycle(trace: Trace, middle: int | None) -> int | None:
    """Where a picture begins in which this instruction retires about in the middle."""
    retired = None if middle is None else retirement(trace, middle)
    return None if retired is None else max(0, retired - COLUMNS // 2)
