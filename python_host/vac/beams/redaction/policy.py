"""A redaction policy, and what it does to events.

A policy is a JSON object::

    {
      "version": 1,
      "fields": ["result.value", "source"],
      "labels": [{"any_of": [0, 3], "remove": "event"}],
      "patterns": ["card", "email", "iban", "ip"]
    }

`fields` go out of every event; `labels` takes out events whose value carries one of the labels, or what such an event
holds of the value (`"remove": "value"`); `patterns` are replaced in every text but names of runs, EIDs and stages.
Numbers are never searched: which of them are personal only their field or their label can say.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, Field, ValidationError

from ...contracts.beam_event import beam_id
from ...contracts.contract import Part
from ...isa.limits import LABEL_BITS
from ..errors import BadQuery
from .patterns import PATTERNS, redact_text

REMOVED = "[redacted]"
"""Stands where a contract needs a text."""

_REPLACED = ("container_id", "token")
_LEFT_OUT = ("eid", "source", "lineage", "drift", "qscore", "sqi_after")
_SEARCHED = {"cell_id", "container_id", "token", "result", "source", "lineage"}
_VALUE_FIELDS = ("value", "aux", "data")


def _known_field(path: str) -> str:
    top, _, rest = path.partition(".")
    if path in (*_REPLACED, *_LEFT_OUT, "result") or (top == "result" and rest):
        return path
    raise ValueError(
        f"{path!r} cannot be taken out; there are result, result.<key>, {', '.join(_REPLACED + _LEFT_OUT)}"
    )


class LabelRule(Part):
    """Events with one of these labels."""

    any_of: list[Annotated[int, Field(ge=0, lt=LABEL_BITS)]] = Field(min_length=1)
    remove: Literal["event", "value"] = "event"

    @property
    def mask(self) -> int:
        return sum(1 << label for label in set(self.any_of))


class Policy(Part):
    """What is taken out."""

    version: Literal[1] = 1
    fields: list[Annotated[str, AfterValidator(_known_field)]] = Field(default_factory=list)
    labels: list[LabelRule] = Field(default_factory=list)
    patterns: list[Literal["card", "email", "iban", "ip"]] = Field(default_factory=list)

    @staticmethod
    def read(content: bytes) -> Policy:
        """Raises BadQuery naming what is wrong."""
        try:
            return Policy.model_validate_json(content)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc'])) or 'as a whole'}: {fault['msg']}" for fault in error.errors()[:5]
            )
            raise BadQuery(f"no redaction policy: {faults}") from None


@dataclass
class Report:
    """What was taken out, by rule; never what it was."""

    events: int = 0
    """Events that were looked at."""
    removed: int = 0
    """Events that were taken out whole."""
    fields: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    patterns: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By pattern and field."""

    def to_json(self) -> dict[str, Any]:
        by_pattern: dict[str, dict[str, int]] = {}
        for (name, path), count in sorted(self.patterns.items()):
            by_pattern.setdefault(name, {})[path] = count
        return {
            "events": self.events,
            "events_removed": self.removed,
            "fields": dict(sorted(self.fields.items())),
            "labels": dict(sorted(self.labels.items())),
            "patterns": by_pattern,
        }


class Redactor:
    """Applies a policy to events, one after another, and counts in `report`."""

    def __init__(self, policy: Policy) -> None:
        assert set(policy.patterns) <= PATTERNS.keys()
        self.policy = policy
        self.report = Report()
        self.patterns: list[str] = list(dict.fromkeys(policy.patterns))

    def line(self, line: bytes) -> bytes | None:
        """JSON of a BeamEvent after redaction, again a BeamEvent; None where the whole event goes."""
        event = self.event(orjson.loads(line))
        return None if event is None else orjson.dumps(event)

    def event(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """As `line`, of the fields of a BeamEvent; may change what it is given."""
        self.report.events += 1
        if not self._by_labels(event):
            self.report.removed += 1
            return None
        for path in self.policy.fields:
            self._remove(event, path)
        if self.patterns:
            for name in _SEARCHED & event.keys():
                event[name] = self._searched(event[name], name)
            event["beam_id"] = beam_id(event["cell_id"], event["stage"], event["tick"])
        return event

    def text(self, text: str, path: str) -> str:
        """A text of any other record, such as a run's container."""
        if path in self.policy.fields:
            self.report.fields[path] += 1
            return REMOVED
        return self._searched(text, path)

    def _by_labels(self, event: dict[str, Any]) -> bool:
        """Whether the event stays."""
        labels = event["result"].get("labels", 0)
        if type(labels) is not int:
            return True
        for rule in self.policy.labels:
            if not labels & rule.mask:
                continue
            for label in range(LABEL_BITS):
                if labels & rule.mask & 1 << label:
                    self.report.labels[f"{label}: {rule.remove}"] += 1
            if rule.remove == "event":
                return False
            for name in _VALUE_FIELDS:
                event["result"].pop(name, None)
        return True

    def _remove(self, event: dict[str, Any], path: str) -> None:
        holder, keys = event, path.split(".")
        if path == "result":
            if event["result"]:
                event["result"] = {}
                self.report.fields[path] += 1
            return
        for key in keys[:-1]:
            inner = holder.get(key)
            if not isinstance(inner, dict):
                return
            holder = inner
        if holder.get(keys[-1]) in (None, ""):
            return
        if path in _REPLACED:
            holder[keys[-1]] = REMOVED
        else:
            del holder[keys[-1]]
        self.report.fields[path] += 1

    def _searched(self, value: Any, path: str) -> Any:
        """The value with patterns replaced in its texts and in the keys of its objects."""
        if isinstance(value, str):
            text, counts = redact_text(value, self.patterns)
            for name, count in counts.items():
                self.report.patterns[name, path] += count
            return text
        if isinstance(value, list):
            return [self._searched(item, path) for item in value]
        if isinstance(value, dict):
            searched: dict[str, Any] = {}
            for key, item in value.items():
                name = self._searched(key, path)
                inside = f"{path}.{name}" if path == "result" else path
                while name in searched:
                    name += "'"
                searched[name] = self._searched(item, inside)
            return searched
        return value
