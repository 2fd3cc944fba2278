"""glyph_execution: a glyph was carried out; goes over the WebSocket."""

from __future__ import annotations

from typing import ClassVar, Literal

from .contract import Contract, Finite, Name, Part, UnixTime


class CostDetail(Part):
    """What the cost is made of."""

    energy: Finite
    ethics_risk: Finite
    delay: Finite
    opportunity_loss: Finite


class GlyphPayload(Part):
    """What was carried out, and at what cost."""

    glyph: Name
    action: Name
    source: Name
    """`photon`, `codex`, `user`, …"""
    timestamp: UnixTime
    cost: Finite
    detail: CostDetail


class GlyphExecution(Contract):
    """A glyph was carried out."""

    NAME: ClassVar[str] = "glyph_execution"

    type: Literal["glyph_execution"] = "glyph_execution"
    version: Literal[1] = 1
    payload: GlyphPayload
