"""Memory labelled from the start is labelled in every engine, under every host, and in the root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from vac.assembler.assemble import assemble
from vac.checkpoint.memory_map import MemoryMap
from vac.commitment.memory_tree import MemoryTree
from vac.commitment.state_root import StateCommitment
from vac.engines.registry import create_machine
from vac.host.session import Host
from vac.image.image import Image, ImageError, Segment
from vac.isa.beam import BeamFlag
from vac.machine.protocol import Machine
from vac.machine.state import Status
from vac.memory.compressed_tier import CompressedTier
from vac.memory.page_store import Level, PageStore
from vac.memory.pager import Pager
from vac.package.image_file import decode_head
from vac.package.page_table import encode_image, initial_root, load_file

BASE = assemble("""
        .labels
        .data
        .space 4096
        .word 77
        .space 8000
        .code
        lit32 0
        ld32 s, s
        emit
        lit32 4096
        ld32 s, s
        emit
        lit32 8192
        ld32 s, s
        emit
        lit32 8196
        k1
        st32 s, s
        halt
""")
IMAGE = replace(BASE, segments=(*BASE.segments, Segment(1, 4100, 8, b"", 1), Segment(1, 8188, 8, b"", 0x8000)))
"""Leaf 1 carries both labels, leaf 2 the second."""
EMITTED = [0, 0x8001, 0x8000]


def _alone(machine: Machine, image: Image) -> None:
    machine.load(image)
    machine.run(1000)


def _hosted(machine: Machine, image: Image) -> None:
    Host(machine, image).run(1000)


def _paged(page_bytes: int, machine: Machine, image: Image) -> None:
    pager = Pager(PageStore([Level(CompressedTier(page_bytes))]), 20)
    Host(machine, image, pager=pager).run(1000)


@pytest.mark.parametrize("engine", ["golden", "fast", "jit"])
@pytest.mark.parametrize(
    "run",
    [_alone, _hosted, lambda *them: _paged(4096, *them), lambda *them: _paged(65536, *them)],
    ids=["alone", "hosted", "small pages", "large pages"],
)
def test_beams_carry_them(engine: str, run: Callable[[Machine, Image], None]) -> None:
    machine = create_machine(engine)
    run(machine, IMAGE)
    beams = machine.drain_beams()
    records = [beams[at : at + 16] for at in range(0, len(beams), 16)]
    emitted = [record for record in records if record[5] & BeamFlag.EMIT]
    assert [int.from_bytes(record[6:8], "little") for record in emitted] == EMITTED
    assert machine.state().status is Status.HALTED


def test_the_root_covers_them() -> None:
    machine = create_machine("golden")
    machine.load(IMAGE)
    root = StateCommitment().take(machine)
    loaded = load_file(content := encode_image(IMAGE), decode_head(content), None)
    assert loaded.root == root
    assert loaded.image.leaf_labels() == IMAGE.leaf_labels() == {(1, 1): 0x8001, (1, 2): 0x8000}
    machine.load(BASE)
    assert StateCommitment().take(machine) != root
    tree = MemoryTree()
    memory = MemoryMap.of_segments(IMAGE.segments)
    tree.put_all(((key >> 20, key & 0xFFFFF), leaf) for key, leaf in memory.items())
    assert tree.root() == _tree_of(loaded.pages).root()
    assert initial_root(loaded.head.program, loaded.pages) == root


def _tree_of(pages: dict[tuple[int, int], bytes]) -> MemoryTree:
    tree = MemoryTree()
    for (slot, number), digest in pages.items():
        tree.put_hash(slot, number, digest)
    return tree


@pytest.mark.parametrize("segment", [Segment(1, 0, 0, b"", 1), Segment(1, 0, 4, b"", 1 << 16)])
def test_impossible_labels(segment: Segment) -> None:
    with pytest.raises(ImageError, match="has labels"):
        replace(BASE, segments=(*BASE.segments, segment)).check()
    with pytest.raises(ImageError, match="does not track any"):
        replace(IMAGE, has_labels=False).check()
    with pytest.raises(ImageError, match="page-table form"):
        IMAGE.to_bytes()
