"""Cedar's own engine on the same question: what the tables are compared with."""

from __future__ import annotations

from typing import Any

from ..host.guard import Action, Facts, Resource
from .soul_law import DEFAULT_QUOTA_CLASS, SoulLaw
from .vocabulary import GROUPS, NUMBERS, SQI_NUMBERS, numbers_of


def cedar_decides(
    law: SoulLaw,
    vm: str,
    action: Action,
    resource: Resource,
    facts: Facts,
    quota_class: str = DEFAULT_QUOTA_CLASS,
) -> tuple[bool, list[str]]:
    """Whether Cedar allows it, and the names of the policies that decided. An error in any policy denies."""
    import cedarpy

    numbers = dict(zip((*NUMBERS, *SQI_NUMBERS), numbers_of(facts), strict=True))
    context: dict[str, Any] = {"labels": law.labels.names(facts.labels)}
    context |= {name: numbers[name] for name in NUMBERS}
    context["sqi"] = {name: numbers[name] for name in SQI_NUMBERS}
    request = {
        "principal": {"type": "VM", "id": vm},
        "action": {"type": "Action", "id": action.value},
        "resource": {"type": resource.kind, "id": resource.name},
        "context": context,
    }
    groups = [{"type": "Action", "id": name} for name, members in GROUPS.items() if action in members]
    entities: list[dict[str, Any]] = [
        {
            "uid": request["principal"],
            "attrs": {"quota_class": quota_class},
            "parents": [{"type": "QuotaClass", "id": quota_class}],
        },
        {"uid": request["action"], "attrs": {}, "parents": groups},
        {"uid": request["resource"], "attrs": {}, "parents": []},
        {"uid": {"type": "QuotaClass", "id": quota_class}, "attrs": {}, "parents": []},
        *({"uid": group, "attrs": {}, "parents": []} for group in groups),
    ]
    result = cedarpy.is_authorized(request, law.text, entities)
    reasons = [law.policies[int(reason.removeprefix("policy"))].name for reason in result.diagnostics.reasons]
    return result.decision is cedarpy.Decision.Allow and not result.diagnostics.errors, reasons
