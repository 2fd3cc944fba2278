"""Steps from one version of a contract to the next. Each is registered once and takes and gives JSON fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .beam_event import BeamEvent
from .contract import Contract
from .errors import ContractInvalid, ContractVersionError

Fields = dict[str, Any]
Step = Callable[[Fields], Fields]

_STEPS: dict[tuple[type[Contract], int], Step] = {}


def step(contract: type[Contract], version: int) -> Callable[[Step], Step]:
    """Registers a function that makes fields of `version + 1` out of fields of `version`, and changes not those it
    was given. It raises ContractInvalid where it cannot."""

    def register(function: Step) -> Step:
        if (contract, version) in _STEPS:
            raise ValueError(f"{contract.NAME} has a step from version {version} already")
        _STEPS[contract, version] = function
        return function

    return register


def to_newest(contract: type[Contract], fields: Fields) -> Fields:
    """The fields as the newest version has them. Fields without a version are of version 1.

    Raises ContractVersionError for a version that is unknown, ContractInvalid where a step fails.
    """
    version = fields.get("version", 1)
    if type(version) is not int or not 1 <= version <= contract.VERSION:
        raise ContractVersionError(contract.NAME, version, contract.VERSION)
    while version < contract.VERSION:
        fields = _STEPS[contract, version](fields)
        version += 1
    return {**fields, "version": version}


def known_steps(contract: type[Contract]) -> list[int]:
    """Versions from which there is a step."""
    return sorted(version for owner, version in _STEPS if owner is contract)


@step(BeamEvent, 1)
def _beam_event_gains_its_tick(fields: Fields) -> Fields:
    """Version 1 had no `tick`: it stood in `beam_id` only."""
    name = fields.get("beam_id")
    tick = name.rpartition("_")[2] if isinstance(name, str) else ""
    if not (tick.isascii() and tick.isdigit()) or len(tick) > 19:
        raise ContractInvalid(f"BeamEvent of version 1: beam_id {name!r} does not end with a tick")
    return {**fields, "tick": int(tick)}
