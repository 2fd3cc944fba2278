"""Every method of the engine's digest equals the definition."""

from __future__ import annotations

import ctypes
import random

import pytest

from vac.fast import abi
from vac.isa.digest import digest_records

METHODS = range(4)


def _digest(method: int, state: int, records: bytes) -> int:
    result = ctypes.c_uint64(state)
    if not abi.library().vac_digest_by(method, ctypes.byref(result), records, len(records) // 16):
        pytest.skip("this processor lacks the instructions")
    return result.value


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 127, 128, 129, 255, 256, 257, 1000])
def test_equals_definition(method: int, count: int) -> None:
    draw = random.Random(count)
    for state in (0, 1, (1 << 64) - 1, draw.getrandbits(64)):
        records = draw.randbytes(16 * count)
        assert _digest(method, state, records) == digest_records(state, records)


@pytest.mark.parametrize("method", METHODS)
def test_every_bit_counts(method: int) -> None:
    """One bit set among zeros, anywhere in two blocks: position and bit both matter."""
    seen: set[int] = set()
    for bit in range(0, 256 * 128, 61):
        records = (1 << bit).to_bytes(16 * 256, "little")
        found = _digest(method, 0, records)
        assert found == digest_records(0, records)
        seen.add(found)
    assert len(seen) == len(range(0, 256 * 128, 61))


def test_method_that_does_not_exist() -> None:
    untouched = ctypes.c_uint64(5)
    assert abi.library().vac_digest_by(9, ctypes.byref(untouched), b"", 0) == 0
    assert untouched.value == 5
