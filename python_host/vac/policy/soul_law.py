"""A policy set, read from Cedar text and checked against what there is to speak of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..host.guard import BEAMS, CLOCK, ENTROPY, EXPORT, MEMORY, QWAVE, Action, Resource
from .conditions import Conditions, Known, entity_of, entity_type
from .errors import PolicyError
from .tables import Rule, Tables
from .terms import Effort, Terms
from .text_bounds import check_bounds
from .vocabulary import LabelNames

DEFAULT_QUOTA_CLASS = "standard"
MAX_POLICIES = 1000
_DEVICE_ACTIONS = (Action.READ, Action.WRITE, Action.IN, Action.OUT)
_ALWAYS_THERE = (
    (Action.ALLOC, MEMORY),
    (Action.SLEEP, CLOCK),
    (Action.BEAM_EMIT, BEAMS),
    (Action.ENTROPY_PROBE, ENTROPY),
    (Action.INGEST, QWAVE),
    (Action.EXPORT, EXPORT),
)


@dataclass(frozen=True)
class Policy:
    """name: its annotation @id, or policy0 and so on by its place in the text."""

    name: str
    is_forbid: bool
    principal: dict[str, Any]
    action: dict[str, Any]
    resource: dict[str, Any]
    conditions: list[dict[str, Any]]

    def applies(self, known: Known) -> bool:
        """Whether its scope covers what is known. Raises PolicyError."""
        scope = [self._covers(known, name, getattr(self, name)) for name in ("principal", "action", "resource")]
        return all(scope)

    def terms(self, known: Known, labels: LabelNames, effort: Effort) -> Terms:
        """When its conditions hold. Raises PolicyError."""
        return Conditions(known, labels, effort).terms(self.conditions)

    def _covers(self, known: Known, variable: str, constraint: dict[str, Any]) -> bool:
        operator = constraint["op"]
        if operator == "All":
            return True
        if "slot" in constraint:
            raise PolicyError("a template slot; templates are not supported")
        if operator == "is":
            is_type = known.entity(variable)[0] == entity_type(constraint["entity_type"])
            return is_type and ("in" not in constraint or known.is_in(variable, entity_of(constraint["in"]["entity"])))
        entities = [entity_of(each) for each in constraint.get("entities", [constraint.get("entity")])]
        if operator == "==":
            return known.entity(variable) == entities[0]
        return any(known.is_in(variable, entity) for entity in entities)


class SoulLaw:
    """Made by `parse` or `load`. labels: what policies call the labels."""

    def __init__(self, text: str, policies: tuple[Policy, ...], labels: LabelNames, name: str) -> None:
        self.text = text
        self.policies = policies
        self.labels = labels
        self.name = name

    @staticmethod
    def parse(text: str, labels: Mapping[str, int] | None = None, name: str = "policy") -> SoulLaw:
        """Policies in Cedar. labels: bit of each label by its name, as in a manifest. name: of the text, in errors.

        Raises PolicyError for what is no Cedar, and for a policy that cannot be compiled, whomever it is about.
        """
        import cedarpy

        try:
            check_bounds(text)
            parsed = json.loads(cedarpy.policies_to_json_str(text))
        except (PolicyError, ValueError, RecursionError) as error:
            raise PolicyError(f"{name}: {error}") from error
        if parsed.get("templates") or parsed.get("templateLinks"):
            raise PolicyError(f"{name}: templates are not supported; write the policies out")
        if len(parsed["staticPolicies"]) > MAX_POLICIES:
            raise PolicyError(f"{name}: {len(parsed['staticPolicies']):,} policies; there may be {MAX_POLICIES:,}")
        names, effort = LabelNames(labels or {}), Effort()
        policies: list[Policy] = []
        for key, body in sorted(parsed["staticPolicies"].items(), key=lambda item: int(item[0].removeprefix("policy"))):
            policy = Policy(
                (body.get("annotations") or {}).get("id") or key, body["effect"] == "forbid",
                body["principal"], body["action"], body["resource"], body["conditions"],
            )  # fmt: skip
            _try(policy, Known("", "", Action.READ, MEMORY), names, name, effort)
            policies.append(policy)
        return SoulLaw(text, tuple(policies), names, name)

    @staticmethod
    def load(path: Path, labels: Mapping[str, int] | None = None) -> SoulLaw:
        """From a file. Raises PolicyError and OSError."""
        try:
            return SoulLaw.parse(path.read_text(encoding="utf-8"), labels, str(path))
        except UnicodeDecodeError as error:
            raise PolicyError(f"{path}: no text in UTF-8") from error

    def tables(
        self,
        vm: str,
        *,
        quota_class: str = DEFAULT_QUOTA_CLASS,
        devices: Iterable[str] = ("console", "clock"),
        shards: Iterable[int] = (),
    ) -> Tables:
        """What decides for one machine. devices: those that it has, by `device_name`. shards: what `map` can name.

        Raises PolicyError.
        """
        pairs = [(action, Resource("Device", name)) for name in devices for action in _DEVICE_ACTIONS]
        pairs += [*_ALWAYS_THERE, *((Action.MAP, Resource("Shard", str(number))) for number in shards)]
        effort = Effort()
        rules: dict[tuple[Action, Resource], tuple[list[Rule], list[Rule]]] = {}
        for action, resource in pairs:
            known = Known(vm, quota_class, action, resource)
            both: tuple[list[Rule], list[Rule]] = [], []
            for policy in self.policies:
                terms = _try(policy, known, self.labels, self.name, effort)
                if terms:
                    both[policy.is_forbid].append(Rule(policy.name, terms))
            rules[action, resource] = both
        return Tables(rules)


def _try(policy: Policy, known: Known, labels: LabelNames, name: str, effort: Effort) -> Terms:
    try:
        applies, terms = policy.applies(known), policy.terms(known, labels, effort)
    except PolicyError as error:
        raise PolicyError(f"{name}: policy {policy.name}: {error}") from error
    except RecursionError as error:
        raise PolicyError(f"{name}: policy {policy.name}: nested too deep") from error
    return terms if applies else ()
