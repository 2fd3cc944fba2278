"""The four kernels in plain Python, as one would write them."""

from collections.abc import Callable


def _crc32(memory: bytearray) -> int:
    crc = 0xFFFFFFFF
    for byte in memory[:65536]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xEDB88320 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


def _fib(memory: bytearray) -> int:
    current = 0
    for _ in range(2000):
        current, following = 0, 1
        for _ in range(47):
            current, following = following, (current + following) & 0xFFFFFFFF
    return current


def _sieve(memory: bytearray) -> int:
    primes = 0
    for _ in range(8):
        for number in range(8192):
            memory[number] = 1
        primes = 0
        for number in range(2, 8192):
            if memory[number]:
                primes += 1
                for multiple in range(2 * number, 8192, number):
                    memory[multiple] = 0
    return primes


def _copy(memory: bytearray) -> int:
    words = memoryview(memory).cast("I")
    word = 0
    for _ in range(100):
        for index in range(1024):
            word = words[2048 + index] = words[index]
    return word


PYTHON_KERNELS: dict[str, Callable[[bytearray], int]] = {"crc32": _crc32, "fib": _fib, "sieve": _sieve, "copy": _copy}
"""By name: runs on the data area and gives the kernel's result."""
