"""What decides for one machine: bit masks over its resources, and terms where the facts of a request matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..host.guard import Action, Facts, Resource
from .terms import ALWAYS, Terms
from .vocabulary import FIELDS, numbers_of

NOT_PERMITTED = "no policy permits it"


@dataclass(frozen=True)
class Rule:
    """A policy that speaks of one action and resource, where its terms hold."""

    policy: str
    terms: Terms

    def holds(self, labels: int, numbers: tuple[int, ...]) -> bool:
        return any(term.holds(labels, numbers) for term in self.terms)


class Tables:
    """A `vac.host.guard.Guard`. rules: for each action and resource that the machine has, what permits it and what
    forbids it. Everything else is denied. A policy that forbids wins over all that permit.

    always, sometimes: a mask for each action, bit n for `resources[n]`: allowed whatever the facts, and allowed where
    the terms say so.
    """

    def __init__(self, rules: Mapping[tuple[Action, Resource], tuple[Sequence[Rule], Sequence[Rule]]]) -> None:
        self.resources = tuple(dict.fromkeys(resource for _, resource in rules))
        self.always = dict.fromkeys(Action, 0)
        self.sometimes = dict.fromkeys(Action, 0)
        self._bits = {resource: 1 << number for number, resource in enumerate(self.resources)}
        self._rules: dict[tuple[Action, Resource], tuple[tuple[Rule, ...], tuple[Rule, ...]]] = {}
        self._forbidden: dict[tuple[Action, Resource], str] = {}
        for (action, resource), (permits, forbids) in rules.items():
            bit = self._bits[resource]
            always_forbidden = next((rule.policy for rule in forbids if rule.terms == ALWAYS), None)
            if always_forbidden is not None:
                self._forbidden[action, resource] = always_forbidden
            elif not forbids and any(rule.terms == ALWAYS for rule in permits):
                self.always[action] |= bit
            elif permits or forbids:
                self.sometimes[action] |= bit
                self._rules[action, resource] = tuple(permits), tuple(forbids)

    def decide(self, action: Action, resource: Resource, facts: Callable[[], Facts]) -> str | None:
        """None where it is allowed, else the policy that forbids it, or that none permits it."""
        bit = self._bits.get(resource, 0)
        if self.always[action] & bit:
            return None
        if not self.sometimes[action] & bit:
            return self._forbidden.get((action, resource), NOT_PERMITTED)
        known = facts()
        labels, numbers = known.labels, numbers_of(known)
        permits, forbids = self._rules[action, resource]
        for rule in forbids:
            if rule.holds(labels, numbers):
                return rule.policy
        return None if any(rule.holds(labels, numbers) for rule in permits) else NOT_PERMITTED

    def to_json(self) -> dict[str, Any]:
        """The tables, to look at or to put into hardware."""
        return {
            "version": 1,
            "resources": [str(resource) for resource in self.resources],
            "always": {action.value: mask for action, mask in self.always.items() if mask},
            "sometimes": {action.value: mask for action, mask in self.sometimes.items() if mask},
            "rules": [
                {
                    "action": action.value,
                    "resource": str(resource),
                    "permit": [_rule_to_json(rule) for rule in permits],
                    "forbid": [_rule_to_json(rule) for rule in forbids],
                }
                for (action, resource), (permits, forbids) in self._rules.items()
            ],
        }


def _rule_to_json(rule: Rule) -> dict[str, Any]:
    terms = [
        {
            "required": term.required,
            "excluded": term.excluded,
            "ranges": {FIELDS[index]: [least, most] for index, least, most in term.ranges},
        }
        for term in rule.terms
    ]
    return {"policy": rule.policy, "terms": terms}
