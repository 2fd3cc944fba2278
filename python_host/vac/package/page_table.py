"""All leaves of an image that was put together from a file and its parents: their hashes, contents, root."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..commitment.hashing import Domain, hash_of
from ..commitment.memory_tree import MemoryTree
from ..commitment.state_root import state_root
from ..image.image import Image, ImageError
from ..isa.limits import LEAF_BITS, LEAF_BYTES
from ..machine.state import State
from .errors import ImageFileError, ParentError
from .image_file import (
    GONE,
    IN_PARENT,
    MOST_LEAVES,
    ImageHead,
    PageRow,
    encode_image_file,
    pack_blobs,
    read_leaves,
)
from .segments import Leaves, Pages, segments_of

_ZEROS = bytes(LEAF_BYTES)


@dataclass(frozen=True)
class LoadedImage:
    """An image file with everything that it stands on.

    image: what a machine is loaded with. head: of the file itself. pages: of the file and its parents together.
    leaves: label set and contents by leaf hash. root: state root before the first tick, 32 bytes. parent: what the
    file stands on.
    """

    image: Image
    head: ImageHead
    pages: Pages
    leaves: Leaves
    root: bytes
    parent: LoadedImage | None = None


def initial_root(program: Image, pages: Pages) -> bytes:
    """State root of a machine loaded with this program and these leaves, before its first tick."""
    tree = MemoryTree()
    for (slot, number), digest in pages.items():
        tree.put_hash(slot, number, digest)
    return state_root(State.initial(program), tree.root())


def load_file(content: bytes, head: ImageHead, parent: LoadedImage | None) -> LoadedImage:
    """Checks an image file to the last byte against its tables, and its tables against its root.

    head: `decode_head` of the content. parent: the image that the file names as its parent.
    Raises ImageFileError; ParentError, naming both roots, when the parent is another one.
    """
    check_parent(head, parent)
    pages: Pages = dict(parent.pages) if parent else {}
    leaves: Leaves = dict(parent.leaves) if parent else {}
    own = {row.place: row for row in reversed(head.pages) if row.place != IN_PARENT}
    for place, data in enumerate(read_leaves(content, head)):
        row = own[place]
        if page_hash(row.labels, data) != row.hash or (not row.labels and data == _ZEROS):
            raise ImageFileError(f"leaf {row.number} of slot {row.slot} does not have the contents that its hash names")
        leaves[row.hash] = row.labels, data
    for row in head.pages:
        where = f"leaf {row.number} of slot {row.slot}"
        if row.is_gone:
            if pages.pop((row.slot, row.number), None) is None:
                raise ImageFileError(f"{where} is taken away, but the parent has none")
        elif row.hash not in leaves:
            raise ImageFileError(f"no parent stores the contents of {where}")
        elif leaves[row.hash][0] != row.labels:
            raise ImageFileError(f"{where} does not have the labels that its hash names")
        else:
            pages[row.slot, row.number] = row.hash
    if len(pages) > MOST_LEAVES:
        raise ImageFileError(f"the image has {len(pages):,} leaves in all; {MOST_LEAVES:,} are allowed")
    root = initial_root(head.program, pages)
    if root != head.root:
        raise ImageFileError(
            f"registers and leaves of the image give root {root.hex()}, but its header says {head.root.hex()}"
        )
    segments = tuple(segments_of(head.extents, pages, leaves))
    image = replace(head.program, segments=segments)
    try:
        image.check()
    except ImageError as error:
        raise ImageFileError(str(error)) from error
    return LoadedImage(image, head, pages, leaves, root, parent)


def check_parent(head: ImageHead, parent: LoadedImage | None) -> None:
    """Raises ParentError, naming both roots, when this is not the parent that the file names."""
    if head.parent is None:
        return
    if parent is None:
        raise ParentError(
            f"the image with root {head.root.hex()} stands on a parent with root {head.parent.hex()}, which is missing",
            head.parent,
        )
    if parent.root != head.parent:
        raise ParentError(
            f"the image stands on a parent with root {head.parent.hex()}, but the parent given has root "
            f"{parent.root.hex()}",
            head.parent,
            parent.root,
        )


def encode_image(image: Image, parent: LoadedImage | None = None) -> bytes:
    """An image file in the page-table form. With a parent it stores only what the parent's leaves do not hold.

    Raises ImageError for anything that no machine could load.
    """
    image.check()
    contents = _contents(image)
    labels = image.leaf_labels()
    for key in labels.keys() - contents.keys():
        contents[key] = _ZEROS
    pages: Pages = {}
    rows: list[PageRow] = []
    stored: dict[bytes, int] = {}
    new: list[bytes] = []
    before = parent.pages if parent else {}
    for key in sorted({*contents, *before}):
        if key not in contents:
            rows.append(PageRow(*key, 0, IN_PARENT, GONE))
            continue
        of_leaf = labels.get(key, 0)
        digest = pages[key] = page_hash(of_leaf, contents[key])
        if before.get(key) == digest:
            continue
        place = IN_PARENT
        if not parent or digest not in parent.leaves:
            place = stored.setdefault(digest, len(stored))
            if place == len(new):
                new.append(contents[key])
        rows.append(PageRow(*key, of_leaf, place, digest))
    blob_rows, blobs = pack_blobs(new)
    program = replace(image, segments=())
    root = initial_root(program, pages)
    head = ImageHead(
        program, _extents(image), parent.root if parent else None, root, tuple(rows), blob_rows
    )  # fmt: skip
    return encode_image_file(head, blobs)


def _contents(image: Image) -> dict[tuple[int, int], bytes]:
    """Every leaf that does not hold zeros alone, whatever the segments' lengths."""
    found: dict[tuple[int, int], bytearray | bytes] = {}
    for segment in image.segments:
        end = segment.offset + len(segment.data)
        for number in range(segment.offset >> LEAF_BITS, -(-end // LEAF_BYTES)):
            start = number << LEAF_BITS
            key = segment.slot, number
            if key not in found and segment.offset <= start and start + LEAF_BYTES <= end:
                found[key] = segment.data[start - segment.offset : start - segment.offset + LEAF_BYTES]
                continue
            leaf = found[key] = bytearray(found.get(key, _ZEROS))
            first = max(start, segment.offset)
            part = segment.data[first - segment.offset : start + LEAF_BYTES - segment.offset]
            leaf[first - start : first - start + len(part)] = part
    return {key: bytes(leaf) for key, leaf in found.items() if leaf != _ZEROS}


def _extents(image: Image) -> tuple[tuple[int, int, int], ...]:
    """What the segments declare, in ascending order; those that touch as one."""
    declared = sorted((s.slot, s.offset, s.length) for s in image.segments if s.length)
    merged: list[tuple[int, int, int]] = []
    for slot, offset, length in declared:
        if merged and merged[-1][0] == slot and offset <= merged[-1][1] + merged[-1][2]:
            _, first, known = merged[-1]
            merged[-1] = slot, first, max(known, offset + length - first)
        else:
            merged.append((slot, offset, length))
    return tuple(merged)


def page_hash(labels: int, data: bytes) -> bytes:
    """Leaf hash of the memory tree, also of a leaf that counts as absent there."""
    return hash_of(Domain.MEMORY_LEAF, labels.to_bytes(2, "little"), data)
