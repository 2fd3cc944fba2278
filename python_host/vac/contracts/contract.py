"""What all contracts have in common: a version, strict fields, one way to and from JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
)


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def format_timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and a final Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Timestamp = Annotated[AwareDatetime, AfterValidator(_as_utc), PlainSerializer(format_timestamp, str)]
"""A moment with its offset, kept and written in UTC. A moment without an offset is refused."""

UnixTime = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""Seconds since 1970-01-01T00:00:00Z."""

Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""From 0 to 1."""

Finite = Annotated[float, Field(allow_inf_nan=False)]

Tick = Annotated[int, Field(ge=0, lt=1 << 63)]
"""Retired instructions so far."""

Name = Annotated[str, Field(min_length=1, max_length=1024)]

Eid = Annotated[str, Field(pattern=r"^eid::(?s:.+)::[0-9A-Za-z]+$", max_length=2048)]
"""`eid::<run>::<hash>`: names one set of entangled values of a run."""

CellId = Annotated[str, Field(min_length=1, max_length=1024)]
"""A cell of a machine, such as `mem:1:0x40`, or of a sheet."""


class Part(BaseModel):
    """A piece of a contract. Unknown fields and values of other types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True)

    @model_serializer(mode="wrap")
    def _without_absent(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Fields that may be absent are left out; a null where a value is needed stays."""
        fields = type(self).model_fields
        written: dict[str, Any] = serialise(self)
        return {
            name: value
            for name, value in written.items()
            if value is not None or name not in fields or fields[name].is_required()
        }


class Contract(Part):
    """A contract: its newest version is `VERSION`; older ones are read by the steps that `migration` lists."""

    VERSION: ClassVar[int] = 1
    NAME: ClassVar[str]
    """What documentation and readers call it."""

    def to_json(self) -> bytes:
        """One line of JSON, fields in the order of the contract; absent fields are left out."""
        return orjson.dumps(self.to_fields())

    def to_fields(self) -> dict[str, Any]:
        """As JSON values; absent fields are left out."""
        return self.model_dump(mode="json")

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Of this version only. Raises pydantic.ValidationError."""
        return cls.model_validate_json(orjson.dumps(fields))
