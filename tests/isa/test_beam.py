"""The beam record: sixteen bytes, one layout."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.isa.beam import BEAM_BYTES, BEAM_FIELDS, Beam

beams = st.builds(Beam, **{name: st.integers(0, (1 << width) - 1) for name, width in BEAM_FIELDS})


def test_a_record_has_sixteen_bytes() -> None:
    assert BEAM_BYTES == 16


@given(beam=beams)
def test_fields_lie_in_order_from_bit_zero(beam: Beam) -> None:
    record = int.from_bytes(beam.pack(), "little")
    for name, width in BEAM_FIELDS:
        assert record & ((1 << width) - 1) == getattr(beam, name)
        record >>= width
    assert record == 0


@given(beam=beams)
def test_pack_round_trips(beam: Beam) -> None:
    assert Beam.unpack(beam.pack()) == beam


@pytest.mark.parametrize("length", [0, 15, 17])
def test_unpack_wants_exactly_one_record(length: int) -> None:
    with pytest.raises(struct.error):
        Beam.unpack(bytes(length))


def test_a_cell_that_does_not_fit_is_refused() -> None:
    with pytest.raises(struct.error):
        Beam(0, 0, 0, 0, 1 << 32, 0).pack()
