"""WaveState: the packet that a wave operation's result travels in."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import JsonValue

from .collapse_trace import CollapseTrace
from .contract import Contract, Finite, Name, Score


class WaveState(Contract):
    """Result of one wave operation."""

    NAME: ClassVar[str] = "WaveState"

    version: Literal[1] = 1
    operation: Name
    args: list[JsonValue]
    result: JsonValue
    drift: Finite
    qscore: Score
    entropy: Finite
    lineage: list[str]
    """`beam_id` of the events that fed it."""
    collapse_trace: CollapseTrace | None = None
    """There once the wave was measured."""
