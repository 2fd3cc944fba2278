"""Checkpoints on disk: `NAME.dc.json` beside a leaf store.

The file is JSON with sorted keys: `format` "vac-checkpoint", `version` 1, `created` (UTC, ISO 8601), `tick`, `state`
(registers and stacks), `memory` (root of the page table, under which the leaf store has it), `root` (state root),
`position` (entries of the input log before it), `parent` (name of the checkpoint that it was taken after, or null),
`written` (keys of the leaves stored to since then, or null), `host` (what devices hold, or null), `labels` (free texts
by name), and `check`, the BLAKE3 hash of all else. Nothing else of a machine matters, so any engine can go on from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blake3 import blake3

from ..files.durable import PART_SUFFIX, write_durably
from .errors import CheckpointError
from .leaf_store import LeafStore, Pruned
from .point import Point
from .state_json import state_from_json, state_to_json

FORMAT = "vac-checkpoint"
VERSION = 1
SUFFIX = ".dc.json"
STORE_FOLDER = "leaves"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


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


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The file's bytes; the same checkpoint always gives the same ones."""
    point = checkpoint.point
    fields: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "created": checkpoint.created.astimezone(UTC).isoformat(timespec="microseconds"),
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
    fields["check"] = blake3(_canonical(fields)).hexdigest()
    return _canonical(fields) + b"\n"


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode_checkpoint(name: str, content: bytes, store: LeafStore) -> Checkpoint:
    """Inverse of `encode_checkpoint`; the registers are checked against the state root. Raises CheckpointError."""
    try:
        fields: dict[str, Any] = json.loads(content)
        if fields["format"] != FORMAT:
            raise CheckpointError(f"it says that it is {fields['format']!r}")
        if fields["version"] != VERSION:
            raise CheckpointError(f"it is of version {fields['version']}; version {VERSION} is known here")
        check = fields.pop("check")
        if blake3(_canonical(fields)).hexdigest() != check:
            raise CheckpointError("its check is wrong: something in it was changed")
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
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"no checkpoint: {type(error).__name__}: {error}") from error


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


class CheckpointFolder:
    """Checkpoints of one run or of several, over one leaf store in `leaves/`.

    Saving is atomic: until the new file has its name, the folder is as before. Methods raise CheckpointError, naming
    the file, where it is damaged, missing or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = LeafStore(folder / STORE_FOLDER)

    def names(self) -> list[str]:
        """Sorted by name."""
        return sorted(path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}"))

    def path(self, name: str) -> Path:
        """Raises CheckpointError for what can be no name."""
        if not _NAME.fullmatch(name):
            raise CheckpointError(f"{name!r} is no name for a checkpoint: letters, digits, '.', '_' and '-' are")
        return self.folder / f"{name}{SUFFIX}"

    def save(
        self,
        name: str,
        point: Point,
        parent: str | None = None,
        created: datetime | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Checkpoint:
        """Safe against the computer failing when this returns. Costs what the store does not hold yet."""
        path = self.path(name)
        checkpoint = Checkpoint(name, point, created or datetime.now(UTC), parent, labels or {})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.store.add(point.memory)
            write_durably(path, encode_checkpoint(checkpoint))
        except OSError as error:
            raise CheckpointError(f"cannot write {path}: {error.strerror or error}; nothing was changed") from error
        return checkpoint

    def load(self, name: str) -> Checkpoint:
        path = self.path(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            return decode_checkpoint(name, content, self.store)
        except CheckpointError as error:
            raise type(error)(f"{path}: {error}") from error

    def all(self) -> list[Checkpoint]:
        """In the order of ticks."""
        return sorted(map(self.load, self.names()), key=lambda checkpoint: (checkpoint.point.moment, checkpoint.name))

    def remove(self, names: Iterable[str]) -> Pruned:
        """Removes checkpoints, and leaves that no other needs."""
        try:
            for name in names:
                self.path(name).unlink(missing_ok=True)
            for leftover in self.folder.glob(f"*{PART_SUFFIX}"):
                leftover.unlink()
        except OSError as error:
            raise CheckpointError(f"cannot remove from {self.folder}: {error.strerror or error}") from error
        return self.store.prune(checkpoint.point.memory.root() for checkpoint in self.all())


def save_checkpoint(path: Path, point: Point, parent: str | None = None) -> Checkpoint:
    """A single checkpoint at a path that ends in `.dc.json`; its leaves go into `leaves/` beside it. Raises
    CheckpointError."""
    if not path.name.endswith(SUFFIX):
        raise CheckpointError(f"{path} does not end in {SUFFIX}, as checkpoints do")
    return CheckpointFolder(path.parent).save(path.name.removesuffix(SUFFIX), point, parent)


def load_checkpoint(path: Path) -> Checkpoint:
    """Inverse of `save_checkpoint`. Raises CheckpointError."""
    if not path.name.endswith(SUFFIX):
        raise CheckpointError(f"{path} does not end in {SUFFIX}, as checkpoints do")
    return CheckpointFolder(path.parent).load(path.name.removesuffix(SUFFIX))
