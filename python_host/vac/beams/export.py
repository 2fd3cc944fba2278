"""Events of a store as JSON lines, which are a store of their own (`vac.beams.jsonl_store`), redacted on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import orjson

from ..contracts.contract import format_timestamp
from .jsonl_store import FORMAT
from .redaction.policy import Redactor
from .store import BeamStore, Progress

_BATCH = 1 << 14


def export_jsonl(
    store: BeamStore,
    runs: Iterable[str],
    file: BinaryIO,
    redactor: Redactor | None = None,
    progress: Progress | None = None,
) -> int:
    """Writes these runs. Returns the number of events written; `redactor.report` says what was taken out.

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
        for events in store.batches(name, _BATCH):
            for line in store.lines(name, events):
                kept = redactor.line(line) if redactor else line
                if kept is not None:
                    file.write(kept + b"\n")
                    written += 1
            done += len(events)
            if progress:
                progress(done, whole)
    return written
