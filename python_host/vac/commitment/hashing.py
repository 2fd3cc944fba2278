"""Keyed BLAKE3, one key for each thing that is hashed, so that no hash of one kind can stand for one of another."""

from __future__ import annotations

from enum import Enum

from blake3 import blake3

HASH_BYTES = 32


class Domain(Enum):
    """What is hashed. The value is the context that its key is derived from; changing one changes every root."""

    BEAM_SLICE = "VAC 1 beam slice"
    BEAM_NODE = "VAC 1 beam tree node"
    BEAM_ROOT = "VAC 1 beam tree root"
    MEMORY_LEAF = "VAC 1 memory leaf"
    MEMORY_NODE = "VAC 1 memory tree node"
    REGISTERS = "VAC 1 registers"
    STACKS = "VAC 1 stacks"
    STATE_ROOT = "VAC 1 state root"


_KEYS = {domain: blake3(b"", derive_key_context=domain.value).digest() for domain in Domain}


def hash_of(domain: Domain, *parts: bytes) -> bytes:
    """32 bytes over the concatenated parts, whose boundaries the caller makes unambiguous."""
    return blake3(parts[0] if len(parts) == 1 else b"".join(parts), key=_KEYS[domain]).digest()


def hasher(domain: Domain) -> blake3:
    """A hasher that is fed piece by piece; its digest equals `hash_of` of the whole."""
    return blake3(key=_KEYS[domain])
