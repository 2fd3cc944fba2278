"""A waveform around one instruction as text: a line for each cycle, with what each stage of the pipeline holds."""

from __future__ import annotations

from vac.image.image import Image
from vac.isa.encoding import MAX_LENGTH
from vac_hdl.pipeline import Mode

from .decoding import CORE, STAGES, is_compact
from .mismatch import instruction_text
from .trace import Trace

_BEFORE, _AFTER = 12, 6
"""Cycles shown around the one in which the instruction retires."""
_CELL = 7


def stage_table(trace: Trace, image: Image, number: int) -> list[str]:
    """Cycles around the one in which the instruction with this number of the waveform, from 0, retires; that one is
    marked. Of the compact core pc and retired value. Nothing where it does not retire in it."""
    times, middle = _times(trace), retirement(trace, number)
    if middle is None:
        return []
    stages = {} if is_compact(trace) else STAGES
    heads = [name.split()[0] for name in stages.values()]
    rows = [f"  {'cycle':>6} {'retired':<8} {''.join(f'{head:<{_CELL}}' for head in heads)}pc"]
    for cycle in range(max(0, middle - _BEFORE), min(len(times), middle + _AFTER + 1)):
        time = times[cycle]

        def held(signal: str, time: int = time) -> int:
            return trace[f"{CORE}.{signal}"].number_at(time)

        is_running = not stages or held("mode") == Mode.RUN.value
        cells = [
            _mnemonic(image, held(f"{stage}_pc")) if is_running and held(f"{stage}_valid") else "" for stage in stages
        ]
        is_retired = trace["vac_core.retire_valid"].number_at(time)
        value = f"{trace['vac_core.retire__payload.beam.value'].number_at(time):08x}" if is_retired else ""
        mark = "▶" if cycle == middle else " "
        rows.append(f"{mark} {cycle:>6} {value:<8} {''.join(f'{cell:<{_CELL}}' for cell in cells)}{held('pc'):06x}")
    return rows


def retirement(trace: Trace, number: int) -> int | None:
    """Cycle in which the instruction with this number of the waveform, from 0, retires; None where it does not."""
    valid = trace["vac_core.retire_valid"]
    retired = (cycle for cycle, time in enumerate(_times(trace)) if valid.number_at(time))
    return next((cycle for index, cycle in enumerate(retired) if index == number), None)


def _times(trace: Trace) -> list[int]:
    # A cycle's signals are those just before the edge that ends it.
    return [edge - 1 for edge in trace.edges[1:]]


def _mnemonic(image: Image, pc: int) -> str:
    text = instruction_text(lambda address: image.code[address : address + MAX_LENGTH], pc)
    return "?" if text.startswith("(") else text.split()[0][: _CELL - 1]
