"""Visiting a run where conditions hold: `--stop-at`, `--snapshot-at`, `--info-at`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..checkpoint.checkpoint import CheckpointFolder
from ..history.condition_text import parse_condition
from ..history.conditions import AnyOf, Condition
from ..history.history import History
from ..history.recorded import history_of
from .failure import fail
from .record import recording_errors

if TYPE_CHECKING:
    from ..assembler.assemble import Assembly
    from ..host.session import Host
    from ..image.image import Image
    from ..recording.recording import Recording

NOT_MET = 1


def visit(
    recording: Recording,
    engine: str,
    stop_at: Sequence[str],
    snapshot_at: Sequence[str],
    info_at: Sequence[str],
    as_json: bool,
) -> None:
    """Goes through a recorded run; prints each stop on standard output. Ends the command with NOT_MET where there is a
    place to stop at and the run does not come to it. Raises HistoryError, CheckpointError."""

    def keep(history: History) -> str:
        name = f"tick-{history.tick:020d}"
        recording.checkpoints.save(name, history.point(), labels={"by": "replay"})
        return f"kept {recording.checkpoints.path(name)}"

    history = history_of(recording, engine)
    if not go_through(history, stop_at, snapshot_at, info_at, keep, as_json) and stop_at:
        fail(f"{recording.folder}: the run ends at tick {history.last_tick:,} without {' or '.join(stop_at)}", NOT_MET)


def visit_live(
    host: Host,
    image: Image,
    engine: str,
    conditions: tuple[Sequence[str], Sequence[str], Sequence[str]],
    assembly: Assembly | None,
    limit: int,
    as_json: bool,
) -> bool:
    """Runs a live host on to the tick to stop at: True. False at the end of the run, or at the limit. Ends the command
    where a condition is none, or a checkpoint cannot be written."""
    here = CheckpointFolder(Path())

    def keep(history: History) -> str:
        name = f"tick-{history.tick:020d}"
        here.save(name, history.point(), labels={"by": "run"})
        return f"kept {here.path(name)}"

    with recording_errors():
        history = History.following(host, image, engine)
        labels = assembly.symbols if assembly else None
        return go_through(history, *conditions, keep, as_json, labels, limit)


def go_through(
    history: History,
    stop_at: Sequence[str],
    snapshot_at: Sequence[str],
    info_at: Sequence[str],
    keep: Callable[[History], str],
    as_json: bool = False,
    labels: Mapping[str, int] | None = None,
    limit: int | None = None,
) -> bool:
    """Moves the history on from where it is; True when it came to a place to stop at, False at the end of the run."""
    stops, snapshots, infos = (
        [parse_condition(text, labels) for text in texts] for texts in (stop_at, snapshot_at, info_at)
    )
    condition = AnyOf(*stops, *snapshots, *infos)
    while history.run_to(condition, limit):
        if _holds(history, snapshots):
            print_info({"tick": history.tick, "note": keep(history)}, as_json)
        is_stop = _holds(history, stops)
        if is_stop or _holds(history, infos):
            print_info(info(history), as_json)
        if is_stop:
            return True
    return False


def _holds(history: History, conditions: Sequence[Condition]) -> bool:
    here = history.tick
    held = any(condition.first(history, here, here) is not None for condition in conditions)
    history.seek(here)
    return held


def info(history: History) -> dict[str, Any]:
    """Where a run is, in a few values."""
    state, instruction = history.state, history.instruction()
    return {
        "tick": history.tick,
        "pc": state.pc,
        "instruction": instruction.text() if instruction else None,
        "status": state.status.name.lower(),
        "trap": state.trap.name if state.trap else None,
        "stack": state.data_stack,
        "locals": state.return_stack[state.fp :],
        "inputs": history.position,
        "digest": None if state.digest is None else f"{state.digest:016x}",
        "root": history.root().hex(),
    }


def print_info(fields: dict[str, Any], as_json: bool) -> None:
    """What `info` gave, or a note, on standard output."""
    if as_json:
        typer.echo(json.dumps(fields))
    elif "note" in fields:
        typer.echo(f"tick {fields['tick']:,}: {fields['note']}")
    else:
        cells = " ".join(f"{cell:#x}" for cell in fields["stack"][-8:]) or "empty"
        values = " ".join(f"{cell:#x}" for cell in fields["locals"][:15]) or "none"
        state = fields["status"] if fields["trap"] is None else f"{fields['status']}: {fields['trap']}"
        typer.echo(
            f"tick {fields['tick']:,}: pc {fields['pc']:#x}  {fields['instruction'] or '(no instruction)'}  [{state}]\n"
            f"  stack  {cells}\n  locals {values}\n  digest {fields['digest']}, root {fields['root']}"
        )
