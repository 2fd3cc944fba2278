"""The four benchmark kernels: what each must compute, and how many RV32I instructions that is worth."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

DATA_BYTES = 65536
"""Size of the data area that a kernel finds filled: input first, scratch behind it."""


def _pattern(size: int) -> bytes:
    """Pseudo-random bytes from xorshift32 seeded with 1, one byte a step: the same for every core and engine."""
    state, out = 1, bytearray(size)
    for i in range(size):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        out[i] = state & 0xFF
    return bytes(out)


def _fibonacci(n: int) -> int:
    current, following = 0, 1
    for _ in range(n):
        current, following = following, current + following
    return current


def _prime_flags(limit: int) -> bytes:
    return bytes(n >= 2 and all(n % divisor for divisor in range(2, int(n**0.5) + 1)) for n in range(limit))


@dataclass(frozen=True)
class Workload:
    """One kernel.

    Attributes
    ----------
    name: file name in `benchmarks/kernels` without suffix
    title: what it does, for tables
    reference_instructions: RV32I instructions that gcc 12.2's -O2 code retires for this work. Cycles of any core are
        divided by this one number, so that "cycles per RV instruction" compares equal work whatever the core's own
        instruction set or compiler is.
    data: the data area before the run, `DATA_BYTES` bytes
    result: the value that the kernel returns, u32
    check: given the data area after the run, what is wrong with it, or None
    """

    name: str
    title: str
    reference_instructions: int
    data: bytes
    result: int
    check: Callable[[bytes], str | None]


def _unchecked(_: bytes) -> str | None:
    return None


def _copy_check(after: bytes) -> str | None:
    if after[8192:12288] != _INPUT[:4096]:
        return "the copied 1024 words differ from their source"
    if after[:8192] != _INPUT[:8192] or after[12288:] != _INPUT[12288:]:
        return "memory outside the target was written"
    return None


def _sieve_check(after: bytes) -> str | None:
    # 0 and 1 keep the flag they were initialised with: the sieve starts at 2.
    return None if after[2:8192] == _prime_flags(8192)[2:] else "the flags do not mark the primes below 8192"


_INPUT = _pattern(DATA_BYTES)

WORKLOADS: tuple[Workload, ...] = (
    Workload("crc32", "CRC-32 of 64 KiB, bitwise", 3_997_707, _INPUT, zlib.crc32(_INPUT), _unchecked),
    Workload("fib", "fib(47) × 2000, iterative", 492_012, bytes(DATA_BYTES), _fibonacci(47), _unchecked),
    Workload("sieve", "byte sieve of 8192 × 8", 1_061_428, bytes(DATA_BYTES), sum(_prime_flags(8192)), _sieve_check),
    Workload(
        "copy",
        "copy of 1024 words × 100",
        615_214,
        _INPUT,
        int.from_bytes(_INPUT[4092:4096], "little"),
        _copy_check,
    ),
)
