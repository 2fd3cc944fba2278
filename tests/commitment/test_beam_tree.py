"""The beam tree against a plain recomputation, and its proofs."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from blake3 import blake3

from vac.commitment.beam_tree import SLICE_BEAMS, SLICE_BYTES, BeamTree, SliceProof, beam_root, slice_is_proven


def _stream(beams: int) -> bytes:
    return random.Random(beams).randbytes(16 * beams)


def _key(context: str) -> bytes:
    return blake3(b"", derive_key_context=context).digest()


def _by_hand(records: bytes) -> bytes:
    """The definition once more, recursively over the bytes."""

    def tree(data: bytes) -> bytes:
        if len(data) <= SLICE_BYTES:
            return blake3(data, key=_key("VAC 1 beam slice")).digest()
        left = SLICE_BYTES
        while 2 * left < len(data):
            left *= 2
        return blake3(tree(data[:left]) + tree(data[left:]), key=_key("VAC 1 beam tree node")).digest()

    count = (len(records) // 16).to_bytes(8, "little")
    return blake3(count + tree(records), key=_key("VAC 1 beam tree root")).digest()


LENGTHS = [0, 1, SLICE_BEAMS - 1, SLICE_BEAMS, SLICE_BEAMS + 1, 2 * SLICE_BEAMS, 3 * SLICE_BEAMS, 5 * SLICE_BEAMS + 7]


@pytest.mark.parametrize("beams", LENGTHS)
def test_equals_recomputation(beams: int) -> None:
    records = _stream(beams)
    assert beam_root(records) == _by_hand(records)


def test_any_pieces_give_the_same_root() -> None:
    records = _stream(3 * SLICE_BEAMS + 100)
    draw = random.Random(7)
    tree = BeamTree()
    position = 0
    while position < len(records):
        size = 16 * draw.choice((0, 1, 100, 60_000, 70_000))
        tree.append(records[position : position + size])
        position += size
        assert tree.beams == min(position, len(records)) // 16
        tree.root()  # asking in between changes nothing
    assert tree.root() == beam_root(records)


@pytest.mark.parametrize("beams", LENGTHS)
def test_proofs(beams: int) -> None:
    records = _stream(beams)
    tree = BeamTree()
    tree.append(records)
    root = tree.root()
    for index in range(max(1, -(-beams // SLICE_BEAMS))):
        part = records[index * SLICE_BYTES : (index + 1) * SLICE_BYTES]
        proof = tree.prove(index)
        assert slice_is_proven(root, part, proof)
        if part:
            assert not slice_is_proven(root, part[:-1] + bytes([part[-1] ^ 1]), proof)
            assert not slice_is_proven(root, part[:-16], proof)
        assert not slice_is_proven(root, part, replace(proof, index=index + 1))
        assert not slice_is_proven(root, part, replace(proof, beams=beams + 1))
        assert not slice_is_proven(root, part, SliceProof(index, beams, (*proof.siblings, bytes(32))))
        for height in range(len(proof.siblings)):
            swapped = list(proof.siblings)
            swapped[height] = bytes(32)
            assert not slice_is_proven(root, part, replace(proof, siblings=tuple(swapped)))
    with pytest.raises(IndexError, match="no slice"):
        tree.prove(99)


def test_part_of_a_beam_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of beams"):
        BeamTree().append(b"123")
