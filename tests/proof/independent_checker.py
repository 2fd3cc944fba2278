"""The check of a proof once more, from the description of the format alone: nothing of the package is used."""

from __future__ import annotations

import json
from typing import Any

from blake3 import blake3


class Refused(Exception):
    pass


def _hash(context: str, content: bytes) -> bytes:
    key = blake3(b"", derive_key_context=f"VAC 1 {context}").digest()
    return blake3(content, key=key).digest()


def _need(holds: bool) -> None:
    if not holds:
        raise Refused


def _object(value: Any, *names: set[str]) -> dict[str, Any]:
    """An object with exactly one of these sets of fields."""
    _need(isinstance(value, dict) and set(value) in names)
    return value


def _list(value: Any, length: int | None = None) -> list[Any]:
    _need(isinstance(value, list) and length in (None, len(value)))
    return value


def _integer(value: Any, bits: int) -> int:
    _need(type(value) is int and 0 <= value < 1 << bits)
    return value


def _hexadecimal(value: Any, length: int) -> bytes:
    _need(type(value) is str and len(value) == 2 * length and set(value) <= set("0123456789abcdef"))
    return bytes.fromhex(value)


def check(content: bytes, root: bytes) -> dict[str, Any]:
    """What is proven. Raises Refused."""
    try:
        fields = json.loads(content)
        again = json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n"
    except (ValueError, RecursionError) as error:
        raise Refused from error
    _need(again.encode() == content)
    fields = _object(fields, {"format", "version", "root", "registers", "stacks", "memory"})
    _need(fields["format"] == "vac-state-proof" and type(fields["version"]) is int and fields["version"] == 1)
    registers = fields["registers"]
    parts = _registers(registers) + _stacks(fields["stacks"], registers["sp"]) + _memory(fields["memory"])
    found = _hash("state root", parts)
    _need(_hexadecimal(fields["root"], 32) == found == root)
    return fields


_BEFORE = {"pc": 4, "tick": 8, "status": 1, "trap": 1, "sp": 1, "rp": 1, "fp": 1, "code_length": 4}
_AFTER = {"cone_in": 8, "cone_out": 8, "joins": 4}
_SQI = {"coherence": 4, "entropy": 4, "drift": 4}
_COUNTS = {"mispredictions": 4, "distance": 4, "refusals": 4, "history": 2, "last_emit": 4}
_WINDOW = (8, 4, 1, 1)
"""Bytes of base, length, slot, permissions."""


def _packed(fields: Any, widths: dict[str, int]) -> bytes:
    return b"".join(_integer(fields[name], 8 * width).to_bytes(width, "little") for name, width in widths.items())


def _registers(fields: Any) -> bytes:
    fields = _object(fields, {*_BEFORE, *_AFTER, "has_labels", "sqi", "windows"})
    sqi, windows = _object(fields["sqi"], {*_SQI, *_COUNTS}), _list(fields["windows"], 17)
    _need(type(fields["has_labels"]) is bool)
    packed = _packed(fields, _BEFORE) + bytes([fields["has_labels"]]) + _packed(fields, _AFTER) + _packed(sqi, _SQI)
    score = (2 * sqi["coherence"] + (0xFFFF - sqi["entropy"]) + (0xFFFF - sqi["drift"])) // 4
    packed += _integer(score, 32).to_bytes(4, "little") + _packed(sqi, _COUNTS)
    for window in windows:
        slot, base, length, permissions = _list(window, 4)
        for value, width in zip((base, length, slot, permissions), _WINDOW, strict=True):
            packed += _integer(value, 8 * width).to_bytes(width, "little")
    return _hash("registers", packed)


def _stacks(fields: Any, depth: int) -> bytes:
    fields = _object(fields, {"hash"}, {"cells", "labels"})
    if "hash" in fields:
        return _hexadecimal(fields["hash"], 32)
    _need(depth <= 64)
    packed = bytes([depth])
    for name, width in (("cells", 4), ("labels", 2)):
        values = _list(fields[name], depth + 192)
        packed += b"".join(_integer(value, 8 * width).to_bytes(width, "little") for value in values)
    return _hash("stacks", packed)


def _memory(fields: Any) -> bytes:
    fields = _object(fields, {"root"}, {"slot", "number", "data", "labels", "levels"})
    if "root" in fields:
        return _hexadecimal(fields["root"], 32)
    key = _integer(fields["slot"], 8) << 20 | _integer(fields["number"], 20)
    data, labels = _hexadecimal(fields["data"], 4096), _integer(fields["labels"], 16)
    found = _hash("memory leaf", labels.to_bytes(2, "little") + data) if labels or any(data) else b""
    for height, level in enumerate(_list(fields["levels"], 7)):
        mask, hashes = _list(level, 2)
        present, others = _integer(mask, 16), [_hexadecimal(other, 32) for other in _list(hashes)]
        mine = key >> 4 * height & 15
        _need(present.bit_count() == len(others) + bool(found) and bool(present >> mine & 1) == bool(found))
        if found:
            others.insert((present & (1 << mine) - 1).bit_count(), found)
        is_top = height == 6
        found = _hash("memory tree node", present.to_bytes(2, "little") + b"".join(others)) if others or is_top else b""
    return found
