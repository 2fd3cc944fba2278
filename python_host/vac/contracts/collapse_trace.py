"""Collapse trace: one evaluated expression with everything that its replay shows."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from .contract import Contract, Name, Part, Timestamp


class SignatureBlock(Part):
    """What the collapse is signed under."""

    ghx_projection_id: str
    vault_snapshot_id: str
    qglyph_id: str


class DreamPack(Part):
    """What a fork of the run starts from."""

    scroll_tree: dict[str, JsonValue]
    entropy_state: dict[str, JsonValue]
    memory_tags: list[JsonValue]


class Hologram(Part):
    """What the collapse shows."""

    ghx_data: JsonValue = None
    trigger_metadata: JsonValue = None
    signature_block: SignatureBlock
    dream_pack: DreamPack


class CollapseTrace(Contract):
    """One line of a collapse trace file: a measured expression."""

    NAME: ClassVar[str] = "CollapseTrace"

    type: Literal["collapse_trace"] = "collapse_trace"
    version: Literal[1] = 1
    expression: Name
    """What was evaluated."""
    output: JsonValue
    """What it collapsed to."""
    adapter: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """What evaluated it: `photon`, `codex` or `qwave`."""
    identity: str
    """On whose behalf."""
    timestamp: Timestamp
    hologram: Hologram
