"""The digest is what its docstring says: polynomial arithmetic over GF(2), done here the long way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.isa.digest import DIGEST_BITS, DIGEST_POLYNOMIAL, digest_records, digest_word

MODULUS = sum(1 << exponent for exponent in (64, 4, 3, 1, 0))
ORDER = (1 << DIGEST_BITS) - 1
ORDER_PRIMES = (3, 5, 17, 257, 641, 65537, 6700417)
words = st.integers(0, ORDER)


def multiply(a: int, b: int) -> int:
    """Product of two polynomials over GF(2), reduced."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = a << 1, b >> 1
    while product.bit_length() > DIGEST_BITS:
        product ^= MODULUS << (product.bit_length() - 1 - DIGEST_BITS)
    return product


def power(base: int, exponent: int) -> int:
    result = 1
    while exponent:
        if exponent & 1:
            result = multiply(result, base)
        base, exponent = multiply(base, base), exponent >> 1
    return result


def test_the_polynomial_is_primitive() -> None:
    assert 1 << DIGEST_BITS | DIGEST_POLYNOMIAL == MODULUS
    product = 1
    for prime in ORDER_PRIMES:
        product *= prime
    assert product == ORDER, "the prime factors of 2**64 - 1"
    assert power(2, ORDER) == 1
    assert all(power(2, ORDER // prime) != 1 for prime in ORDER_PRIMES)


@given(state=words, word=words)
def test_a_step_multiplies_by_x_plus_one(state: int, word: int) -> None:
    assert digest_word(state, word) == multiply(state, 0b11) ^ word


@given(start=words, stream=st.lists(words, max_size=12).filter(lambda w: len(w) % 2 == 0))
def test_records_are_a_polynomial_in_x_plus_one(start: int, stream: list[int]) -> None:
    expected = multiply(start, power(3, len(stream)))
    for index, word in enumerate(stream):
        expected ^= multiply(word, power(3, len(stream) - 1 - index))
    assert digest_records(start, b"".join(word.to_bytes(8, "little") for word in stream)) == expected


@given(first=st.binary(min_size=32, max_size=32), second=st.binary(min_size=48, max_size=48), start=words)
def test_a_stream_may_be_cut_anywhere_between_beams(first: bytes, second: bytes, start: int) -> None:
    assert digest_records(digest_records(start, first), second) == digest_records(start, first + second)


@given(stream=st.binary(min_size=64, max_size=64), bits=st.sets(st.integers(0, 511), min_size=1, max_size=2))
def test_one_or_two_flipped_bits_always_show(stream: bytes, bits: set[int]) -> None:
    number = int.from_bytes(stream, "little")
    for bit in bits:
        number ^= 1 << bit
    assert digest_records(0, number.to_bytes(64, "little")) != digest_records(0, stream)


@given(first=st.binary(min_size=16, max_size=16), second=st.binary(min_size=16, max_size=16))
def test_order_matters(first: bytes, second: bytes) -> None:
    if first != second:
        assert digest_records(0, first + second) != digest_records(0, second + first)


def test_half_a_beam_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of beams"):
        digest_records(0, bytes(24))
