"""A line that damages what goes over it, in both directions."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable

from vac.link.session import Transport

_LATE_MOST = 200
"""A late copy comes at most this many frames late: fewer than the sequence numbers tell apart."""


def _flip(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _drop(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 1, 1, 4, 4096))]


def _repeat(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    count = rng.choice((1, 1, 4, 4096))
    data[at:at] = data[at : at + count]


def _reorder(rng: random.Random, data: bytearray) -> None:
    first, second, third = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    data[first:third] = data[second:third] + data[first:second]


def _invent(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = bytes(rng.choice((0x7E, 0x7D, rng.randrange(256))) for _ in range(rng.choice((1, 1, 2, 12))))


_DAMAGES: tuple[Callable[[random.Random, bytearray], None], ...] = (_flip, _drop, _repeat, _reorder, _invent)


class FaultyLine:
    """A transport over another one.

    Each piece of a direction is damaged with probability `rate`: a byte flipped, bytes lost, repeated, out of order or
    invented; the whole piece repeated, or a copy of it delivered again up to 200 pieces later. With probability `pull`
    the cable is pulled for up to `pull_pieces` pieces: nothing gets through.
    Attributes: faults: how often each happened.
    """

    def __init__(
        self, line: Transport, rng: random.Random, rate: float, pull: float = 0.0, pull_pieces: int = 40
    ) -> None:
        self._line = line
        self._rng = rng
        self._rate = rate
        self._pull = pull
        self._pull_pieces = pull_pieces
        self._pulled = 0
        self._late: tuple[deque[tuple[int, bytes]], deque[tuple[int, bytes]]] = (deque(), deque())
        self._pieces = [0, 0]
        self.faults: Counter[str] = Counter()

    def write(self, data: bytes) -> None:
        self._line.write(self._carry(data, 0))

    def read(self) -> bytes:
        """Where damage leaves nothing of what came, the moment has passed without a byte."""
        return self._carry(self._line.read(), 1)

    def _carry(self, data: bytes, direction: int) -> bytes:
        rng, late = self._rng, self._late[direction]
        self._pieces[direction] += 1
        if rng.random() < self._pull:
            self._pulled = rng.randrange(1, self._pull_pieces)
            self.faults["cable pulled"] += 1
        if self._pulled:
            self._pulled -= 1
            return b""
        carried = bytearray(data)
        if data and rng.random() < self._rate:
            kind = rng.randrange(len(_DAMAGES) + 2)
            if kind < len(_DAMAGES):
                _DAMAGES[kind](rng, carried)
                self.faults[_DAMAGES[kind].__name__.strip("_")] += 1
            elif kind == len(_DAMAGES):
                carried += data
                self.faults["whole repeated"] += 1
            else:
                late.append((self._pieces[direction] + rng.randrange(1, _LATE_MOST), data))
                self.faults["late copy"] += 1
        if late and late[0][0] <= self._pieces[direction]:
            carried[0:0] = late.popleft()[1]
        return bytes(carried)
