"""A checkpoint as JSON, and several of one run as one.

`NAME.dc.json` has sorted keys: `format` "vac-checkpoint", `version` 1, `created` (UTC, ISO 8601), `tick`, `state`
(registers and stacks), `memory` (root of the page table, under which the leaf store has it), `root` (state root),
`position` (entries of the input log before it), `parent` (name of the checkpoint that it was taken after, or null),
`written` (keys of the leaves stored to since then, or null), `host` (what devices hold, or null), `labels` (free texts
by name), and `check`, the BLAKE3 hash of all else. Nothing else of a machine matters, so any engine can go on from it.

`NAME.joint.json` has the machines of a run that talk to each other, at one moment of their host: `format`
"vac-joint-checkpoint", `version` 1, `created`, `run` (what they have in common, as JSON values), `machines` (by name,
each with its fields as above) and `check`. What is on its way between them is part of the receiver's `host`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from blake3 import blake3

from .errors import CheckpointError
from .leaf_store import LeafStore
from .memory_map import MemoryMap
from .point import Point
from .state_json import state_from_json, state_to_json

FORMAT = "vac-checkpoint"
VERSION = 1
JOINT_FORMAT = "vac-joint-checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """point: what it holds; memory is read from the store as it is needed. created: UTC."""

    name: str
    point: Point
    created: datetime
    parent: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def tick(self) -> int:
        return self.point.tick

    @property
    def memories(self) -> list[MemoryMap]:
        return [self.point.memory]


@dataclass(frozen=True)
class JointCheckpoint:
    """machines: by name, in the order in which they were made; each has the name `NAME/MACHINE`. run: what they have in
    common, as JSON values."""

    name: str
    machines: Mapping[str, Checkpoint]
    created: datetime
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def memories(self) -> list[MemoryMap]:
        return [machine.point.memory for machine in self.machines.values()]


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The file's bytes; the same checkpoint always gives the same ones."""
    return _checked(_fields(checkpoint))


def encode_joint(joint: JointCheckpoint) -> bytes:
    """As `encode_checkpoint`."""
    machines = [{"name": name, **_fields(machine)} for name, machine in joint.machines.items()]
    return _checked(
        {
            "format": JOINT_FORMAT,
            "version": VERSION,
            "created": _moment(joint.created),
            "run": dict(joint.run),
            "machines": machines,
        }
    )


def _fields(checkpoint: Checkpoint) -> dict[str, Any]:
    point = checkpoint.point
    return {
        "format": FORMAT,
        "version": VERSION,
        "created": _moment(checkpoint.created),
        "tick": point.tick,
        "state": state_to_json(point.state),
        "memory": point.memory.root().hex(),
        "root": point.root().hex(),
        "position": point.position,
        "parent": checkpoint.parent,
        "written": None if point.written is None else sorted(point.written),
        "host": point.host,
        "labels": dict(checkpoint.labels),
    }


def _moment(created: datetime) -> str:
    return created.astimezone(UTC).isoformat(timespec="microseconds")


def _checked(fields: dict[str, Any]) -> bytes:
    return _canonical({**fields, "check": blake3(_canonical(fields)).hexdigest()}) + b"\n"


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode_checkpoint(name: str, content: bytes, store: LeafStore) -> Checkpoint:
    """Inverse of `encode_checkpoint`; the registers are checked against the state root. Raises CheckpointError."""
    with _no_checkpoint():
        return _checkpoint(name, _opened(content, FORMAT), store)


def decode_joint(name: str, content: bytes, store: LeafStore) -> JointCheckpoint:
    """Inverse of `encode_joint`. Raises CheckpointError."""
    with _no_checkpoint():
        fields = _opened(content, JOINT_FORMAT)
        machines: dict[str, Checkpoint] = {}
        for row in fields["machines"]:
            own = row["name"]
            if type(own) is not str or own in machines or not isinstance(fields["run"], dict):
                raise TypeError(f"{own!r} names two machines, or none")
            machines[own] = _checkpoint(f"{name}/{own}", row, store)
        return JointCheckpoint(name, machines, datetime.fromisoformat(fields["created"]), fields["run"])


@contextmanager
def _no_checkpoint() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"no checkpoint: {type(error).__name__}: {error}") from error


def _opened(content: bytes, expected: str) -> dict[str, Any]:
    """Fields of a file that says what it is, and is as it was written."""
    fields: dict[str, Any] = json.loads(content)
    if fields["format"] != expected:
        raise CheckpointError(f"it says that it is {fields['format']!r}")
    if fields["version"] != VERSION:
        raise CheckpointError(f"it is of version {fields['version']}; version {VERSION} is known here")
    check = fields.pop("check")
    if blake3(_canonical(fields)).hexdigest() != check:
        raise CheckpointError("its check is wrong: something in it was changed")
    return fields


def _checkpoint(name: str, fields: dict[str, Any], store: LeafStore) -> Checkpoint:
    _check_types(fields)
    written = fields["written"]
    point = Point(
        state_from_json(fields["state"]),
        store.memory(bytes.fromhex(fields["memory"])),
        fields["position"],
        None if written is None else frozenset(written),
        fields["host"],
    )
    created = datetime.fromisoformat(fields["created"])
    if point.root().hex() != fields["root"]:
        raise CheckpointError(f"its state root is {point.root().hex()}, but it says {fields['root']}")
    return Checkpoint(name, point, created, fields["parent"], fields["labels"])


def _check_types(fields: dict[str, Any]) -> None:
    """Raises TypeError or ValueError where a field is something else than `encode_checkpoint` writes."""
    position, written, labels = fields["position"], fields["written"], fields["labels"]
    if type(position) is not int or position < 0:
        raise ValueError(f"position {position!r} in the log")
    if written is not None and any(type(key) is not int or key >> 28 for key in written):
        raise ValueError("a key of a leaf is none")
    if not isinstance(fields["host"], dict | None) or not isinstance(fields["parent"], str | None):
        raise TypeError("host or parent is something else")
    if any(type(text) is not str for pair in labels.items() for text in pair):
        raise TypeError("a label is no text")
