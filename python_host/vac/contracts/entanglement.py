"""Entanglement: which cells hold values of one entangled set."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from .contract import CellId, Contract, Eid

_EID = TypeAdapter(Eid)


class EntanglementLink(Contract):
    """One entangled set and its cells: an entry of the map as a record of its own."""

    NAME: ClassVar[str] = "EntanglementLink"

    version: Literal[1] = 1
    eid: Eid
    cells: list[CellId]
    """Each once, in the order of the text."""


class EntanglementMap(Contract):
    """`{"eid::<run>::<hash>": [cell_id, …]}`: every other key than `version` is an EID."""

    NAME: ClassVar[str] = "EntanglementMap"
    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, list[CellId]] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    version: Literal[1] = 1

    @property
    def links(self) -> dict[str, list[str]]:
        """Cells by EID."""
        return dict(self.__pydantic_extra__ or {})

    @model_validator(mode="after")
    def _keys_are_eids(self) -> Self:
        for key in self.__pydantic_extra__ or {}:
            _EID.validate_python(key)
        return self
