"""How fast packages are made and checked: `python -m benchmarks.packages`.

Processor time, files in memory: what the disk does is not counted. Two kinds of contents: bytes that do not compress,
and words that do. A child of the second stands on it with one leaf in a hundred changed.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measurement import Measurement
from benchmarks.results import Result
from vac.image.image import Image, Segment
from vac.isa.limits import LEAF_BYTES
from vac.package.image_file import decode_head
from vac.package.image_source import ImageFile
from vac.package.pack import Description, pack
from vac.package.package import Package

_MIB = 1 << 20
_REPEATS = 3


def image_of(data: bytes) -> Image:
    """A program that halts, with these bytes in slot 1."""
    return Image(0, 0, 1, (Segment(0, 0, 1, b"\2"), Segment(1, 0, len(data), data)))


def contents(mebibytes: int) -> dict[str, bytes]:
    """By name: what does not compress, and what does."""
    draw = random.Random(1)
    words = [draw.randbytes(16) for _ in range(256)]
    size = mebibytes * _MIB
    return {
        "random": draw.randbytes(size),
        "words": b"".join(draw.choice(words) for _ in range(size // 16)),
    }


def changed(data: bytes) -> bytes:
    """The same with one leaf in a hundred changed."""
    found = bytearray(data)
    for at in range(0, len(data), 100 * LEAF_BYTES):
        found[at] ^= 1
    return bytes(found)


def _best(work: Callable[[], object], repeats: int) -> float:
    """Least processor time in seconds."""
    times: list[float] = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        times.append(time.process_time() - before)
    return min(times)


def measure_packages(quick: bool, command: str) -> list[Result]:
    """Records: MB/s of pack and verify (open of the one file in memory), stored share; MB are 10**6 bytes of memory."""
    mebibytes, repeats = (4, 1) if quick else (64, _REPEATS)
    results: list[Result] = []

    def record(name: str, value: float, unit: str) -> None:
        results.append(Result(f"packages.{name}", value, unit, None, command))

    def measure(kind: str, image: Image, parents: Sequence[ImageFile]) -> Package:
        megabytes = mebibytes * _MIB / 1e6
        package = pack(image, Description("bench"), parents)
        seconds = _best(lambda: pack(image, Description("bench"), parents), repeats)
        record(f"{kind}.pack", megabytes / seconds, "MB/s")
        record(f"{kind}.verify", megabytes / _best(lambda: _open(package), repeats), "MB/s")
        record(f"{kind}.stored", len(package.files["bench.vacimg"]) / (mebibytes * _MIB), "bytes/byte")
        return package

    data = contents(mebibytes)
    measure("random", image_of(data["random"]), [])
    parent = measure("words", image_of(data["words"]), []).files["bench.vacimg"]
    chain = [ImageFile("parent.vacimg", parent, decode_head(parent))]
    measure("child", image_of(changed(data["words"])), chain)
    return results


def _open(package: Package) -> Package:
    return Package.from_members(package.files, Path("bench.vac"))


def print_packages(results: Sequence[Result]) -> None:
    """One line a kind of contents."""
    values = {record.name.removeprefix("packages."): record.value for record in results}
    print("packages   pack MB/s   verify MB/s   stored bytes a byte")
    for kind in ("random", "words", "child"):
        pack_speed, verify_speed, stored = (values[f"{kind}.{what}"] for what in ("pack", "verify", "stored"))
        print(f"{kind:8} {pack_speed:11.0f} {verify_speed:13.0f} {stored:21.3f}")


PACKAGES = Measurement("packages", __doc__, "less memory, one repetition", measure_packages, print_packages)

if __name__ == "__main__":
    sys.exit(PACKAGES.main())
