"""Leaves and page-table nodes on disk, each once, under their hashes.

What one checkpoint adds is one file, a *pack*: the 8 bytes ``VACPACK`` 1, then objects one after another, each
compressed with zstd; then the index, for each object its hash (32 bytes), kind (u8: 0 leaf, 1 node), position (u64) and
length (u32) in the file, sorted by hash; then the index's position (u64), its number of entries (u32) and its CRC-32
(u32). All numbers are little-endian. A leaf is its labels (u16) and 4096 bytes, a node what its hash is taken of. Each
object is checked against its hash when it is read.

A pack is named by the hash of its index. It is written under another name and renamed, so a pack that is there is
whole. An object is written only after everything under it: what is in the store can be reached to its leaves.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import zstandard
from blake3 import blake3

from ..commitment.hashing import HASH_BYTES, Domain, hash_of
from ..commitment.memory_tree import EMPTY_ROOT, leaf_hash
from ..files.durable import PART_SUFFIX, sync, write_durably
from ..isa.limits import LEAF_BYTES
from ..machine.protocol import Leaf
from .errors import StoreError
from .memory_map import HeldLeaf, MemoryMap, Node, unpack_node

MAGIC = b"VACPACK\x01"
PACK_SUFFIX = ".leaves"
_ENTRY = struct.Struct(f"<{HASH_BYTES}sBQI")
_FOOTER = struct.Struct("<QII")
_LEAF, _NODE = 0, 1
_LARGEST = LEAF_BYTES + 2
_LEVEL = 1
_KEEP_SHARE = 0.5
"""Packs of which less than this is needed are written anew by `prune`."""


@dataclass(frozen=True)
class _Place:
    pack: str
    kind: int
    position: int
    length: int


@dataclass(frozen=True)
class Pruned:
    """What `prune` did. objects, bytes: gone from the store."""

    objects: int
    bytes: int


class LeafStore:
    """A folder of packs; it is made when the first is written. Raises StoreError where a pack is damaged or cannot be
    read. One process writes to a store at a time; any number read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[bytes, _Place] = {}
        self._packs: set[str] = set()
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()
        self.refresh()

    def refresh(self) -> None:
        """Takes in packs that others have written."""
        if not self.folder.is_dir():
            return
        try:
            for path in sorted(self.folder.glob(f"*{PACK_SUFFIX}")):
                if path.name not in self._packs:
                    self._take_in(path)
        except OSError as error:
            raise StoreError(f"cannot read the leaf store {self.folder}: {error.strerror or error}") from error

    def __contains__(self, address: bytes) -> bool:
        return address in self._places

    def __len__(self) -> int:
        return len(self._places)

    @property
    def packs(self) -> list[Path]:
        return [self.folder / name for name in sorted(self._packs)]

    @property
    def bytes(self) -> int:
        """What the packs take up on disk."""
        return sum(path.stat().st_size for path in self.packs)

    # ---- reading -------------------------------------------------------------------------------------------------

    def memory(self, root: bytes) -> MemoryMap:
        """The map of this root, whose leaves are read when they are asked for. Raises StoreError when there is none."""
        if root != EMPTY_ROOT and root not in self._places:
            raise StoreError(f"memory {root.hex()} is not in the leaf store {self.folder}")
        return MemoryMap.stored(root, self)

    def read_leaf(self, address: bytes) -> Leaf:
        content = self._read(address, _LEAF)
        if len(content) != LEAF_BYTES + 2:
            raise StoreError(f"leaf {address.hex()} in {self.folder} has {len(content)} bytes")
        leaf = Leaf(content[2:], int.from_bytes(content[:2], "little"))
        if leaf_hash(leaf) != address:
            raise StoreError(f"leaf {address.hex()} in {self.folder} is damaged: its hash is another")
        return leaf

    def read_node(self, address: bytes) -> bytes:
        content = self._read(address, _NODE)
        if hash_of(Domain.MEMORY_NODE, content) != address:
            raise StoreError(f"page table node {address.hex()} in {self.folder} is damaged: its hash is another")
        return content

    def _read(self, address: bytes, kind: int) -> bytes:
        place = self._places.get(address)
        if place is None or place.kind != kind:
            raise StoreError(f"{('leaf', 'node')[kind]} {address.hex()} is not in the leaf store {self.folder}")
        return self._unpacked(self._stored(place), place)

    def _stored(self, place: _Place) -> bytes:
        try:
            with (self.folder / place.pack).open("rb") as file:
                file.seek(place.position)
                return file.read(place.length)
        except OSError as error:
            raise StoreError(f"cannot read {self.folder / place.pack}: {error.strerror or error}") from error

    def _unpacked(self, stored: bytes, place: _Place) -> bytes:
        try:
            return self._decompressor.decompress(stored, max_output_size=_LARGEST)
        except zstandard.ZstdError as error:
            raise StoreError(f"{self.folder / place.pack} is damaged at byte {place.position}: {error}") from error

    def _take_in(self, path: Path) -> None:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < len(MAGIC) + _FOOTER.size:
                raise StoreError(f"{path} is too short for a pack of leaves")
            file.seek(size - _FOOTER.size)
            start, count, crc = _FOOTER.unpack(file.read(_FOOTER.size))
            length = count * _ENTRY.size
            file.seek(0)
            if file.read(len(MAGIC)) != MAGIC or start + length + _FOOTER.size != size:
                raise StoreError(f"{path} is no pack of leaves, or damaged")
            file.seek(start)
            index = file.read(length)
        if zlib.crc32(index) != crc:
            raise StoreError(f"{path} is damaged: the CRC of its index is wrong")
        for address, kind, position, extent in _ENTRY.iter_unpack(index):
            if kind > _NODE or position + extent > start:
                raise StoreError(f"{path} is damaged: its index names what it does not hold")
            self._places.setdefault(address, _Place(path.name, kind, position, extent))
        self._packs.add(path.name)

    # ---- writing -------------------------------------------------------------------------------------------------

    def add(self, memory: MemoryMap) -> int:
        """Puts a map into the store: everything of it that is not there yet, which is what it costs. How many objects
        that was; all are safe when this returns. Raises StoreError; the store is as it was then."""
        found: dict[bytes, tuple[int, bytes]] = {}
        self._gather(memory.top, found)
        objects = [(address, kind, self._compressor.compress(content)) for address, (kind, content) in found.items()]
        if objects:
            self._write_pack(objects)
        return len(objects)

    def _gather(self, node: Node, found: dict[bytes, tuple[int, bytes]]) -> None:
        address = node.address
        if address is None or address in self._places or address in found:
            return
        for child in node.children.values():
            if isinstance(child, Node):
                self._gather(child, found)
            else:
                self._gather_leaf(child, found)
        found[address] = _NODE, node.packed()

    def _gather_leaf(self, held: HeldLeaf, found: dict[bytes, tuple[int, bytes]]) -> None:
        address = held.address
        if address is not None and address not in self._places and address not in found:
            found[address] = _LEAF, held.leaf.labels.to_bytes(2, "little") + held.leaf.data

    def _write_pack(self, objects: Iterable[tuple[bytes, int, bytes]]) -> None:
        content, entries = bytearray(MAGIC), []
        for address, kind, stored in objects:
            entries.append((address, kind, len(content), len(stored)))
            content += stored
        index = b"".join(_ENTRY.pack(*entry) for entry in sorted(entries))
        content += index + _FOOTER.pack(len(content), len(entries), zlib.crc32(index))
        path = self.folder / f"{blake3(index).hexdigest()[:32]}{PACK_SUFFIX}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_durably(path, bytes(content))
        except OSError as error:
            raise StoreError(f"cannot write to the leaf store {self.folder}: {error.strerror or error}") from error
        self._packs.add(path.name)
        for address, kind, position, length in entries:
            self._places[address] = _Place(path.name, kind, position, length)

    # ---- pruning -------------------------------------------------------------------------------------------------

    def prune(self, roots: Iterable[bytes]) -> Pruned:
        """Removes what none of these memories needs. A crash on the way leaves everything that is needed. Raises
        StoreError, also when one of the roots is not there."""
        needed: set[bytes] = set()
        for root in roots:
            self._mark(root, needed)
        before, objects = self.bytes, len(self._places)
        by_pack: dict[str, list[bytes]] = {name: [] for name in self._packs}
        sizes: dict[str, int] = dict.fromkeys(self._packs, 0)
        for address, place in self._places.items():
            if address in needed:
                by_pack[place.pack].append(address)
                sizes[place.pack] += place.length
        try:
            stale = [n for n in self._packs if sizes[n] < _KEEP_SHARE * (self.folder / n).stat().st_size]
            moved = [address for name in stale for address in by_pack[name]]
            kept = [(address, self._places[address].kind, self._stored(self._places[address])) for address in moved]
            self._places = {a: place for a, place in self._places.items() if a in needed}
            if kept:
                self._write_pack(kept)
            for name in stale:
                if not any(self._places[address].pack == name for address in by_pack[name]):
                    (self.folder / name).unlink()
                    self._packs.discard(name)
            for leftover in self.folder.glob(f"*{PART_SUFFIX}"):
                leftover.unlink()
            if self.folder.is_dir():
                sync(self.folder)
        except OSError as error:
            raise StoreError(f"cannot prune the leaf store {self.folder}: {error.strerror or error}") from error
        return Pruned(objects - len(self._places), before - self.bytes)

    def _mark(self, root: bytes, needed: set[bytes]) -> None:
        if root == EMPTY_ROOT:
            return
        waiting = [root]
        while waiting:
            address = waiting.pop()
            if address in needed:
                continue
            needed.add(address)
            place = self._places.get(address)
            if place is None:
                raise StoreError(f"{address.hex()} is not in the leaf store {self.folder}; nothing was removed")
            if place.kind == _NODE:
                waiting += unpack_node(self.read_node(address)).values()
