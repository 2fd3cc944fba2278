"""Frames go through whatever is in them and however they arrive; what is damaged is said to be."""

from hypothesis import given
from hypothesis import strategies as st

from vac.gdb.packets import Packet, PacketReader, Signal, frame, unpack

from .client import expanded

payloads = st.one_of(
    st.binary(max_size=300),
    st.lists(st.tuples(st.sampled_from(b"0x#$}*+-a"), st.integers(1, 250)), max_size=6).map(
        lambda runs: b"".join(bytes([byte]) * count for byte, count in runs)
    ),
)


@given(payloads)
def test_frames_come_back_whole_and_are_read_alike_by_another_reader(payload: bytes) -> None:
    framed = frame(payload)
    assert framed[:1] == b"$" and framed[-3:-2] == b"#"
    assert b"#" not in framed[1:-3] and b"$" not in framed[1:-3]
    assert int(framed[-2:], 16) == sum(framed[1:-3]) % 256
    assert PacketReader().feed(framed) == [Packet(payload)]
    assert expanded(framed[1:-3]) == payload


def test_runs_are_written_short() -> None:
    assert frame(b"0" * 64) == b"$0*\x5c#%02x" % ((0x30 + 0x2A + 0x5C) % 256)
    assert frame(b"0" * 64, is_short=False)[1:-3] == b"0" * 64
    assert len(frame(b"0" * 1000)) < 60


@given(st.lists(st.one_of(payloads, st.sampled_from("+-\x03")), max_size=8), st.data())
def test_any_cut_of_the_stream_gives_the_same(items: list[bytes | str], data: st.DataObject) -> None:
    stream = b"".join(frame(item) if isinstance(item, bytes) else item.encode() for item in items)
    expected = [Packet(item) if isinstance(item, bytes) else Signal(item) for item in items]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    reader, found = PacketReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found == expected


@given(payloads.filter(bool), st.data())
def test_a_changed_byte_is_noticed(payload: bytes, data: st.DataObject) -> None:
    framed = bytearray(frame(payload))
    at = data.draw(st.integers(1, len(framed) - 4))
    framed[at] ^= data.draw(st.integers(1, 255))
    assert Packet(payload) not in PacketReader().feed(bytes(framed))


@given(st.binary(max_size=400))
def test_noise_breaks_nothing(noise: bytes) -> None:
    reader = PacketReader()
    reader.feed(noise)
    reader.feed(b"#00")
    assert reader.feed(frame(b"g"))[-1] == Packet(b"g")


def test_a_packet_without_end_is_given_up() -> None:
    reader = PacketReader()
    found = [item for _ in range(40) for item in reader.feed(b"$" + b"a" * 8192)]
    assert Signal.BROKEN in found
    assert unpack(b"*!") is None and unpack(b"a}") is None and unpack(b"a*\x1f") is None
