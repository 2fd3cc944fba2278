"""DNA mutation: one entry of the log of rewritten glyphs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer

from .contract import Contract, Finite, Name, Part, Score, Timestamp


class GlyphState(BaseModel):
    """A glyph and whatever else describes it."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, use_attribute_docstrings=True)
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    glyph: Name


class MutationMetadata(Part):
    """Why, and with what effect."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """`fusion` or `repair`."""
    entropy_delta: Finite
    rewrite_success_prob: Score
    container_id: str


class DnaMutation(Contract):
    """A glyph was rewritten: what it was, what it became, why."""

    NAME: ClassVar[str] = "DNA mutation"

    version: Literal[1] = 1
    mutation_id: Annotated[UUID, PlainSerializer(str, str)]
    timestamp: Timestamp
    original: GlyphState
    mutated: GlyphState
    metadata: MutationMetadata
