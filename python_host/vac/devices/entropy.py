"""The recorded random generator behind system call `entropy_probe`: xoshiro128++ seeded by SplitMix64.

xoshiro128++ 1.0: D. Blackman and S. Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM Transactions on
Mathematical Software 47(4), 2021. SplitMix64: G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom Number
Generators", OOPSLA 2014. The seed's first two SplitMix64 outputs, low half first, are the four words of state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .device import DeviceStateError

_WORD = (1 << 32) - 1
_LONG = (1 << 64) - 1


def splitmix64(seed: int) -> Iterator[int]:
    """Endless 64-bit outputs from a 64-bit seed."""
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & _LONG
        mixed = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & _LONG
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _LONG
        yield mixed ^ mixed >> 31


def _rotated(word: int, left: int) -> int:
    return (word << left | word >> 32 - left) & _WORD


class Entropy:
    """seed: 64 bits; the same seed always gives the same cells."""

    def __init__(self, seed: int = 0) -> None:
        outputs = splitmix64(seed & _LONG)
        low, high = next(outputs), next(outputs)
        self.words = (low & _WORD, low >> 32, high & _WORD, high >> 32)

    def next(self) -> int:
        """The next 32 bits."""
        a, b, c, d = self.words
        result = (_rotated((a + d) & _WORD, 7) + a) & _WORD
        c, d = c ^ a, d ^ b
        self.words = (a ^ d, b ^ c, c ^ (b << 9 & _WORD), _rotated(d, 11))
        return result

    def save(self) -> dict[str, Any]:
        return {"words": list(self.words)}

    def restore(self, saved: dict[str, Any]) -> None:
        """Raises DeviceStateError."""
        words = saved.get("words")
        if not isinstance(words, list) or len(words) != 4 or any(type(w) is not int or w >> 32 for w in words):
            raise DeviceStateError("the generator's state is not four words of 32 bits")
        self.words = (words[0], words[1], words[2], words[3])
