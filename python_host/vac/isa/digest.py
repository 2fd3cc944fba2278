"""Running digest of the beam stream: a 64-bit multiple-input signature register.

The stream is read as little-endian 64-bit words, two for each beam. For every word w the state steps
``s <- (x + 1) * s + w`` in GF(2)[x] modulo ``x**64 + x**4 + x**3 + x + 1``. The polynomial is primitive (it is the
reciprocal of the maximal-length tap list 64, 63, 61, 60). Multiplying by x + 1 instead of x keeps two flipped
neighbouring bits in consecutive words from cancelling. The digest finds faults; it is no commitment against an
adversary.
"""

from __future__ import annotations

DIGEST_BITS = 64
DIGEST_POLYNOMIAL = 0x1B
"""x**4 + x**3 + x + 1: what x**64 reduces to."""

_MASK = (1 << DIGEST_BITS) - 1


def digest_word(state: int, word: int) -> int:
    """State after one more 64-bit word."""
    doubled = (state << 1) & _MASK
    if state >> (DIGEST_BITS - 1):
        doubled ^= DIGEST_POLYNOMIAL
    return doubled ^ state ^ word


def digest_records(state: int, records: bytes) -> int:
    """State after a run of whole beams. Raises ValueError when the length is no multiple of 16."""
    if len(records) % 16:
        raise ValueError(f"{len(records)} bytes are not a whole number of beams")
    for start in range(0, len(records), 8):
        state = digest_word(state, int.from_bytes(records[start : start + 8], "little"))
    return state
