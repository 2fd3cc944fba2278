"""Checkpoints on disk: `NAME.dc.json` and `NAME.joint.json` beside a leaf store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ..files.durable import PART_SUFFIX, write_durably
from .encoding import (
    Checkpoint,
    JointCheckpoint,
    decode_checkpoint,
    decode_joint,
    encode_checkpoint,
    encode_joint,
)
from .errors import CheckpointError
from .leaf_store import LeafStore, Pruned
from .point import Point

SUFFIX = ".dc.json"
JOINT_SUFFIX = ".joint.json"
STORE_FOLDER = "leaves"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_Kind = TypeVar("_Kind", Checkpoint, JointCheckpoint)


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

    def joint_names(self) -> list[str]:
        """Of joint checkpoints, sorted."""
        return sorted(path.name.removesuffix(JOINT_SUFFIX) for path in self.folder.glob(f"*{JOINT_SUFFIX}"))

    def path(self, name: str, suffix: str = SUFFIX) -> Path:
        """Raises CheckpointError for what can be no name."""
        if not _NAME.fullmatch(name):
            raise CheckpointError(f"{name!r} is no name for a checkpoint: letters, digits, '.', '_' and '-' are")
        return self.folder / f"{name}{suffix}"

    def save(
        self,
        name: str,
        point: Point,
        parent: str | None = None,
        created: datetime | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Checkpoint:
        """Safe against the computer failing when this returns. Costs what the store does not hold yet."""
        checkpoint = Checkpoint(name, point, created or datetime.now(UTC), parent, labels or {})
        self._write(self.path(name), checkpoint, encode_checkpoint)
        return checkpoint

    def save_joint(
        self, name: str, points: Mapping[str, Point], run: Mapping[str, Any] | None = None
    ) -> JointCheckpoint:  # fmt: skip
        """Several machines of one run, none of which ran meanwhile; as `save`, of all or of none. run: what they have
        in common."""
        created = datetime.now(UTC)
        machines = {own: Checkpoint(f"{name}/{own}", point, created) for own, point in points.items()}
        joint = JointCheckpoint(name, machines, created, run or {})
        self._write(self.path(name, JOINT_SUFFIX), joint, encode_joint)
        return joint

    def _write(self, path: Path, checkpoint: _Kind, encode: Callable[[_Kind], bytes]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for memory in checkpoint.memories:
                self.store.add(memory)
            write_durably(path, encode(checkpoint))
        except OSError as error:
            raise CheckpointError(f"cannot write {path}: {error.strerror or error}; nothing was changed") from error

    def load(self, name: str) -> Checkpoint:
        return self._read(name, self.path(name), decode_checkpoint)

    def load_joint(self, name: str) -> JointCheckpoint:
        return self._read(name, self.path(name, JOINT_SUFFIX), decode_joint)

    def _read(self, name: str, path: Path, decode: Callable[[str, bytes, LeafStore], _Kind]) -> _Kind:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            return decode(name, content, self.store)
        except CheckpointError as error:
            raise type(error)(f"{path}: {error}") from error

    def all(self) -> list[Checkpoint]:
        """In the order of ticks."""
        return sorted(map(self.load, self.names()), key=lambda checkpoint: (checkpoint.point.moment, checkpoint.name))

    def remove(self, names: Iterable[str]) -> Pruned:
        """Removes checkpoints, joint ones of these names too, and leaves that no other needs."""
        try:
            for name in names:
                for suffix in (SUFFIX, JOINT_SUFFIX):
                    self.path(name, suffix).unlink(missing_ok=True)
            for leftover in self.folder.glob(f"*{PART_SUFFIX}"):
                leftover.unlink()
        except OSError as error:
            raise CheckpointError(f"cannot remove from {self.folder}: {error.strerror or error}") from error
        kept = [*self.all(), *map(self.load_joint, self.joint_names())]
        return self.store.prune(memory.root() for checkpoint in kept for memory in checkpoint.memories)


def save_checkpoint(path: Path, point: Point, parent: str | None = None) -> Checkpoint:
    """A single checkpoint at a path that ends in `.dc.json`; its leaves go into `leaves/` beside it. Raises
    CheckpointError."""
    return CheckpointFolder(path.parent).save(_name_in(path, SUFFIX), point, parent)


def load_checkpoint(path: Path) -> Checkpoint:
    """Inverse of `save_checkpoint`. Raises CheckpointError."""
    return CheckpointFolder(path.parent).load(_name_in(path, SUFFIX))


def save_joint(path: Path, points: Mapping[str, Point], run: Mapping[str, Any] | None = None) -> JointCheckpoint:
    """A joint checkpoint at a path that ends in `.joint.json`; as `CheckpointFolder.save_joint`."""
    return CheckpointFolder(path.parent).save_joint(_name_in(path, JOINT_SUFFIX), points, run)


def load_joint(path: Path) -> JointCheckpoint:
    """Inverse of `save_joint`. Raises CheckpointError."""
    return CheckpointFolder(path.parent).load_joint(_name_in(path, JOINT_SUFFIX))


def _name_in(path: Path, suffix: str) -> str:
    if not path.name.endswith(suffix):
        raise CheckpointError(f"{path} does not end in {suffix}, as such checkpoints do")
    return path.name.removesuffix(suffix)
