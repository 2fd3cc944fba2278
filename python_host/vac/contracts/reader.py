"""Reads contracts of any known version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from .beam_event import BeamEvent
from .collapse_trace import CollapseTrace
from .contract import Contract
from .cost_estimate import CostEstimateContext
from .cpu_instruction import CpuInstruction
from .dna_mutation import DnaMutation
from .entanglement import EntanglementLink, EntanglementMap
from .errors import ContractInvalid, ContractUnknown
from .glyph_execution import GlyphExecution
from .migration import to_newest
from .sqi_score import SqiScore
from .wave_state import WaveState

CONTRACTS: tuple[type[Contract], ...] = (
    BeamEvent,
    EntanglementLink,
    EntanglementMap,
    CollapseTrace,
    GlyphExecution,
    SqiScore,
    DnaMutation,
    WaveState,
    CpuInstruction,
    CostEstimateContext,
)

_BY_TYPE = {"collapse_trace": CollapseTrace, "glyph_execution": GlyphExecution, "sqi_score": SqiScore}
_BY_FIELDS: tuple[tuple[frozenset[str], type[Contract]], ...] = (
    (frozenset({"beam_id"}), BeamEvent),
    (frozenset({"eid", "cells"}), EntanglementLink),
    (frozenset({"mutation_id", "original", "mutated"}), DnaMutation),
    (frozenset({"operation", "qscore"}), WaveState),
    (frozenset({"memory", "tick", "metadata"}), CostEstimateContext),
)
"""Fields that tell a contract which has no `type` of its own."""

_MOST_FAULTS = 5

C = TypeVar("C", bound=Contract)


def read_event(content: str | bytes | Mapping[str, Any]) -> Contract:
    """The contract in this JSON object, whichever it is, brought to its newest version.

    Raises ContractUnknown, ContractVersionError or ContractInvalid.
    """
    fields = _fields(content)
    return _validated(_kind(fields), fields)


def read_contract(contract: type[C], content: str | bytes | Mapping[str, Any]) -> C:
    """As `read_event`, where it is known which contract it is."""
    return _validated(contract, _fields(content))


def _fields(content: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(content, Mapping):
        return dict(content)
    try:
        fields = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ContractInvalid(f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ContractInvalid(f"a JSON object is needed, not {type(fields).__name__}")
    return fields


def _kind(fields: dict[str, Any]) -> type[Contract]:
    if "type" in fields:
        kind = fields["type"]
        if isinstance(kind, str) and kind in _BY_TYPE:
            return _BY_TYPE[kind]
        raise ContractUnknown(f"no contract has the type {kind!r}; there are {', '.join(_BY_TYPE)}")
    if fields.get("event") == "cpu_instruction":
        return CpuInstruction
    for needed, contract in _BY_FIELDS:
        if needed <= fields.keys():
            return contract
    others = fields.keys() - {"version"}
    if others and all(key.startswith("eid::") for key in others):
        return EntanglementMap
    raise ContractUnknown(f"no contract has the fields {', '.join(sorted(fields)) or 'of an empty object'}")


def _validated(contract: type[C], fields: dict[str, Any]) -> C:
    newest = to_newest(contract, fields)
    try:
        return contract.from_fields(newest)
    except (ValidationError, orjson.JSONEncodeError) as error:
        raise ContractInvalid(f"{contract.NAME}: {_faults(error)}") from None


def _faults(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, fault['loc'])) or 'as a whole'}: {fault['msg']}" for fault in faults[:_MOST_FAULTS]]
    rest = len(faults) - len(told)
    return "; ".join(told) + (f"; and {rest} more" if rest else "")
