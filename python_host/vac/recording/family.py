"""Recordings in a folder, and which was forked from which."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import RecordingError
from .recording import MANIFEST, Recording


@dataclass
class Kin:
    """A recording with those that were forked from it. depth: forks above it that are here."""

    recording: Recording
    depth: int
    children: list[Kin]


def family(folder: Path) -> list[Kin]:
    """The recordings that lie in a folder, as trees; a fork whose parent is not here stands at the top. In the order of
    their making. Raises RecordingError for one that is damaged."""
    try:
        found = [Recording(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    except OSError as error:
        raise RecordingError(f"cannot read {folder}: {error.strerror or error}") from error
    found.sort(key=lambda recording: (recording.about.created, recording.folder.name))
    # Of copies of one run the first has the forks.
    first = {recording.about.id: recording for recording in reversed(found)}
    children: dict[str | None, list[Recording]] = {}
    for recording in found:
        parent = recording.about.parent
        above = parent.run if parent and parent.run in first and parent.run != recording.about.id else None
        children.setdefault(above, []).append(recording)

    def tree(recording: Recording, depth: int) -> Kin:
        identity = recording.about.id
        below = children.get(identity, []) if first[identity] is recording else []
        return Kin(recording, depth, [tree(child, depth + 1) for child in below])

    return [tree(recording, 0) for recording in children.get(None, [])]


def flattened(kin: list[Kin]) -> Iterator[Kin]:
    """Every one, parents before their children."""
    for each in kin:
        yield each
        yield from flattened(each.children)


def prune(kin: Kin) -> list[Path]:
    """Removes a recording and all that were forked from it, children first; the folders. Raises RecordingError."""
    removed: list[Path] = []
    for child in kin.children:
        removed += prune(child)
    folder = kin.recording.folder
    try:
        # Without its manifest it is no recording any more, whatever happens then.
        (folder / MANIFEST).unlink()
        shutil.rmtree(folder)
    except OSError as error:
        raise RecordingError(f"cannot remove {folder}: {error.strerror or error}") from error
    return [*removed, folder]
