"""A proof of registers, stacks or a memory leaf at a tick against a state root, and its file.

The file is JSON in exactly one form: keys sorted, no spaces, lower-case hexadecimal, a line feed at the end.

| field | what it holds |
|---|---|
| `format`, `version` | `"vac-state-proof"`, 1 |
| `root` | the state root that the proof leads to, 64 digits |
| `registers` | `pc`, `tick`, `status`, `trap`, `sp`, `rp`, `fp`, `code_length`, `has_labels`, `cone_in`, `cone_out`, `joins`; `sqi`, an object of its eight counts; `windows`, 17 of [slot, base, length, permissions] |
| `stacks` | `hash`, where the proof is not about them; else `cells` and `labels`: the live data stack, bottom first, then all 192 of the return stack |
| `memory` | `root`, where the proof is not about it; else `slot`, `number`, `data` (8192 digits), `labels`, and `levels`, seven from the lowest: [children that are there, the hashes of the others in order] |

A leaf of zeros without labels proves that nothing stands there. The hashes are those of `commitment`: every field is
under one of them, so that no bit can change.
"""  # noqa: E501

from __future__ import annotations

import json
import re
import struct
from dataclasses import asdict, dataclass
from typing import Any

from ..commitment.hashing import HASH_BYTES, Domain, hash_of
from ..commitment.memory_tree import LEVELS, LeafProof, leaf_root
from ..commitment.state_root import registers_hash, stacks_hash
from ..image.image import Window
from ..isa.limits import DATA_STACK_CELLS, LEAF_BYTES, RETURN_STACK_CELLS, WINDOWS
from ..isa.sqi import Sqi
from ..isa.traps import Trap
from ..machine.protocol import Leaf
from ..machine.state import State, Status
from .errors import ProofError

FORMAT = "vac-state-proof"
VERSION = 1
_LARGEST_FILE = 1 << 17
_PLAIN = ("pc", "tick", "status", "trap", "sp", "rp", "fp", "code_length", "cone_in", "cone_out", "joins")
_HEX = re.compile(r"([0-9a-f]{2})*\Z")


@dataclass(frozen=True)
class ProvenLeaf:
    """Memory leaf `number` of a shard slot, and its way up to the memory root."""

    slot: int
    number: int
    leaf: Leaf
    path: LeafProof


@dataclass(frozen=True)
class StateProof:
    """state: its registers count, and its stacks where `stacks` is None; else that is their hash. memory: a leaf, or
    the root of all memory."""

    state: State
    stacks: bytes | None
    memory: ProvenLeaf | bytes

    def root(self) -> bytes:
        """The state root that the proof leads to. Raises ProofError when its leaf's path leads nowhere."""
        memory = self.memory
        if isinstance(memory, ProvenLeaf):
            found = leaf_root(memory.slot, memory.number, memory.leaf, memory.path)
            if found is None:
                raise ProofError("memory: the hashes do not fit the children that the levels name")
            memory = found
        stacks = stacks_hash(self.state) if self.stacks is None else self.stacks
        return hash_of(Domain.STATE_ROOT, registers_hash(self.state), stacks, memory)

    def to_bytes(self) -> bytes:
        """The file."""
        fields = {
            "format": FORMAT,
            "version": VERSION,
            "root": self.root().hex(),
            "registers": _registers_fields(self.state),
            "stacks": _stacks_fields(self.state) if self.stacks is None else {"hash": self.stacks.hex()},
            "memory": _leaf_fields(self.memory) if isinstance(self.memory, ProvenLeaf) else {"root": self.memory.hex()},
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @staticmethod
    def from_bytes(content: bytes) -> StateProof:
        """Inverse of `to_bytes`. Raises ProofError for anything that is not exactly what that gives for some proof."""
        if len(content) > _LARGEST_FILE:
            raise ProofError(f"no proof: {len(content)} bytes, and none has more than {_LARGEST_FILE}")
        try:
            fields = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ProofError(f"no proof: {error}") from error
        part = "the whole"
        try:
            if fields["format"] != FORMAT:
                raise ProofError(f"no proof: its format is {fields['format']!r}")
            if type(fields["version"]) is not int or fields["version"] != VERSION:
                raise ProofError(f"the proof is of version {fields['version']!r}, and this reads {VERSION}")
            part = "registers"
            state = _state_of(fields["registers"])
            part = "stacks"
            stacks = _take_stacks(state, fields["stacks"])
            part = "memory"
            memory = _memory_of(fields["memory"])
            proof = StateProof(state, stacks, memory)
            part = "the whole"
            is_same = proof.to_bytes() == content
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, struct.error) as error:
            raise ProofError(f"{part}: {type(error).__name__}: {error}") from error
        if not is_same:
            raise ProofError("the whole: it is not in the one form that proofs have, or its root is not where it leads")
        return proof


def check_proof(content: bytes, root: bytes) -> StateProof:
    """The proof in these bytes, which holds for this state root. Raises ProofError when it does not."""
    proof = StateProof.from_bytes(content)
    found = proof.root()
    if found != root:
        raise ProofError(f"the proof leads to the root {found.hex()}, not to {root.hex()}")
    return proof


def _registers_fields(state: State) -> dict[str, Any]:
    return {
        **{name: int(getattr(state, name)) for name in _PLAIN},
        "has_labels": state.has_labels,
        "sqi": asdict(state.sqi),
        "windows": [[w.slot, w.base, w.length, w.permissions] for w in state.windows],
    }


def _state_of(fields: dict[str, Any]) -> State:
    state = State()
    for name in _PLAIN:
        setattr(state, name, _number(fields[name]))
    state.status, state.trap = Status(state.status), Trap(state.trap)
    if type(fields["has_labels"]) is not bool:
        raise TypeError("has_labels is neither true nor false")
    state.has_labels = fields["has_labels"]
    state.sqi = Sqi(**{name: _number(value) for name, value in fields["sqi"].items()})
    state.windows = [Window(*map(_number, window)) for window in fields["windows"]]
    if len(state.windows) != WINDOWS + 1:
        raise ValueError(f"{len(state.windows)} windows instead of {WINDOWS + 1}")
    if state.sp > DATA_STACK_CELLS:
        raise ValueError(f"a data stack of {state.sp} cells")
    return state


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} instead of a number")
    return value


def _live(state: State) -> list[int]:
    return [*range(state.sp), *range(DATA_STACK_CELLS, DATA_STACK_CELLS + RETURN_STACK_CELLS)]


def _stacks_fields(state: State) -> dict[str, Any]:
    live = _live(state)
    return {"cells": [state.cells[index] for index in live], "labels": [state.labels[index] for index in live]}


def _take_stacks(state: State, fields: dict[str, Any]) -> bytes | None:
    """Puts the cells into the state, or gives their hash."""
    if "hash" in fields:
        return _digest(fields["hash"])
    live = _live(state)
    for name, held in (("cells", state.cells), ("labels", state.labels)):
        values = fields[name]
        if len(values) != len(live):
            raise ValueError(f"{len(values)} {name} for a data stack of {state.sp}")
        for index, value in zip(live, values, strict=True):
            held[index] = _number(value)
    return None


def _leaf_fields(proven: ProvenLeaf) -> dict[str, Any]:
    return {
        "slot": proven.slot,
        "number": proven.number,
        "data": proven.leaf.data.hex(),
        "labels": proven.leaf.labels,
        "levels": [[present, [other.hex() for other in others]] for present, others in proven.path.levels],
    }


def _memory_of(fields: dict[str, Any]) -> ProvenLeaf | bytes:
    if "root" in fields:
        return _digest(fields["root"])
    leaf = Leaf(_unhex(fields["data"]), _number(fields["labels"]))
    if len(leaf.data) != LEAF_BYTES:
        raise ValueError(f"a leaf of {len(leaf.data)} bytes")
    levels = tuple((_number(present), tuple(map(_digest, others))) for present, others in fields["levels"])
    if len(levels) != LEVELS:
        raise ValueError(f"{len(levels)} levels instead of {LEVELS}")
    return ProvenLeaf(_number(fields["slot"]), _number(fields["number"]), leaf, LeafProof(levels))


def _unhex(text: Any) -> bytes:
    if type(text) is not str or not _HEX.match(text):
        raise TypeError("no lower-case hexadecimal digits")
    return bytes.fromhex(text)


def _digest(text: Any) -> bytes:
    digest = _unhex(text)
    if len(digest) != HASH_BYTES:
        raise ValueError(f"a hash of {len(digest)} bytes")
    return digest
