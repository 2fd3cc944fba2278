"""Finding stores among beams."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vac.history.tracing import BEAM_DTYPE, STORE_SIZES, stores_overlapping
from vac.isa.beam import Beam

STORES = np.flatnonzero(STORE_SIZES).tolist()
PLACES = st.one_of(st.integers(0, 40), st.integers(0xFFFFFFD0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
BEAMS = st.lists(
    st.builds(Beam, st.just(0), st.sampled_from([*STORES, 0, 1, 2]), st.just(0), st.just(0), st.integers(0, 9), PLACES)
)


@given(BEAMS, PLACES, st.integers(1, 9))
def test_stores_that_touch_a_range(beams: list[Beam], offset: int, length: int) -> None:
    array = np.frombuffer(b"".join(beam.pack() for beam in beams), BEAM_DTYPE)
    length = min(length, (1 << 32) - offset)
    expected = [
        index
        for index, beam in enumerate(beams)
        if STORE_SIZES[beam.opcode] and beam.aux < offset + length and offset < beam.aux + int(STORE_SIZES[beam.opcode])
    ]
    assert stores_overlapping(array, offset, length).tolist() == expected
    assert np.array_equal(array, np.frombuffer(b"".join(beam.pack() for beam in beams), BEAM_DTYPE))
