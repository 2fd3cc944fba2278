"""Which store a name means."""

from __future__ import annotations

from pathlib import Path

from .store import BeamStore

_SQL = ("sqlite:", "postgresql:", "postgresql+psycopg:", "postgres:")


def open_store(name: str | Path, writable: bool = True) -> BeamStore:
    """Opens a store, and makes it where it is not there and is to be written.

    name: a folder (the store's own files), a file ending in `.jsonl`, or a database URL such as `sqlite:///beams.db` or
    `postgresql://user@host/database`.
    """
    text = str(name)
    if text.startswith(_SQL):
        from .sql_store import SqlStore

        return SqlStore(text, writable)
    if text.endswith(".jsonl"):
        from .jsonl_store import JsonlStore

        return JsonlStore(Path(text), writable)
    from .segments.segment_store import SegmentStore

    return SegmentStore(Path(text), writable)
