"""The page-table form of images: what goes in comes out, and the root is that of a loaded machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from tests.package.programs import images

from vac.commitment.state_root import StateCommitment
from vac.golden.model import GoldenMachine
from vac.image.image import Image, Segment
from vac.package.errors import ImageFileError
from vac.package.image_file import decode_head, encode_image_file
from vac.package.page_table import LoadedImage, encode_image, initial_root, load_file


def _load(content: bytes, parent: LoadedImage | None = None) -> LoadedImage:
    return load_file(content, decode_head(content), parent)


def _memory(image: Image) -> dict[tuple[int, int], bytes]:
    return {key: data for key, data in image.leaves().items() if any(data)}


@given(images())
def test_what_goes_in_comes_out(image: Image) -> None:
    content = encode_image(image)
    loaded = _load(content)
    assert _memory(loaded.image) == _memory(image)
    assert loaded.image.leaf_labels() == image.leaf_labels()
    assert replace(loaded.image, segments=()) == replace(image, segments=())
    assert encode_image(loaded.image) == content


@settings(max_examples=20)
@given(images())
def test_the_root_is_that_of_a_machine_just_loaded(image: Image) -> None:
    machine = GoldenMachine()
    machine.load(image)
    assert StateCommitment().take(machine) == _load(encode_image(image)).root


@given(images(), images())
def test_over_a_parent_it_is_the_same(parent: Image, image: Image) -> None:
    below = _load(encode_image(parent))
    alone = _load(encode_image(image))
    content = encode_image(image, below)
    above = _load(content, below)
    assert (above.image, above.root) == (alone.image, alone.root)
    assert encode_image(above.image, below) == content
    new = {digest for digest in above.pages.values() if digest not in below.leaves}
    assert above.head.stored_leaves == len(new)


def test_a_labelled_leaf_outside_every_extent_is_refused() -> None:
    """Found by fuzzing: the root would have named labels that no machine had."""
    image = Image(0, 0, 1, (Segment(0, 0, 1, b"\2"), Segment(1, 0, 8192, b"", 4)), has_labels=True)
    whole = load_file(content := encode_image(image), decode_head(content), None)
    short = replace(whole.head, extents=((0, 0, 1), (1, 0, 4096)))
    blobs = [content[whole.head.size :]]
    with pytest.raises(ImageFileError, match="slot 1 holds something in 0x1000 to 0x2000, outside every extent"):
        _load(encode_image_file(short, blobs))
    assert _load(encode_image_file(replace(whole.head, extents=((0, 0, 1), (1, 0, 4097))), blobs)).root == whole.root


def test_labels_that_are_not_tracked_are_refused() -> None:
    image = Image(0, 0, 1, (Segment(0, 0, 1, b"\2", 4),), has_labels=True)
    whole = load_file(content := encode_image(image), decode_head(content), None)
    program = replace(whole.head.program, has_labels=False)
    head = replace(whole.head, program=program, root=initial_root(program, whole.pages))
    with pytest.raises(ImageFileError, match="does not track any"):
        _load(encode_image_file(head, [content[whole.head.size :]]))
