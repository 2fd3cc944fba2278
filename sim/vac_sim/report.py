"""The report of a run: for people in Markdown, for programs in JSON."""

from __future__ import annotations

from typing import Any

from vac.image.decode import decode
from vac.image.image import Image
from vac.isa.beam import BEAM_BYTES, Beam

from .bench.job import Result
from .mismatch import flag_names
from .span import Span


def console_text(output: str) -> str:
    """What the console shows for `output`, which has a character a byte: UTF-8, with U+FFFD for what is none."""
    return output.encode("latin-1").decode("utf-8", errors="replace").rstrip("\n")


def report_values(program: str, input_path: str, reference: str, result: Result, span: Span | None) -> dict[str, Any]:
    """Everything that the report says, by name."""
    return {
        "program": program,
        "input": input_path,
        "reference": reference,
        "stop": result.stop,
        "trap": result.trap,
        "lockstep": "mismatch" if result.mismatch else "equal",
        "ticks": result.ticks,
        "cycles": result.cycles,
        "cycles_per_instruction": round(result.cycles / result.ticks, 4) if result.ticks else None,
        "sqi": result.sqi,
        "digest_rtl": f"{result.rtl_digest:016x}",
        "digest_reference": f"{result.reference_digest:016x}",
        "compared_instructions": result.counts["compared"],
        "compares_of_everything": result.counts["checkpoints"],
        "compared_instructions_per_second": round(result.counts["compared"] / result.seconds)
        if result.seconds
        else None,
        "events": result.counts["events"],
        "hidden_page_misses": result.counts["hidden_misses"],
        "evictions": result.counts["evictions"],
        "output": result.output,
        "data_stack": [f"{cell:#010x}" for cell in result.stack],
        "denials": result.denials,
        "wave_first_tick": span.first if span else None,
        "wave_cycles": span.cycles if span else None,
    }


def report_markdown(values: dict[str, Any], verdicts: list[str]) -> str:
    """The report as a page."""
    sqi = values["sqi"]
    rows = [
        ("program", values["program"]),
        ("input", values["input"] or "none"),
        ("ended", values["stop"].lower() + (f": {values['trap']}" if values["trap"] != "NONE" else "")),
        ("lockstep", f"{values['lockstep']} with {values['reference']}"),
        ("ticks (retired instructions)", f"{values['ticks']:,}"),
        ("clock cycles", f"{values['cycles']:,}"),
        ("cycles per instruction", values["cycles_per_instruction"]),
        ("SQI coherence / entropy / drift / score",
         f"{sqi['coherence']} / {sqi['entropy']} / {sqi['drift']} / {sqi['score']} of 65535"),
        ("digest of the RTL", f"`{values['digest_rtl']}`"),
        ("digest of the reference", f"`{values['digest_reference']}`"),
        ("compared instructions", f"{values['compared_instructions']:,}"),
        ("compares of all state and memory", f"{values['compares_of_everything']:,}"),
        ("compared instructions a second", f"{values['compared_instructions_per_second'] or 0:,}"),
        ("requests to the host", f"{values['events']:,}"),
        ("page misses that only the RTL had", f"{values['hidden_page_misses']:,}"),
    ]  # fmt: skip
    lines = ["# Run on the RTL, in lockstep", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows]
    if verdicts:
        lines += ["", *verdicts]
    if values["output"]:
        lines += ["", "Console:", "", "```", console_text(values["output"]), "```"]
    if values["wave_cycles"]:
        lines += [
            "",
            f"The waveform (`wave.fst`, `wave.vcd`; `gtkwave wave.gtkw`) holds {values['wave_cycles']:,} cycles from "
            f"tick {values['wave_first_tick']:,}.",
            "",
            "![What each pipeline stage holds, cycle by cycle](wave.png)",
        ]
    return "\n".join(lines) + "\n"


def beam_lines(records: bytes, image: Image, count: int) -> list[dict[str, Any]]:
    """The first beams, decoded."""
    code = image.code
    lines: list[dict[str, Any]] = []
    for tick in range(min(count, len(records) // BEAM_BYTES)):
        beam = Beam.unpack(records[tick * BEAM_BYTES : (tick + 1) * BEAM_BYTES])
        decoded = decode(code, beam.pc)
        lines.append(
            {
                "tick": tick,
                "pc": beam.pc,
                "instruction": decoded.text() if decoded else f"opcode {beam.opcode:#04x}",
                "flags": flag_names(beam.flags),
                "labels": beam.labels,
                "value": beam.value,
                "aux": beam.aux,
            }
        )
    return lines
