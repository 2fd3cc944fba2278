"""The root of an image file once more, from docs/packages.md alone: hashes and bytes, nothing of the package `vac`."""

from __future__ import annotations

import json
import struct

import zstandard
from blake3 import blake3


def keyed(context: str, content: bytes) -> bytes:
    """BLAKE3 with the key that `derive_key` makes of the context and no key material."""
    return blake3(content, key=blake3(b"", derive_key_context=context).digest()).digest()


def read(content: bytes, leaves: dict[tuple[int, int], tuple[int, bytes]], stored: dict[bytes, bytes]) -> dict:
    """Puts a file's leaves over those of its parent; returns its header. leaves: by slot and number, labels and bytes;
    stored: bytes by hash."""
    assert content[:8] == b"VACIMG\0\2"
    header_size, page_count, blob_count = struct.unpack("<III", content[8:20])
    header = json.loads(content[20 : 20 + header_size])
    at = 20 + header_size
    pages = [struct.unpack("<BBHII32s", content[at + 44 * i : at + 44 * i + 44]) for i in range(page_count)]
    at += 44 * page_count
    blobs = [struct.unpack("<II32s", content[at + 40 * i : at + 40 * i + 40]) for i in range(blob_count)]
    at += 40 * blob_count
    assert blake3(content[:at]).digest() == content[at : at + 32]
    at += 32
    own = b""
    for size, count, digest in blobs:
        assert blake3(content[at : at + size]).digest() == digest
        data = zstandard.ZstdDecompressor().decompress(content[at : at + size])
        assert len(data) == 4096 * count
        own += data
        at += size
    assert at == len(content)
    for slot, zero, labels, number, place, digest in pages:
        assert zero == 0
        if digest == bytes(32):
            del leaves[slot, number]
            continue
        data = stored[digest] if place == 0xFFFFFFFF else own[4096 * place : 4096 * place + 4096]
        assert keyed("VAC 1 memory leaf", struct.pack("<H", labels) + data) == digest
        stored[digest] = data
        leaves[slot, number] = labels, data
    return header


def memory_root(leaves: dict[tuple[int, int], tuple[int, bytes]]) -> bytes:
    """From the leaves up: seven levels of sixteen children under a key of slot (8 bits) and leaf number (20 bits)."""
    level = {
        slot << 20 | number: keyed("VAC 1 memory leaf", struct.pack("<H", labels) + data)
        for (slot, number), (labels, data) in leaves.items()
        if labels or data != bytes(4096)
    }
    for height in range(7):
        above: dict[int, list[int]] = {}
        for key in sorted(level):
            above.setdefault(key >> 4, []).append(key)
        if height == 6:
            above.setdefault(0, [])
        level = {
            prefix: keyed(
                "VAC 1 memory tree node",
                struct.pack("<H", sum(1 << (key & 15) for key in keys)) + b"".join(level[key] for key in keys),
            )
            for prefix, keys in above.items()
        }
    return level[0]


def state_root(header: dict, memory: bytes) -> bytes:
    """Registers and stacks of a machine before its first tick, and its memory."""
    registers = struct.pack("<IQBBBBBI?QQI", header["entry"], 0, 0, 0, 0, header["frame"], 0, header["code_length"],
                            header["has_labels"], 0, 0, 0)  # fmt: skip
    sqi = struct.pack("<4I3IHI", 65535, 0, 0, 65535, 0, 0, 0, 0, 0)
    windows = [(0, 0, 0, 0)] * 17
    for index, slot, base, length, permissions in header["windows"]:
        windows[index] = base, length, slot, permissions
    table_base, table_entries = header["table"]
    if table_entries:
        windows[16] = table_base, 4 * table_entries, 0, 1
    packed = b"".join(struct.pack("<QIBB", *window) for window in windows)
    stacks = bytes([0]) + bytes(4 * 192) + bytes(2 * 192)
    return keyed(
        "VAC 1 state root",
        keyed("VAC 1 registers", registers + sqi + packed) + keyed("VAC 1 stacks", stacks) + memory,
    )


def root_of(*chain: bytes) -> bytes:
    """Root of the last file; before it come its parents, the lowest first."""
    leaves: dict[tuple[int, int], tuple[int, bytes]] = {}
    stored: dict[bytes, bytes] = {}
    root, header = None, {}
    for content in chain:
        header = read(content, leaves, stored)
        assert header["parent"] == (root.hex() if root else None)
        root = state_root(header, memory_root(leaves))
        assert header["root"] == root.hex()
    assert root
    return root
