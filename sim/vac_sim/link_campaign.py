"""Frames over a line that damages them: `python -m vac_sim.link_campaign --frames 1000000`.

The host's own driver talks to the Verilated link through `FaultyLine`. What reaches the host port must be what was
asked for, each thing once and in order; what is read, and every beam, must be right.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from vac.isa.link import LinkStatus
from vac.link.frame import FrameDecoder
from vac.link.session import LinkError, LinkSession, Transport

from .bench.job import write_json
from .line_faults import FaultyLine
from .link_model import BUDGET_ADDRESS, STARTED, LinkModel

_WORD = (1 << 32) - 1
_BEAM_STEP = 0x9E3779B1
_ATTEMPTS = 1000
_MEMORY_WORDS = 1 << 16


class LinkBroken(Exception):
    """The link lost something, applied something twice, or gave something wrong; the message says what and when."""


@dataclass
class _Counted:
    """A transport that counts frames: those that were sent, and those that came back whole."""

    line: Transport
    frames: int = 0
    decoder: FrameDecoder = field(default_factory=FrameDecoder)

    def write(self, data: bytes) -> None:
        self.frames += 1
        self.line.write(data)

    def read(self) -> bytes:
        data = self.line.read()
        self.frames += len(self.decoder.feed(data))
        return data


class LinkCampaign:
    """Random requests, with a model of what they must do. seed: of everything. rate: share of damaged pieces.

    Attributes: frames: sent by the host, and received whole by it. requests, retries, sessions.
    """

    def __init__(self, seed: int, rate: float = 0.1, pull: float = 1e-4) -> None:
        self._rng = random.Random(seed)
        self._seed = seed
        self._model = LinkModel()
        self.line = FaultyLine(self._model, random.Random(seed + 1), rate, pull)
        self._counted = _Counted(self.line)
        self._memory = [0] * _MEMORY_WORDS
        self._expected: list[int] = []
        self._next_beam = 0
        self._due: deque[int] = deque()
        self.sessions = self.requests = self.retries = 0
        self._open()

    @property
    def frames(self) -> int:
        return self._counted.frames

    @property
    def cycles(self) -> int:
        return self._model.cycles

    def step(self) -> None:
        """One random request. Raises LinkBroken."""
        kind = self._rng.choices(range(6), (40, 25, 10, 15, 9, 0.01))[0]
        (self._write, self._read, self._run, self._take_beams, self._poll, self._open)[kind]()
        log = self._model.log()
        if log != self._expected:
            raise LinkBroken(
                f"seed {self._seed}, request {self.requests}: the host port saw {_shown(log)}; asked for was "
                f"{_shown(self._expected)}"
            )
        self._expected = []
        self._count()

    def finish(self) -> None:
        """Takes the last beams: none may be missing."""
        self._settle()
        if self._due:
            raise LinkBroken(f"seed {self._seed}: {len(self._due)} beams never came")
        self._count()

    def _count(self) -> None:
        if self._session:
            self.requests += self._session.requests
            self.retries += self._session.retries
            self._session.requests = self._session.retries = 0

    _session: LinkSession | None = None

    def _open(self) -> None:
        if self._session:
            self._settle()
        self._session = LinkSession(self._counted, _ATTEMPTS, self._rng)
        self.sessions += 1

    @property
    def _is_stopped(self) -> bool:
        assert self._session
        return LinkStatus.STOPPED in self._session.status

    def _write(self) -> None:
        rng = self._rng
        segments = [self._drawn_segment() for _ in range(rng.randrange(1, 4))]
        assert self._session
        try:
            self._session.write(segments)
        except LinkError:
            if self._is_stopped:
                raise
            return  # refused, since the core ran: nothing may have been written
        self._apply(segments)

    def _drawn_segment(self) -> tuple[int, list[int]]:
        rng = self._rng
        count = rng.choice((1, 1, 2, 3, 8)) if rng.random() < 0.97 else rng.randrange(1, 600)
        start = rng.randrange(1, _MEMORY_WORDS - count)
        special = (0x7E7E7E7E, 0x7D7E7D5E, 0, _WORD)
        return start, [rng.choice(special) if rng.random() < 0.1 else rng.getrandbits(32) for _ in range(count)]

    def _apply(self, segments: list[tuple[int, list[int]]]) -> None:
        for address, words in segments:
            for offset, word in enumerate(words):
                self._expected += (address + offset, word)
            self._memory[address : address + len(words)] = words

    def _read(self) -> None:
        rng = self._rng
        count = rng.choice((1, 2, 5)) if rng.random() < 0.98 else rng.randrange(1, 600)
        start = rng.randrange(_MEMORY_WORDS - count)
        assert self._session
        try:
            words = self._session.read(start, count)
        except LinkError:
            if self._is_stopped:
                raise
            return
        if words != self._memory[start : start + count]:
            raise LinkBroken(
                f"seed {self._seed}, request {self.requests}: {count} words from {start:#x} were read wrongly"
            )

    def _run(self) -> None:
        self._settle()
        budget = self._rng.randrange(40)
        segments = [(BUDGET_ADDRESS, [budget]), self._drawn_segment()]
        assert self._session
        self._session.run(segments)
        self._apply(segments)
        self._expected += (STARTED, 0)
        self._due.extend(range(self._next_beam, self._next_beam + budget + 1))
        self._next_beam += budget + 1

    def _take_beams(self) -> None:
        assert self._session
        for shipped in self._session.beams(self._rng.choice((1, 2, 10, 50, 120))):
            if not self._due:
                raise LinkBroken(f"seed {self._seed}, request {self.requests}: a beam came that never was")
            number = self._due.popleft()
            words = [int.from_bytes(shipped.record[at : at + 4], "little") for at in range(0, 16, 4)]
            if [*words, shipped.tick] != [number * _BEAM_STEP + word & _WORD for word in range(5)]:
                raise LinkBroken(f"seed {self._seed}, request {self.requests}: beam {number} is lost, late or damaged")

    def _poll(self) -> None:
        assert self._session
        self._session.poll()

    def _settle(self) -> None:
        """The core has stopped and every beam is here."""
        self._poll()
        assert self._session
        while not self._is_stopped or LinkStatus.BEAMS_WAIT in self._session.status:
            self._take_beams()


def _shown(log: list[int]) -> str:
    pairs = [f"{address:#x}: {word:#x}" for address, word in zip(log[:8:2], log[1:8:2], strict=True)]
    return f"{len(log) // 2} writes ({', '.join(pairs)}{', …' if len(log) > 8 else ''})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vac_sim.link_campaign", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames to send and receive")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.1, help="share of the pieces that are damaged")
    parser.add_argument("--output", type=Path, default=Path("build/campaigns"), help="folder of the report")
    options = parser.parse_args(arguments)
    campaign = LinkCampaign(options.seed, options.rate)
    started = shown = time.monotonic()
    try:
        while campaign.frames < options.frames:
            campaign.step()
            if sys.stderr.isatty() and time.monotonic() > shown + 1:
                shown = time.monotonic()
                print(f"\r{campaign.frames:,} frames, {campaign.retries:,} retries", end="", file=sys.stderr)
        campaign.finish()
    except (LinkBroken, LinkError) as error:
        print(f"link campaign: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    options.output.mkdir(parents=True, exist_ok=True)
    counts = {
        "seed": options.seed,
        "rate": options.rate,
        "frames": campaign.frames,
        "requests": campaign.requests,
        "sent_again": campaign.retries,
        "sessions": campaign.sessions,
        "cycles": campaign.cycles,
        "faults": dict(sorted(campaign.line.faults.items())),
        "seconds": round(seconds),
    }
    write_json(options.output / "link.json", counts)
    faults = ", ".join(f"{name} {count:,}" for name, count in sorted(campaign.line.faults.items()))
    print(
        f"link campaign: {campaign.frames:,} frames, {campaign.requests:,} requests, {campaign.retries:,} sent again, "
        f"{campaign.sessions:,} sessions, {campaign.cycles:,} cycles in {seconds:.0f} s; "
        f"every request took effect once and in order\nfaults: {faults}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
