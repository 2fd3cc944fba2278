"""Commitment to a beam stream: a Merkle tree over slices of 65,536 beams.

A slice is hashed as its bytes, the last one as far as it goes. The tree over n slices is that of the largest power of
two below n beside that of the rest, as in certificate-transparency logs: a stream that grows changes only its right
edge. The root also covers the number of beams.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..isa.beam import BEAM_BYTES
from .hashing import Domain, hash_of, hasher

SLICE_BEAMS = 1 << 16
SLICE_BYTES = SLICE_BEAMS * BEAM_BYTES


@dataclass(frozen=True)
class SliceProof:
    """That a slice stands at `index` among the slices of `beams` beams: the hashes beside its way up, lowest first."""

    index: int
    beams: int
    siblings: tuple[bytes, ...]


def _node(left: bytes, right: bytes) -> bytes:
    return hash_of(Domain.BEAM_NODE, left, right)


def _split(count: int) -> int:
    """Slices in the left subtree of `count` slices, count at least 2: the largest power of two below it."""
    return 1 << (count - 1).bit_length() - 1


def _subtree(hashes: list[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    middle = _split(len(hashes))
    return _node(_subtree(hashes[:middle]), _subtree(hashes[middle:]))


def _root(beams: int, tree: bytes) -> bytes:
    return hash_of(Domain.BEAM_ROOT, beams.to_bytes(8, "little"), tree)


def _slices(beams: int) -> int:
    return max(1, -(-beams // SLICE_BEAMS))


class BeamTree:
    """Grows with the stream; keeps 32 bytes for each slice and none of the beams."""

    def __init__(self) -> None:
        self._complete: list[bytes] = []
        self._peaks: list[tuple[int, bytes]] = []
        """Full subtrees over the complete slices, from the left: slices, hash. Each is smaller than the one before."""
        self._open = hasher(Domain.BEAM_SLICE)
        self._open_bytes = 0

    @property
    def beams(self) -> int:
        """Beams taken in."""
        return len(self._complete) * SLICE_BEAMS + self._open_bytes // BEAM_BYTES

    def append(self, records: bytes | memoryview) -> None:
        """Takes in more beams. Raises ValueError when the bytes are not whole records."""
        if len(records) % BEAM_BYTES:
            raise ValueError(f"{len(records)} bytes are not a whole number of beams of {BEAM_BYTES} bytes")
        view = memoryview(records)
        while view:
            part = view[: SLICE_BYTES - self._open_bytes]
            self._open.update(part)
            self._open_bytes += len(part)
            view = view[len(part) :]
            if self._open_bytes == SLICE_BYTES:
                self._complete_slice()

    def _complete_slice(self) -> None:
        count, top = 1, self._open.digest()
        self._complete.append(top)
        while self._peaks and self._peaks[-1][0] == count:
            _, left = self._peaks.pop()
            count, top = 2 * count, _node(left, top)
        self._peaks.append((count, top))
        self._open, self._open_bytes = hasher(Domain.BEAM_SLICE), 0

    def _hashes(self) -> list[bytes]:
        """Hash of every slice; an unfinished one counts, and so does the only one of an empty stream."""
        has_open = self._open_bytes or not self._complete
        return [*self._complete, self._open.digest()] if has_open else self._complete

    def root(self) -> bytes:
        """32 bytes that name the stream so far. Costs a handful of hashes, however long the stream is."""
        tree = self._open.digest() if self._open_bytes or not self._complete else None
        for _, peak in reversed(self._peaks):
            tree = peak if tree is None else _node(peak, tree)
        assert tree is not None
        return _root(self.beams, tree)

    def prove(self, index: int) -> SliceProof:
        """That slice `index` belongs to the stream. Raises IndexError when there is no such slice."""
        hashes = self._hashes()
        if not 0 <= index < len(hashes):
            raise IndexError(f"there is no slice {index}; the stream has {len(hashes)}")
        siblings: list[bytes] = []
        position, part = index, hashes
        while len(part) > 1:
            middle = _split(len(part))
            if position < middle:
                siblings.append(_subtree(part[middle:]))
                part = part[:middle]
            else:
                siblings.append(_subtree(part[:middle]))
                part, position = part[middle:], position - middle
        return SliceProof(index, self.beams, tuple(reversed(siblings)))


def slice_is_proven(root: bytes, records: bytes, proof: SliceProof) -> bool:
    """Whether `records` are the bytes of the slice that the proof speaks of, in the stream that `root` names."""
    count = _slices(proof.beams)
    if not 0 <= proof.index < count:
        return False
    is_left: list[bool] = []
    position, slices = proof.index, count
    while slices > 1:
        middle = _split(slices)
        is_left.append(position < middle)
        if position < middle:
            slices = middle
        else:
            position, slices = position - middle, slices - middle
    expected = min(SLICE_BEAMS, proof.beams - proof.index * SLICE_BEAMS) * BEAM_BYTES
    if len(records) != expected or len(is_left) != len(proof.siblings):
        return False
    found = hash_of(Domain.BEAM_SLICE, records)
    for goes_left, sibling in zip(reversed(is_left), proof.siblings, strict=True):
        found = _node(found, sibling) if goes_left else _node(sibling, found)
    return _root(proof.beams, found) == root


def beam_root(records: bytes) -> bytes:
    """Root of a whole stream at once. Raises ValueError when the bytes are not whole records."""
    tree = BeamTree()
    tree.append(records)
    return tree.root()
