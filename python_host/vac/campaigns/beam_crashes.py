"""Crash campaign: processes that keep beams are killed at random moments of ingest, commit and seal.

``python -m vac.campaigns.beam_crashes --kills 300``: a process takes beams into a store, commits and seals, and says
after each commit how far it came. It is killed; the store is opened and must hold every beam that was said to be kept,
whole and in order, and nothing else. Then the next process goes on with it. What it did is written to
``build/campaigns``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..beams.opening import open_store
from ..beams.record import BEAM
from ..beams.segments.segment_store import SegmentStore
from ..beams.store import BeamStore
from ..contracts.beam_event import BeamEvent, beam_id
from ..contracts.reader import read_contract
from ..isa.beam import BeamFlag

_RUN = "crash"
_JOIN_EVERY = 97
_BESIDE_EVERY = 7
_MOST_SECONDS = 0.25
_JOIN = 0x0C


class CampaignFailed(Exception):
    """The store did not hold what it had to."""


@dataclass(frozen=True)
class Outcome:
    """kills: processes killed. events: in the store at the end. sealed: times that a killed process had sealed.
    repairs: things that were cut off at opening."""

    kills: int
    events: int
    sealed: int
    repairs: int


def beams_from(first: int, count: int) -> bytes:
    """Beams of these ticks, the same in every process: each is made of its tick."""
    ticks = np.arange(first, first + count, dtype=np.uint64)
    mixed = ticks * np.uint64(0x9E3779B97F4A7C15)
    rows = np.zeros(count, BEAM)
    rows["pc"] = mixed >> np.uint64(52)
    rows["opcode"] = 0x50 + (mixed >> np.uint64(40)) % np.uint64(8)
    rows["labels"] = mixed >> np.uint64(8)
    rows["value"] = mixed >> np.uint64(16)
    rows["aux"] = mixed >> np.uint64(44)
    joins = np.flatnonzero(ticks % _JOIN_EVERY == _JOIN_EVERY - 1)
    rows["opcode"][joins], rows["flags"][joins], rows["aux"][joins] = _JOIN, int(BeamFlag.JOIN), 0
    rows["value"][joins] = ticks[joins] // _JOIN_EVERY + 1
    rows["labels"][joins] |= np.uint16(1) << (ticks[joins] // _JOIN_EVERY % 16).astype(np.uint16)
    return rows.tobytes()


def writer(name: str, seed: int, small: bool) -> None:
    """The process that is killed: goes on with a store and says after each commit how many events are kept."""
    draw = random.Random(seed)
    if small:
        shrink_segments()
    with open_store(name) as store:
        # Other stores are slower: this way they too are killed among many commits.
        sizes = (1, 10, 300, 5000) if isinstance(store, SegmentStore) else (1, 10, 300)
        store.add_run(_RUN)
        while True:
            for _ in range(draw.randrange(1, 4)):
                first = store.run(_RUN).next_tick
                store.ingest(_RUN, first, beams_from(first, draw.choice(sizes)))
            store.commit()
            _say(f"kept {store.run(_RUN).events}")
            if draw.randrange(_BESIDE_EVERY) == 0:
                store.persist_beam_events([_beside(store)])
                _say(f"kept {store.run(_RUN).events}")
            if isinstance(store, SegmentStore) and draw.randrange(4) == 0:
                store.seal(_RUN)
                _say("sealed")


def _say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def _beside(store: BeamStore) -> BeamEvent:
    info = store.run(_RUN)
    return BeamEvent(
        beam_id=beam_id("sheet:1", "ingest", info.next_tick), cell_id="sheet:1", sheet_run_id=_RUN, container_id="",
        stage="ingest", token="⊗", result={"events": info.events}, timestamp=info.started, tick=info.next_tick,
    )  # fmt: skip


def shrink_segments() -> None:
    """Segments of 4096 records, so that a short run has many."""
    from ..beams.segments import run_folder, segment, segment_store

    segment.SEGMENT_BITS = 12
    for module in (run_folder, segment, segment_store):
        setattr(module, "SEGMENT_RECORDS", 1 << 12)  # noqa: B010 - an attribute that only some of them have
    segment_store.SEALED_SEGMENTS = 3


def check(store: BeamStore, kept: int) -> int:
    """Compares everything that a store holds with what was written; returns the number of its events.

    kept: events that were said to be kept. Raises CampaignFailed.
    """
    info = store.run(_RUN)
    if info.events < kept:
        raise CampaignFailed(f"{kept} events were acknowledged, {info.events} are there")
    tick = 0
    for events in store.batches(_RUN):
        beside = np.flatnonzero(events.rows["opcode"] == 0)
        beams = np.delete(events.rows, beside)
        written = np.frombuffer(beams_from(tick, len(beams)), BEAM)
        for field in BEAM.names or ():
            if not np.array_equal(beams[field], written[field]):
                raise CampaignFailed(f"{field} of a beam after tick {tick} is not what was written")
        if not np.array_equal(beams["tick"], np.arange(tick, tick + len(beams))):
            raise CampaignFailed(f"ticks after {tick} are not in order")
        tick += len(beams)
        for at in beside.tolist():
            event = read_contract(BeamEvent, events.details[at])
            if event.result != {"events": int(events.seq[at])}:
                raise CampaignFailed(f"event {events.seq[at]} beside the beams is not what was written")
    if tick // _JOIN_EVERY != info.joins:
        raise CampaignFailed(f"{info.joins} joins are there for {tick} beams")
    if info.joins:
        newest = store.eids(_RUN, 1)[0]
        if not len(store.ghost(newest, 1)):
            raise CampaignFailed(f"{newest} has no event")
    if isinstance(store, SegmentStore) and (damages := store.verify()):
        raise CampaignFailed("; ".join(damages))
    return info.events


class Writers:
    """A process that has everything loaded and forks writers: killing and starting them costs next to nothing."""

    def __init__(self, small: bool) -> None:
        command = [sys.executable, "-m", "vac.campaigns.beam_crashes", "--writers", *(["--small"] if small else [])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin and self._process.stdout
        self._orders, self._said = self._process.stdin, self._process.stdout

    def kill_one(self, name: str, seed: int, seconds: float) -> list[bytes]:
        """Starts a writer of this store, kills it this long after its first commit; whole lines that it said.

        Raises CampaignFailed when the writer ended before."""
        self._orders.write(f"{seed} {name}\n".encode())
        self._orders.flush()
        pid = int(self._said.readline().split()[1])
        lines = [self._said.readline()]
        if not lines[0].startswith(b"ended"):
            time.sleep(seconds)
            os.kill(pid, signal.SIGKILL)
        while not lines[-1].startswith(b"ended"):
            lines.append(self._said.readline())
        if int(lines[-1].split()[1]) != signal.SIGKILL:
            raise CampaignFailed("a writer ended by itself")
        return lines[:-1]

    def close(self) -> None:
        self._orders.close()
        self._process.wait()
        self._said.close()


def serve_writers(small: bool) -> None:
    """The process behind `Writers`: reads a seed and a store's name, forks a writer, says what became of it."""
    import pyarrow.parquet
    import sqlalchemy

    assert pyarrow.parquet and sqlalchemy, "loaded before the fork, not after it"
    while order := sys.stdin.readline():
        seed, name = order.rstrip("\n").split(" ", 1)
        pid = os.fork()
        if not pid:
            _say(f"started {os.getpid()}")
            writer(name, int(seed), small)
        _, status = os.waitpid(pid, 0)
        _say(f"\nended {os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1}")


def run_campaign(
    name: str,
    kills: int,
    seed: int,
    *,
    small: bool = True,
    most_seconds: float = _MOST_SECONDS,
    on_progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Kills a writer of the store of this name again and again, at most so long after its first commit.

    small: with segments of 4096 records. Raises CampaignFailed.
    """
    draw = random.Random(seed)
    kept = sealed = repairs = events = 0
    writers = Writers(small)
    try:
        for kill in range(kills):
            said = writers.kill_one(name, draw.randrange(1 << 30), draw.uniform(0, most_seconds))
            kept = max([kept, *(int(line.split()[1]) for line in said if line.startswith(b"kept"))])
            sealed += sum(line.startswith(b"sealed") for line in said)
            with open_store(name) as store:
                repairs += len(getattr(store, "repairs", ())) + bool(getattr(store, "cut", 0))
                events = check(store, kept)
            if on_progress:
                on_progress(kill + 1)
    finally:
        writers.close()
    return Outcome(kills, events, sealed, repairs)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0 nothing was lost, 1 something was, 2 could not run."""
    parser = argparse.ArgumentParser(prog="python -m vac.campaigns.beam_crashes", description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="processes to kill, over all kinds of stores")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("build/campaigns"), help="folder of the report")
    parser.add_argument("--writers", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.writers:
        serve_writers(options.small)
        return 0
    shrink_segments()
    began, failure = time.monotonic(), None
    outcomes: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        places = {"segments": str(Path(folder) / "store"), "jsonl": str(Path(folder) / "store.jsonl"),
                  "sqlite": f"sqlite:///{folder}/store.db"}  # fmt: skip
        shares = {"segments": 0.8, "jsonl": 0.1, "sqlite": 0.1}
        for kind, name in places.items():
            kills = max(1, round(options.kills * shares[kind]))
            try:
                outcome = run_campaign(name, kills, options.seed, on_progress=_progress(kind, kills))
            except CampaignFailed as error:
                failure = f"{kind}: {error} (seed {options.seed})"
                print(f"error: {failure}", file=sys.stderr)
                break
            outcomes[kind] = asdict(outcome)
            print(
                f"{kind}: {outcome.kills} kills, {outcome.events:,} events all there, sealed {outcome.sealed} times, "
                f"{outcome.repairs} torn ends cut"
            )
    seconds = round(time.monotonic() - began, 1)
    report = {"seed": options.seed, "stores": outcomes, "failure": failure, "seconds": seconds}
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "beam_crashes.json").write_text(json.dumps(report, indent=1) + "\n")
    except OSError as error:
        print(f"error: cannot write the report: {error}", file=sys.stderr)
        return 2
    print(f"{seconds:.0f} s")
    return 1 if failure else 0


def _progress(kind: str, kills: int) -> Callable[[int], None] | None:
    if not sys.stderr.isatty():
        return None

    def show(done: int) -> None:
        sys.stderr.write(f"\r\x1b[K{kind}: {done} of {kills} kills")
        sys.stderr.write("\r\x1b[K" if done == kills else "")
        sys.stderr.flush()

    return show


if __name__ == "__main__":
    sys.exit(main())
