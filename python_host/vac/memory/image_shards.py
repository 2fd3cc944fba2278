"""What an image and the shards granted to a machine hold in the beginning, as shards that machines stand on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from blake3 import blake3

from ..image.image import Image, Segment
from ..isa.limits import CODE_SLOT, LEAF_BITS
from .address import leaves_in
from .page import Page
from .paged_memory import PagedMemory
from .pager import Pager
from .shards import PageSource


def page_source(page_bytes: int, segments: Sequence[Segment]) -> PageSource:
    """Pages of one slot with the segments' data and labels in them; where the data of two overlap, the later one's
    counts."""

    def page(number: int) -> Page | None:
        start, end = number * page_bytes, (number + 1) * page_bytes
        content: bytearray | None = None
        labels = [0] * leaves_in(page_bytes)
        for segment in segments:
            first, last = max(start, segment.offset), min(end, segment.offset + segment.length)
            if first >= last:
                continue
            part = segment.data[first - segment.offset : last - segment.offset]
            if content is None:
                content = bytearray(page_bytes)
            content[first - start : first - start + len(part)] = part
            if segment.labels:
                for leaf in range((first - start) >> LEAF_BITS, ((last - start - 1) >> LEAF_BITS) + 1):
                    labels[leaf] |= segment.labels
        if content is None or not (any(content) or any(labels)):
            return None
        return Page.seal(bytes(content), b"".join(label.to_bytes(2, "little") for label in labels))

    return page


def bind_contents(pager: Pager, memory: PagedMemory, image: Image, granted: Mapping[int, bytes]) -> None:
    """Binds every slot that the image or a granted shard names, copy-on-write over contents that all machines of this
    pager share. granted: contents by slot."""
    segments: dict[int, list[Segment]] = {CODE_SLOT: []}
    for segment in image.segments:
        segments.setdefault(segment.slot, []).append(segment)
    for slot, data in granted.items():
        segments.setdefault(slot, []).append(Segment(slot, 0, len(data), data))
    for slot, parts in segments.items():
        memory.bind(slot, _end(parts), pager.content_shard(_identity(parts), page_source(pager.page_bytes, parts)))
    for slot in sorted({window.slot for _, window in image.windows} - segments.keys()):
        memory.bind(slot, max(window.base + window.length for _, window in image.windows if window.slot == slot))


def _end(segments: Iterable[Segment]) -> int:
    return max((segment.offset + segment.length for segment in segments), default=0)


def _identity(segments: Iterable[Segment]) -> bytes:
    hasher = blake3()
    for segment in segments:
        hasher.update(f"{segment.offset} {segment.length} {len(segment.data)} {segment.labels};".encode())
        hasher.update(segment.data)
    return hasher.digest()
