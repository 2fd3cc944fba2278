"""The one way in which a value is written as JSON, so that equal values are equal bytes."""

from __future__ import annotations

import json
from typing import Any


def readable_json(value: Any) -> bytes:
    """For files that people read: sorted keys, two spaces a level, UTF-8, a line feed at the end."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def compact_json(value: Any) -> bytes:
    """For what is hashed or embedded: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()  # fmt: skip


def parse_json(content: bytes, most_bytes: int) -> Any:
    """What the bytes say. Raises ValueError when they are more than `most_bytes`, no JSON in UTF-8, or too deep."""
    if len(content) > most_bytes:
        raise ValueError(f"it has {len(content):,} bytes; {most_bytes:,} are allowed")
    try:
        return json.loads(content.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8: {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
