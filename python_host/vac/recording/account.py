"""What came into a recorded run and what it let out, as events that can be redacted and handed on.

The events are BeamEvents in JSON lines, a store that `vac beams` opens (`vac.beams.jsonl_store`). The run has the
recording's id; its container is the recording's name.

Stages `input` and `output` have the token `in`, `out` or the system call, and for their result `number`; `data`, bytes
as text, or `value`; `labels` of what the request let out; `refused`, `trap`, `windows` where the answer has them. The
stage `segment` has the token `segment`, the last one `end`, with `digest`, `log` (hash of the input log), `root`.

Who holds the recording can prove by the hashes that an account is of it. An account cannot be replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson

from ..beams.jsonl_store import FORMAT
from ..beams.redaction.patterns import find_in_bytes
from ..beams.redaction.policy import Redactor
from ..contracts.beam_event import BeamEvent, beam_id
from ..isa.ports import Device
from ..machine.protocol import Event, Machine
from ..policy.export_gate import ExportGate
from .playback import Playback
from .recording import Recording
from .request import call_name, is_console_data, labels_of, let_out

_DATA_FIELD = "result.data"


@dataclass
class _Row:
    """An event on its way. stream: device and direction that its bytes belong to, None for none."""

    stage: str
    cell: str
    token: str
    tick: int
    result: dict[str, Any]
    pc: int = 0
    data: bytes | None = None
    stream: tuple[int, bool] | None = None
    pieces: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    """What of the data goes: start, end and the pattern's name, empty where it began in an earlier event."""


def write_account(
    recording: Recording,
    machine: Machine,
    file: BinaryIO,
    redactor: Redactor | None = None,
    gate: ExportGate | None = None,
    on_progress: Callable[[int, int], object] = lambda tick, last: None,
) -> int:
    """Writes the account; the number of events. machine: fresh; the run is played on it. on_progress: gets the tick and
    the last one. gate: asks a policy about each event; what it denies is left out, and recorded.

    A text that came or went in pieces is searched as one. Raises what `replay` raises, and OSError.
    """
    rows = _rows(recording, machine, on_progress)
    if redactor:
        _search_streams(rows, redactor)
    about = recording.about
    container = redactor.text(about.name, "container_id") if redactor else about.name
    file.write(orjson.dumps(FORMAT) + b"\n")
    file.write(orjson.dumps({"run": about.id, "container": container, "started": about.created}) + b"\n")
    written = 0
    for row in rows:
        if gate and not gate.permits(row.tick, row.pc, row.result.get("labels", 0)):
            continue
        event: dict[str, Any] | None = _event(row, about.id, about.name, about.created)
        event = redactor.event(event) if redactor else event
        if event is not None:
            file.write(orjson.dumps(event) + b"\n")
            written += 1
    if gate:
        gate.close()
    return written


def _event(row: _Row, run: str, container: str, moment: str) -> dict[str, Any]:
    if row.data is not None:
        row.result["data"] = _text(row.data, row.pieces)
    return {
        "version": BeamEvent.VERSION,
        "beam_id": beam_id(row.cell, row.stage, row.tick),
        "cell_id": row.cell,
        "sheet_run_id": run,
        "container_id": container,
        "stage": row.stage,
        "token": row.token,
        "result": row.result,
        "timestamp": moment,
        "tick": row.tick,
    }


def _text(data: bytes, pieces: Sequence[tuple[int, int, str]]) -> str:
    parts: list[str] = []
    end = 0
    for start, stop, name in pieces:
        parts += (data[end:start].decode(errors="backslashreplace"), f"[{name}]" if name else "")
        end = stop
    return "".join(parts) + data[end:].decode(errors="backslashreplace")


def _search_streams(rows: list[_Row], redactor: Redactor) -> None:
    """Notes in each row what of its data belongs to a find of the policy's patterns."""
    streams: dict[tuple[int, bool], list[_Row]] = {}
    for row in rows:
        if row.stream and row.data:
            streams.setdefault(row.stream, []).append(row)
    for own in streams.values():
        found = find_in_bytes(b"".join(row.data or b"" for row in own), redactor.patterns)
        for _, _, name in found:
            redactor.report.patterns[name, _DATA_FIELD] += 1
        start = at = 0
        for row in own:
            end = start + len(row.data or b"")
            while at < len(found) and found[at][0] < end:
                first, last, name = found[at]
                row.pieces.append((max(first - start, 0), min(last, end) - start, name if first >= start else ""))
                if last > end:
                    break
                at += 1
            start = end


# ---- the run played --------------------------------------------------------------------------------------------------


def _rows(recording: Recording, machine: Machine, on_progress: Callable[[int, int], object]) -> list[_Row]:
    playback = Playback(machine, recording.image, recording.origin.point, recording.entries)
    rows: list[_Row] = []
    playback.on_event = lambda index, event: rows.append(_request(playback, index, event))
    last = recording.known_tick
    for segment in recording.segments:
        playback.run(segment.tick)
        rows.append(_hashes("segment", segment.tick, segment.digest, segment.root.hex(), segment.chain.hex()))
        on_progress(segment.tick, last)
    end = recording.about.end
    playback.run(end.moment if end else last + 1)
    if end:
        digest = None if end.digest is None else int(end.digest, 16)
        rows.append(_hashes("end", end.tick, digest, end.root, None))
    return rows


def _hashes(token: str, tick: int, digest: int | None, root: str, log: str | None) -> _Row:
    result = {"digest": None if digest is None else f"{digest:016x}", "log": log, "root": root}
    return _Row("segment", "recording", token, tick, {key: value for key, value in result.items() if value})


def _request(playback: Playback, index: int, event: Event) -> _Row:
    answer = playback.log[index].answer
    call = call_name(event)
    token = call or event.kind.value
    result: dict[str, Any] = {"number": event.number}
    if labels := labels_of(playback, event):
        result["labels"] = labels
    if answer.trap:
        result["trap"] = answer.trap.name
    if answer.refused:
        result["refused"] = True
    if answer.windows:
        result["windows"] = [[i, w.slot, w.base, w.length, w.permissions] for i, w in answer.windows]
    is_output = token in ("out", "write", "beam_emit")
    cell = f"sys:{event.number}" if call else f"dev:{event.number:#x}"
    if token in ("read", "write"):
        cell = f"dev:{event.arguments[0]:#x}"
    row = _Row("output" if is_output else "input", cell, token, event.tick, result, event.pc)
    if answer.trap or answer.refused:
        return row
    value = event.arguments[0] if token == "out" else answer.value
    if is_console_data(event):
        row.data, row.stream = bytes([value & 0xFF]), (Device.CONSOLE, is_output)
    elif token in ("write", "beam_emit"):
        row.data = let_out(playback, event)[: answer.value if token == "write" else None]
        row.stream = event.arguments[0] if token == "write" else -1, True
    elif token == "read":
        row.data, row.stream = b"".join(data for _, _, data in answer.writes), (event.arguments[0], False)
    else:
        result["value"] = value
    return row
