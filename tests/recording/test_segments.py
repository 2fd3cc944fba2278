"""Ends of segments as bytes, and as a file that grows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.recording.errors import RecordingError
from vac.recording.segments import Segment, SegmentFile, decode_segments, encode_segments

WORDS = st.integers(0, (1 << 64) - 1)
SEGMENTS = st.lists(
    st.builds(
        Segment,
        WORDS,
        WORDS,
        st.none() | WORDS,
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=32, max_size=32),
    ),
    max_size=6,
)


@given(SEGMENTS)
def test_segments_come_back(segments: list[Segment]) -> None:
    content = encode_segments(segments)
    found, length, _ = decode_segments(content)
    assert (found, length) == (segments, len(content))


@given(SEGMENTS, st.integers(0, 1 << 20), st.integers(0, 255))
def test_what_is_torn_or_changed_ends_the_file(segments: list[Segment], place: int, change: int) -> None:
    content = bytearray(encode_segments(segments))
    place %= len(content)
    if change:
        content[place] ^= change
    else:
        del content[place:]
    try:
        found, length, _ = decode_segments(bytes(content))
    except RecordingError:
        assert place < 8
        return
    assert found == segments[: len(found)]
    assert len(found) < len(segments) or not segments
    assert length <= len(content)


def segment(number: int) -> Segment:
    return Segment(number * 8, number, number, bytes(16), bytes(32))


def test_a_file_goes_on_after_its_torn_tail_and_keeps_no_more_than_the_log(tmp_path: Path) -> None:
    path = tmp_path / "segments.bin"
    file = SegmentFile(path, 0)
    for number in range(6):
        file.append(segment(number))
    file.commit()
    file.close()
    path.write_bytes(path.read_bytes() + b"torn")
    file = SegmentFile(path, 3)
    assert file.segments == [segment(number) for number in range(4)]
    file.append(segment(9))
    file.close()
    assert path.read_bytes() == encode_segments([*(segment(number) for number in range(4)), segment(9)])
    with pytest.raises(RecordingError, match="cannot open"):
        SegmentFile(tmp_path / "none" / "segments.bin", 0)
