"""The manifest's fields as a table, and its JSON Schema, written from the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .manifest import manifest_schema

BEGIN = "<!-- Written by `python -m vac.package`: change the model in vac.package.manifest, not this table. -->"
END = "<!-- end -->"


def schema_text() -> str:
    """The file `manifest.schema.json`."""
    return json.dumps(manifest_schema(), indent=1, ensure_ascii=False) + "\n"


def with_table(page: str) -> str:
    """The page with the table of fields renewed. Raises ValueError where the page has no place for it."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for the table: {BEGIN} and {END} mark it")
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"


def table() -> str:
    """Markdown."""
    schema = manifest_schema()
    lines = ["| field | what it holds | what it is |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        lines += _rows(name, field, schema["$defs"])
    return "\n".join(lines) + "\n"


def _rows(name: str, field: dict[str, Any], models: dict[str, Any]) -> Iterator[str]:
    inner = next((models[_name(part)] for part in _parts(field) if "$ref" in part), None)
    doc = field.get("description") or (inner or {}).get("description", "").replace("\n", " ")
    yield f"| `{name}` | {_type(field)} | {doc} |"
    if inner:
        plural = "[]" if "items" in field else ".*" if "additionalProperties" in field else ""
        for part, member in inner["properties"].items():
            yield f"| `{name}{plural}.{part}` | {_type(member)} | {member.get('description', '')} |"


def _parts(field: dict[str, Any]) -> list[dict[str, Any]]:
    """What a field is or is made of."""
    values = [field.get("items"), field.get("additionalProperties"), *field.get("patternProperties", {}).values()]
    return [field, *(value for value in values if isinstance(value, dict))]


def _name(part: dict[str, Any]) -> str:
    return part["$ref"].rpartition("/")[2]


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "$ref" in field:
        return "object"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if field.get("type") == "object":
        values = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
        kinds = [_type(value) for value in values if isinstance(value, dict)]
        return f"object of {kinds[0]}" if kinds else "object"
    kind = str(field["type"])
    return {"integer": "number", "boolean": "true or false", "string": "text"}.get(kind, kind)
