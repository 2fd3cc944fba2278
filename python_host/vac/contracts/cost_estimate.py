"""Cost estimate context: what a cost estimator is told."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import JsonValue

from .contract import Contract, Tick


class CostEstimateContext(Contract):
    """Where an estimate is asked for."""

    NAME: ClassVar[str] = "cost estimate context"

    version: Literal[1] = 1
    memory: dict[str, JsonValue]
    """What is known of memory by name, such as pages resident."""
    tick: Tick
    metadata: dict[str, JsonValue]
