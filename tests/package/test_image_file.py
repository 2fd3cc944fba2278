"""The page-table form of images: what goes in comes out, and the root is that of a loaded machine."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from tests.package.programs import images

from vac.commitment.state_root import StateCommitment
from vac.golden.model import GoldenMachine
from vac.image.image import Image
from vac.package.image_file import decode_head
from vac.package.page_table import LoadedImage, encode_image, load_file


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
