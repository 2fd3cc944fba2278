"""Histories of recordings."""

from __future__ import annotations

from ..recording.recording import Recording
from .history import History
from .timeline import Limits


def history_of(recording: Recording, engine: str = "fast", limits: Limits | None = None) -> History:
    """The history of a recorded run, on the checkpoints that it has. Raises RecordingError and CheckpointError."""
    origin = recording.origin.point
    points = [point for point in recording.points() if point.moment > origin.moment]
    return History(
        recording.image,
        recording.entries,
        origin=origin,
        last_tick=recording.last_moment,
        points=points,
        engine=engine,
        limits=limits,
    )
