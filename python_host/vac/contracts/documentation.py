"""The page on contracts and their JSON Schemas, written from the models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .contract import Contract
from .migration import known_steps
from .reader import CONTRACTS


def schema(contract: type[Contract]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the newest version."""
    found = contract.model_json_schema()
    for described in (found, *found.get("$defs", {}).values()):
        always = [name for name, field in described.get("properties", {}).items() if "const" in field]
        if always:
            described["required"] = always + [name for name in described.get("required", ()) if name not in always]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def schema_name(contract: type[Contract]) -> str:
    """File name of its schema."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', contract.NAME)}.schema.json"


def schema_text(contract: type[Contract]) -> str:
    return json.dumps(schema(contract), indent=1, ensure_ascii=False) + "\n"


def page() -> str:
    """The whole page, Markdown."""
    return "\n".join(_lines()).rstrip("\n") + "\n"


def _lines() -> Iterator[str]:
    yield "# Contracts"
    yield ""
    yield "<!-- Written by `python -m vac.contracts`: change the models in vac.contracts, not this page. -->"
    yield ""
    yield (
        "Shapes in which parts of the project hand things to each other, as JSON objects. Each has a `version`. Fields "
        "are added in new versions and never renamed; `vac.contracts.reader` reads every version and gives the newest. "
        "Unknown fields, wrong types and unknown versions are refused by name. JSON Schemas lie in "
        "`python_host/vac/contracts/schemas`."
    )
    yield ""
    yield "```python"
    yield "from vac.contracts.reader import read_event"
    yield ""
    yield "event = read_event(line)  # a BeamEvent, a CollapseTrace, …; ContractError where it is none"
    yield "```"
    yield ""
    yield (
        "What has no `type` is told by its fields. A contract without `version` is of version 1. Moments are ISO 8601 "
        "with an offset, and are written in UTC; numbers are finite."
    )
    yield ""
    for contract in CONTRACTS:
        yield from _entry(contract)


def _entry(contract: type[Contract]) -> Iterator[str]:
    yield f"## {contract.NAME}"
    yield ""
    described = schema(contract)
    yield " ".join((described.get("description") or "").split())
    yield ""
    steps = known_steps(contract)
    read = f"; reads versions {', '.join(map(str, steps))} too" if steps else ""
    yield f"Version {contract.VERSION}{read}."
    yield ""
    definitions = described.get("$defs", {})
    yield from _table(described)
    for name in _used(described, definitions):
        yield f"**{name}.** {' '.join((definitions[name].get('description') or '').split())}"
        yield ""
        yield from _table(definitions[name])


def _used(described: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """Parts in the order of their first use; contracts and the shape of any JSON value have no table here."""
    named = {contract.__name__ for contract in CONTRACTS} | {"JsonValue"}
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            reference = node.get("$ref", "").rpartition("/")[2]
            if reference and reference not in found and reference not in named:
                found.append(reference)
                walk(definitions[reference].get("properties", {}))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(described.get("properties", {}))
    return found


def _table(described: dict[str, Any]) -> Iterator[str]:
    yield "| field | type | |"
    yield "|---|---|---|"
    required = set(described.get("required", ()))
    for name, field in described.get("properties", {}).items():
        text = " ".join(field.get("description", "").split()).replace("|", "\\|")
        yield f"| {name}{'' if name in required else '?'} | {_type(field)} | {text} |"
    extra = described.get("additionalProperties")
    if isinstance(extra, dict):
        yield f"| *any other* | {_type(extra)} | |"
    yield ""


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return "any JSON" if name == "JsonValue" else name
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(part) for part in field["anyOf"] if part.get("type") != "null"))
    kind = field.get("type")
    if kind == "array":
        return f"list of {_type(field.get('items', {}))}"
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"object of {_type(inner)}" if isinstance(inner, dict) and inner else "object"
    if kind in ("number", "integer") and "minimum" in field:
        top = field.get("maximum")
        return f"{kind} from {field['minimum']:g}" + (f" to {top:g}" if top is not None else "")
    if kind == "string" and "format" in field:
        return field["format"]  # date-time, uuid
    return kind or "any JSON"
