"""Images to pack, small and odd, and hypothesis strategies of them."""

from __future__ import annotations

from hypothesis import strategies as st

from vac.assembler.assemble import assemble
from vac.image.image import Image, Segment, Window
from vac.package.pack import Description, pack
from vac.package.package import Package

HELLO = """
        .name "hello"
        lit 72
        out 0
        lit 105
        out 0
        sys 6
        emit
        halt
"""


def hello() -> Package:
    """Prints "Hi" and emits a random cell."""
    return pack(
        assemble(HELLO), Description("hello", caps=("console", "entropy"), seeds={"entropy": 7}, author="Ada")
    )  # fmt: skip


def leaf_of(seed: int) -> bytes:
    """4 KiB that no other seed gives, most of it alike."""
    return seed.to_bytes(4, "little") * 1024


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Code, then segments of every kind: overlapping, sparse, empty, with tails of zeros, far up, labelled leaves."""
    code = draw(st.binary(min_size=1, max_size=9000))
    offsets = st.one_of(
        st.integers(0, 40_000), st.sampled_from([0, 4095, 4096, 8192, (1 << 32) - 8192, (1 << 28) + 5])
    )  # fmt: skip
    segments = [Segment(0, 0, len(code), code)]
    has_labels = draw(st.booleans())
    for _ in range(draw(st.integers(0, 5))):
        data = draw(
            st.one_of(
                st.binary(max_size=100),
                st.integers(0, 3).map(leaf_of),
                st.builds(lambda n, tail: bytes(4096 * n) + tail, st.integers(0, 3), st.binary(max_size=9)),
            )
        )
        offset = draw(offsets)
        length = min(len(data) + draw(st.sampled_from([0, 1, 4096, 30_000])), (1 << 32) - offset)
        labels = draw(st.sampled_from([0, 0, 1, 0x8001])) if has_labels and length else 0
        segments.append(Segment(draw(st.sampled_from([0, 1, 2, 255])), offset, length, data[:length], labels))
    windows = draw(
        st.dictionaries(
            st.integers(0, 15), st.builds(Window, st.integers(0, 255), st.just(4096), st.integers(0, 9000), st.just(3)),
            max_size=3,
        )
    )  # fmt: skip
    return Image(
        entry=draw(st.integers(0, len(code) - 1)),
        frame=draw(st.integers(0, 192)),
        code_length=len(code),
        segments=tuple(segments),
        windows=tuple(sorted(windows.items())),
        has_labels=has_labels,
        name=draw(st.text(max_size=8)),
    )
