"""`vac diff`: the first tick at which two recorded runs part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..engines.registry import ENGINES
from .record import MISMATCH, recording_errors

if TYPE_CHECKING:
    from ..history.difference import Parting, Side

_SHOWN_LEAVES = 8
_SHOWN_TEXT = 200


def diff(
    one: Annotated[Path, typer.Argument(help="Recording.", metavar="RUN_A")],
    other: Annotated[Path, typer.Argument(help="The one to compare it with.", metavar="RUN_B")],
    engine: Annotated[str, typer.Option(help=f"One of: {', '.join(ENGINES)}.")] = "fast",
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Find the first tick at which two recorded runs part, whatever their length: by the digests of their segments,
    then by running the segment again in which they do.

    Exits 0 when they are the same, 5 when they part, 2 for bad input.
    """
    from ..history.difference import find_parting
    from ..recording.recording import Recording

    with recording_errors():
        parting = find_parting(Recording(one), Recording(other), engine)
    if parting is None:
        typer.echo(json.dumps({"tick": None}) if as_json else f"{one} and {other} are the same")
        return
    typer.echo(json.dumps(_fields(parting)) if as_json else _in_words(parting, str(one), str(other)))
    raise typer.Exit(MISMATCH)


def _fields(parting: Parting) -> dict[str, Any]:
    return {
        "tick": parting.tick,
        "what": parting.what,
        "differences": parting.differences,
        "leaves": parting.leaves,
        "sides": [
            {
                "pc": side.state and side.state.pc,
                "instruction": side.instruction,
                "stack": side.state and side.state.data_stack,
                "entry": side.entry and json.loads(side.entry.to_json()),
                "beams": [[tick, beam.hex()] for tick, beam in side.beams],
            }
            for side in parting.sides
        ],
    }


_WORDS = {
    "start": "they are not the same where they begin together",
    "input": "the host answered differently",
    "beam": "the instruction did something else",
    "end": "one ends where the other goes on",
}


def _in_words(parting: Parting, one: str, other: str) -> str:
    lines = [f"part at tick {parting.tick:,}: {_WORDS[parting.what]}"]
    for name, side in zip((one, other), parting.sides, strict=True):
        lines += ["", f"{name}:", *_side(side)]
    lines += ["", "states before it:"]
    lines += [f"  {line}" for line in parting.differences] or ["  the same registers and stacks"]
    for slot, number in parting.leaves[:_SHOWN_LEAVES]:
        lines.append(f"  memory differs in slot {slot}, {number << 12:#x} to {(number + 1 << 12) - 1:#x}")
    if len(parting.leaves) > _SHOWN_LEAVES:
        lines.append(f"  and in {len(parting.leaves) - _SHOWN_LEAVES} more leaves")
    return "\n".join(lines)


def _side(side: Side) -> list[str]:
    from ..history.tracing import name_of
    from ..isa.beam import Beam

    lines: list[str] = []
    for tick, record in side.beams:
        beam = Beam.unpack(record)
        lines.append(
            f"  tick {tick:>12,}  pc {beam.pc:06x}  {name_of(beam.opcode):<7} value {beam.value:08x} aux {beam.aux:08x}"
        )
    if side.state is None:
        return [*lines, "  the run has ended"]
    cells = " ".join(f"{cell:#x}" for cell in side.state.data_stack[-8:]) or "empty"
    lines.append(f"> pc {side.state.pc:06x}  {side.instruction or '(no instruction)'}  stack {cells}")
    if side.entry:
        text = side.entry.to_json()
        lines.append(f"  answered {text if len(text) <= _SHOWN_TEXT else text[:_SHOWN_TEXT] + ' …'}")
    return lines
