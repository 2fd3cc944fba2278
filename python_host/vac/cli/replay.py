"""`vac replay`: a recording run again and compared with itself."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..engines.registry import ENGINES
from .failure import fail
from .progress import progress
from .record import machine_of, recording_errors, write_out


def replay(
    recording: Annotated[Path, typer.Argument(help="Folder that `vac record` made.", metavar="RUN")],
    engine: Annotated[str, typer.Option(help=f"One of: {', '.join(ENGINES)}.")] = "fast",
    output: Annotated[bool, typer.Option("--output", help="Console output again, on standard output.")] = False,
    beam_root: Annotated[
        bool, typer.Option("--beam-root", help="Report the root of a BLAKE3 tree over all beams, which names them.")
    ] = False,
    stop_at: Annotated[
        list[str] | None, typer.Option(help="Stop where this holds; see below.", metavar="CONDITION")
    ] = None,
    snapshot_at: Annotated[
        list[str] | None, typer.Option(help="Keep a checkpoint each time this holds.", metavar="CONDITION")
    ] = None,
    info_at: Annotated[
        list[str] | None, typer.Option(help="Print where the machine is, each time this holds.", metavar="CONDITION")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Run a recording again, on any engine, and compare digest and state root at the end of every segment.

    With a CONDITION the run is visited instead: `tick:N`, `pc:ADDRESS`, `trap`, `halt`, `end`, `request`, `in:DEVICE`,
    `out:DEVICE`, `sys:CALL`, `write:SLOT:OFFSET`; numbers may be hexadecimal.
    Exits 0 when all is as recorded, 5 when it is not, 1 when no condition to stop at ever held, 2 for bad input.
    """
    from ..recording.recording import Recording

    with recording_errors():
        opened = Recording(recording)
        if stop_at or snapshot_at or info_at:
            if beam_root:
                fail("--beam-root is of the whole run: leave out the conditions")
            from .stops import visit

            visit(opened, engine, stop_at or [], snapshot_at or [], info_at or [], as_json)
            return
        report = _replayed(opened, engine, output, beam_root)
    typer.echo(json.dumps(report) if as_json else _in_words(report), err=True)


def _replayed(recording: Any, engine: str, output: bool, beam_root: bool) -> dict[str, Any]:
    from ..commitment.beam_tree import BeamTree
    from ..recording.replay import replay as run_again

    began, tree = time.monotonic(), BeamTree()
    with progress("ticks", recording.known_tick) as show:
        found = run_again(
            recording,
            machine_of(engine, keeps_beams=beam_root),
            lambda tick, last: show(tick),
            write_out if output else None,
            tree.append if beam_root else None,
        )
    report = {
        "recording": str(recording.folder),
        "engine": engine,
        "ticks": found.ticks,
        "segments": found.segments,
        "is_end_checked": found.is_end_checked,
        "digest": None if found.digest is None else f"{found.digest:016x}",
        "root": found.root.hex(),
        "seconds": round(time.monotonic() - began, 3),
    }
    return report | {"beam_root": tree.root().hex()} if beam_root else report


def _in_words(report: dict[str, Any]) -> str:
    end = "and its end" if report["is_end_checked"] else "(it says no end)"
    beams = f"\nbeams   {report['beam_root']}" if "beam_root" in report else ""
    return (
        f"{report['recording']}: as recorded on {report['engine']}, {report['segments']:,} segments {end}: "
        f"{report['ticks']:,} ticks in {report['seconds']:.3f} s\n"
        f"digest  {report['digest'] or 'not computed'}\nroot    {report['root']}{beams}"
    )
