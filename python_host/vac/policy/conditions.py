"""From Cedar's conditions to terms, for one machine, action and resource, which are known; the facts are not yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..host.guard import Action, Resource
from .errors import PolicyError
from .terms import ALWAYS, NEVER, Effort, Terms, all_of, any_of, compared, labels_with, labels_without
from .vocabulary import ENTITY_TYPES, FIELDS, GROUPS, NUMBERS, SQI_NUMBERS, LabelNames

_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_CONTEXT = {"labels", "sqi", *NUMBERS}
_IN_WORDS = {
    "like": "`like`", "+": "arithmetic", "-": "arithmetic", "*": "arithmetic", "neg": "arithmetic",
    "Record": "a record", "Set": "a set by itself", "getTag": "tags", "hasTag": "tags", "Unknown": "unknowns",
    "Slot": "a template slot",
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What is known when tables are made."""

    vm: str
    quota_class: str
    action: Action
    resource: Resource

    def entity(self, variable: str) -> tuple[str, str]:
        if variable == "principal":
            return "VM", self.vm
        if variable == "action":
            return "Action", self.action.value
        return self.resource.kind, self.resource.name

    def is_in(self, variable: str, entity: tuple[str, str]) -> bool:
        """Cedar's `in`: the entity itself, or one of its parents."""
        if self.entity(variable) == entity:
            return True
        if variable == "principal":
            return entity == ("QuotaClass", self.quota_class)
        return variable == "action" and entity[0] == "Action" and self.action in GROUPS.get(entity[1], ())


def entity_of(value: Any) -> tuple[str, str]:
    """Type and id. Raises PolicyError for a type, or an action, that does not exist here."""
    kind, name = value.get("type"), value.get("id")
    if kind not in ENTITY_TYPES:
        raise PolicyError(f"there are no entities of type {kind}; there are {', '.join(sorted(ENTITY_TYPES))}")
    if kind == "Action" and name not in [*Action, *GROUPS]:
        raise PolicyError(f"there is no action {name!r}; there are {', '.join([*Action, *GROUPS])}")
    return kind, name


def entity_type(name: str) -> str:
    """Raises PolicyError."""
    return entity_of({"type": name, "id": Action.READ.value})[0]


class Conditions:
    """Compiles the conditions of one policy. Every part is looked at, whether or not it matters for what is known.

    Raises PolicyError for what the facts of a request cannot decide without an error.
    """

    def __init__(self, known: Known, labels: LabelNames, effort: Effort) -> None:
        self._known = known
        self._labels = labels
        self._effort = effort
        self._done: dict[tuple[int, bool], Terms] = {}
        """By node and whether it was negated: the test of an `if` is needed both ways, at every level."""

    def terms(self, conditions: list[dict[str, Any]]) -> Terms:
        """`when` and `unless` clauses: all of them."""
        return self._all_of([self._boolean(each["body"], each["kind"] == "unless") for each in conditions])

    def _all_of(self, parts: Iterable[Terms]) -> Terms:
        return all_of(parts, self._effort)

    def _boolean(self, node: dict[str, Any], negated: bool) -> Terms:
        key = id(node), negated
        if key not in self._done:
            self._done[key] = self._compiled(node, negated)
        return self._done[key]

    def _compiled(self, node: dict[str, Any], negated: bool) -> Terms:
        ((kind, body),) = node.items()
        if kind == "Value" and isinstance(body, bool):
            return _constant(body is not negated)
        if kind == "!":
            return self._boolean(body["arg"], not negated)
        if kind in ("&&", "||"):
            parts = [self._boolean(body["left"], negated), self._boolean(body["right"], negated)]
            return self._all_of(parts) if (kind == "&&") is not negated else any_of(parts)
        if kind == "if-then-else":
            chosen = self._boolean(body["then"], negated), self._boolean(body["else"], negated)
            test, otherwise = self._boolean(body["if"], False), self._boolean(body["if"], True)
            return any_of((self._all_of((test, chosen[0])), self._all_of((otherwise, chosen[1]))))
        if kind in ("contains", "containsAny", "containsAll", "isEmpty"):
            return self._label_test(kind, body, negated)
        if kind in _NEGATED:
            return self._comparison(kind, body["left"], body["right"], negated)
        if kind == "in":
            return _constant(self._is_in(body) is not negated)
        if kind == "is":
            return _constant(self._is_of_type(body) is not negated)
        if kind == "has":
            return _constant(self._has(body) is not negated)
        raise PolicyError(
            f"{_path(node) or _IN_WORDS.get(kind, kind)} where a condition belongs: that cannot be compiled"
        )

    # ---- labels ----------------------------------------------------------------------------------------------------

    def _label_test(self, kind: str, body: dict[str, Any], negated: bool) -> Terms:
        subject = body["arg"] if kind == "isEmpty" else body["left"]
        if _path(subject) != "context.labels":
            raise PolicyError(f"{kind} of something else than context.labels cannot be compiled")
        if kind == "isEmpty":
            masks = [1 << bit for bit in set(self._labels.bits.values())]
        elif kind == "contains":
            masks = [self._mask(body["right"])]
        else:
            if "Set" not in body["right"]:
                raise PolicyError(f"{kind} needs label names in brackets")
            masks = [self._mask(each) for each in body["right"]["Set"]]
        if kind in ("contains", "containsAll"):
            parts = [labels_without(mask) if negated else labels_with(mask) for mask in masks]
            return any_of(parts) if negated else self._all_of(parts)
        has_any = negated if kind == "isEmpty" else not negated
        parts = [labels_with(mask) if has_any else labels_without(mask) for mask in masks]
        return any_of(parts) if has_any else self._all_of(parts)

    def _mask(self, node: dict[str, Any]) -> int:
        name = node.get("Value")
        if not isinstance(name, str):
            raise PolicyError('labels are text, such as context.labels.contains("secret")')
        return self._labels.mask(name)

    # ---- comparisons -----------------------------------------------------------------------------------------------

    def _comparison(self, operator: str, left: dict[str, Any], right: dict[str, Any], negated: bool) -> Terms:
        if "Value" in left and "Value" not in right:
            left, right, operator = right, left, _MIRRORED[operator]
        path, value = _path(left), right.get("Value")
        field = path.removeprefix("context.") if path else ""
        if field in FIELDS and type(value) is int:
            return compared(FIELDS.index(field), _NEGATED[operator] if negated else operator, value)
        if operator in ("==", "!="):
            is_equal = self._equality(path, value)
            if is_equal is not None:
                return _constant((is_equal is (operator == "==")) is not negated)
        if field in FIELDS or path == "principal.quota_class":
            raise PolicyError(f"{path} {operator} something else than a constant of its type cannot be compiled")
        raise PolicyError(
            f"{operator} between these two cannot be compiled: it takes a number of the context and a constant, "
            "quota_class and text, or principal, action or resource and an entity"
        )

    def _equality(self, path: str | None, value: Any) -> bool | None:
        if path == "principal.quota_class" and isinstance(value, str):
            return self._known.quota_class == value
        if path in ("principal", "action", "resource") and isinstance(value, dict) and "__entity" in value:
            return self._known.entity(path) == entity_of(value["__entity"])
        return None

    # ---- entities --------------------------------------------------------------------------------------------------

    def _is_in(self, body: dict[str, Any]) -> bool:
        right = body["right"]
        members = right.get("Set", [right])
        entities: list[tuple[str, str]] = []
        for member in members:
            value = member.get("Value")
            if not isinstance(value, dict) or "__entity" not in value:
                raise PolicyError("`in` needs an entity, or entities in brackets")
            entities.append(entity_of(value["__entity"]))
        variable = self._variable(body["left"], "in")
        return any(self._known.is_in(variable, entity) for entity in entities)

    def _is_of_type(self, body: dict[str, Any]) -> bool:
        variable = self._variable(body["left"], "is")
        is_type = self._known.entity(variable)[0] == entity_type(body["entity_type"])
        return self._is_in(body | {"right": body["in"]}) and is_type if "in" in body else is_type

    def _variable(self, node: dict[str, Any], operator: str) -> str:
        name = node.get("Var")
        if name not in ("principal", "action", "resource"):
            raise PolicyError(f"`{operator}` needs principal, action or resource before it")
        return name

    def _has(self, body: dict[str, Any]) -> bool:
        """Of what is always there."""
        path, name = _path(body["left"]), body["attr"]
        known = {"context": _CONTEXT, "context.sqi": SQI_NUMBERS, "principal": {"quota_class"}}.get(path or "", ())
        if name not in known:
            raise PolicyError(f"{path or 'that'} never has an attribute {name!r}")
        return True


def _constant(value: bool) -> Terms:
    return ALWAYS if value else NEVER


def _path(node: dict[str, Any]) -> str | None:
    """`context.sqi.score` as text. Raises PolicyError where there is no such attribute."""
    if "Var" in node:
        return node["Var"]
    if "." not in node:
        return None
    before, name = _path(node["."]["left"]), node["."]["attr"]
    known = {"context": _CONTEXT, "context.sqi": SQI_NUMBERS, "principal": ("quota_class",)}.get(before or "", ())
    if name not in known:
        raise PolicyError(f"{before or 'that'} has no attribute {name!r}")
    return f"{before}.{name}"
