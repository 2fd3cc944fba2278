"""Page accesses to replay: loads of one tenant and of many, drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pages = NDArray[np.int64]


@dataclass(frozen=True)
class Load:
    """machines, pages: who uses which page, access by access. Pages are counted in each machine for itself."""

    name: str
    machines: Pages
    pages: Pages

    @property
    def footprint(self) -> int:
        """Different pages used."""
        return len(np.unique(self.machines << 32 | self.pages))

    def __len__(self) -> int:
        return len(self.pages)

    def accesses(self) -> Iterator[tuple[int, int]]:
        """(machine, page) in order."""
        return zip(self.machines.tolist(), self.pages.tolist(), strict=True)


def scan(pages: int, count: int, draw: np.random.Generator) -> Pages:
    """From the first page to the last, again and again from different places."""
    return (int(draw.integers(pages)) + np.arange(count)) % pages


def loop(pages: int, count: int, draw: np.random.Generator) -> Pages:
    """Round and round over a part of the pages, with a stride."""
    length, stride = pages // 2, int(draw.choice([1, 1, 2, 3]))
    return np.arange(count) % length * stride % pages


def zipf(pages: int, count: int, draw: np.random.Generator) -> Pages:
    """Few pages often, many seldom (exponent 1), in no order."""
    weights = 1 / np.arange(1, pages + 1)
    return draw.permutation(pages)[draw.choice(pages, count, p=weights / weights.sum())]


def phases(pages: int, count: int, draw: np.random.Generator) -> Pages:
    """Every few thousand accesses another sixteenth of the pages is in use, then a look over all of them."""
    parts: list[Pages] = []
    size = max(8, pages // 16)
    while sum(map(len, parts)) < count:
        start = int(draw.integers(pages - size))
        parts.append(start + zipf(size, 20 * size, draw))
        parts.append(scan(pages, pages // 4, draw))
    return np.concatenate(parts)[:count]


PATTERNS = {"scan": scan, "loop": loop, "zipf": zipf, "phases": phases}


def single(pattern: str, pages: int, count: int, seed: int = 1) -> Load:
    """One tenant."""
    drawn = PATTERNS[pattern](pages, count, np.random.default_rng(seed))
    return Load(pattern, np.zeros(count, np.int64), drawn)


def tenants(name: str, each: Sequence[Pages], slice_accesses: tuple[int, int], seed: int) -> Load:
    """Several tenants in slices of random lengths, in turn, until all have done their accesses."""
    draw = np.random.default_rng(seed)
    places = [0] * len(each)
    machines: list[Pages] = []
    pages: list[Pages] = []
    while any(place < len(drawn) for place, drawn in zip(places, each, strict=True)):
        for machine, drawn in enumerate(each):
            length = int(draw.integers(slice_accesses[0], slice_accesses[1] + 1))
            part = drawn[places[machine] : places[machine] + length]
            places[machine] += length
            machines.append(np.full(len(part), machine, np.int64))
            pages.append(part)
    return Load(name, np.concatenate(machines), np.concatenate(pages))


def mixed_tenants(count: int, seed: int = 1) -> Load:
    """32 tenants, eight of each pattern, 1,000 pages each, in slices of 8 to 64 accesses. count: accesses in all."""
    draw = np.random.default_rng(seed)
    each = [pattern(1000, count // 32, draw) for _ in range(8) for pattern in PATTERNS.values()]
    return tenants("tenants", each, (8, 64), seed)


def crowd(slices: int, machines: int = 256, pages: int = 128, slice_accesses: int = 100, seed: int = 1) -> list[Pages]:
    """Many small tenants, for each its accesses: half of them spread evenly over its pages, half of them by Zipf."""
    draw = np.random.default_rng(seed)
    count = slices * slice_accesses
    found: list[Pages] = []
    for _ in range(machines):
        even = draw.integers(0, pages, count)
        found.append(np.where(draw.random(count) < 0.5, even, zipf(pages, count, draw)))
    return found
