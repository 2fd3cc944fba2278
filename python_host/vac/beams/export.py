"""Events of a store as JSON lines, which are a store of their own (`vac.beams.jsonl_store`), redacted on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

import numpy as np
import orjson

from ..contracts.contract import format_timestamp
from ..policy.export_gate import ExportGate
from .jsonl_store import FORMAT
from .record import BESIDE
from .redaction.policy import Redactor
from .store import BeamStore, Progress

_BATCH = 1 << 14


def export_jsonl(
    store: BeamStore,
    runs: Iterable[str],
    file: BinaryIO,
    redactor: Redactor | None = None,
    progress: Progress | None = None,
    gate_of: Callable[[str], ExportGate] | None = None,
) -> int:
    """Writes these runs. Returns the number of events written; `redactor.report` says what was taken out. gate_of: asks
    a policy about each event of the run of that name; what it denies is left out, and recorded.

    Names of runs are not redacted: EIDs hold them.
    """
    names = list(runs)
    whole, done, written = sum(store.run(name).events for name in names), 0, 0
    file.write(orjson.dumps(FORMAT) + b"\n")
    for name in names:
        info = store.run(name)
        container = redactor.text(info.container, "container_id") if redactor else info.container
        header = {"run": name, "container": container, "started": format_timestamp(info.started)}
        file.write(orjson.dumps(header) + b"\n")
        gate = gate_of(name) if gate_of else None
        for events in store.batches(name, _BATCH):
            for row, line in zip(events.rows, store.lines(name, events), strict=True):
                if gate and not _permits(gate, row):
                    continue
                kept = redactor.line(line) if redactor else line
                if kept is not None:
                    file.write(kept + b"\n")
                    written += 1
            done += len(events)
            if progress:
                progress(done, whole)
        if gate:
            gate.close()
    return written


def _permits(gate: ExportGate, row: np.void) -> bool:
    pc = 0 if row["opcode"] == BESIDE else int(row["pc"])
    return gate.permits(int(row["tick"]), pc, int(row["labels"]))
