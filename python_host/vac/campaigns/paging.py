"""Paging campaign: a machine whose memory is many times the RAM it may have, over a real S3 server that is killed.

``python -m vac.campaigns.paging`` fills 1 GiB, then reads and changes it in several orders, in 64 MiB, with the rest in
a SeaweedFS server of its own. In the middle the server is killed; the run stops, and goes on when it is back. The
digest of all beams and the state root must be those of a run with all memory in the engine.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from ..assembler.assemble import assemble
from ..commitment.state_root import StateCommitment
from ..fast.compiler import EngineBuildError
from ..fast.machine import FastMachine, Trace
from ..host.session import Host
from ..image.image import Image
from ..machine.protocol import StopReason
from ..memory.address import DEFAULT_PAGE_BYTES
from ..memory.compressed_tier import CompressedTier
from ..memory.errors import TierUnavailable
from ..memory.object_tier import OBJECT_BYTES, ObjectTier, open_bucket
from ..memory.page_store import Level, PageStore
from ..memory.pager import Pager, least_frames
from ..memory.retry import RetryLimits
from .object_server import SeaweedServer, ServerFailed, seaweed_server

_MIB = 1 << 20
_WINDOWS = 4
_LONGEST_SLICE = 1 << 15
_PATIENCE = RetryLimits(attempts=4, seconds=20.0, first_delay=0.1)
_RAM_FOR_OBJECTS = 2 * OBJECT_BYTES
"""An object being filled, and one being written."""

_SOURCE = """
# Four windows of {quarter} bytes: every word is written, then a word in each {stride} bytes is read and changed, then
# random words are.
.frame 12
.local pointer, end, value, sum, state, other, round, mask, window, step
        {allocations}
        let state, 2463534242
        let step, {stride}
        li round, 0
fill:   shli pointer, round, 28
        let window, 0x10000000; add3 pointer, pointer, window
        let end, {quarter}; add3 end, end, pointer
word:   shli other, state, 13; xor3 state, state, other
        shrui other, state, 17; xor3 state, state, other
        shli other, state, 5; xor3 state, state, other
        st32p pointer, state
        bltu pointer, end, word
        addi round, round, 1
        let other, {windows}; bltu round, other, fill
        li round, 0
scan:   shli pointer, round, 28
        let window, 0x10000000; add3 pointer, pointer, window
        let end, {quarter}; add3 end, end, pointer
place:  ld32 value, pointer; add3 sum, sum, value; st32 pointer, sum
        add3 pointer, pointer, step
        bltu pointer, end, place
        addi round, round, 1
        let other, {windows}; bltu round, other, scan
        let round, {jumps}
        let mask, {quarter} - 4
jump:   shli other, state, 13; xor3 state, state, other
        shrui other, state, 17; xor3 state, state, other
        shli other, state, 5; xor3 state, state, other
        and3 pointer, state, mask
        shrui window, state, 30; addi window, window, 1; shli window, window, 28
        add3 pointer, pointer, window
        ld32 value, pointer; add3 sum, sum, value; st32 pointer, sum
        djnz round, jump
        push sum
        halt
"""


class CampaignFailed(Exception):
    """The run was not what it had to be."""


def program(size: int, jumps: int) -> Image:
    """size: bytes of memory, a power of two from 1 MiB to 1 GiB. jumps: random accesses at the end."""
    quarter = size // _WINDOWS
    allocations = "; ".join(f"lit {window}; lit32 {quarter}; sys SYS_ALLOC; drop" for window in range(1, _WINDOWS + 1))
    return assemble(
        _SOURCE.format(quarter=quarter, stride=4096, windows=_WINDOWS, jumps=jumps, allocations=allocations)
    )


def run_campaign(size: int, ram: int, jumps: int, server: SeaweedServer) -> dict[str, object]:
    """The paged run, with a kill of the server in its middle, then the one in the engine. size, ram: bytes.

    Returns the figures. Raises CampaignFailed, and PagingError where even waiting does not help.
    """
    image = program(size, jumps)
    began = time.monotonic()
    frames = (ram - ram // 4 - min(_RAM_FOR_OBJECTS, ram // 4)) // DEFAULT_PAGE_BYTES
    bucket = open_bucket(server.bucket, server.endpoint, seconds=10.0)
    tier = ObjectTier(bucket, DEFAULT_PAGE_BYTES, limits=_PATIENCE)
    store = PageStore([Level(CompressedTier(DEFAULT_PAGE_BYTES), ram // 4), Level(tier)])
    pager = Pager(store, max(frames, least_frames(DEFAULT_PAGE_BYTES)))
    machine = FastMachine(Trace.DIGEST)
    host = Host(machine, image, allocation_limit=size, pager=pager)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slice_ticks = max(1 << 10, min(_LONGEST_SLICE, size >> 13))
    kill_after = size // DEFAULT_PAGE_BYTES * 3 // 2
    stops: list[str] = []
    is_killed = False
    until = 0
    while True:
        until += slice_ticks
        try:
            reason = host.run(until).reason
        except TierUnavailable as error:
            stops.append(str(error))
            if not is_killed or len(stops) > 3:
                raise
            server.start()
            until -= slice_ticks
            continue
        if reason is not StopReason.TICK:
            break
        if not is_killed and pager.statistics().evictions > kill_after:
            server.kill()
            is_killed = True
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = pager.statistics()
    assert host.memory.paged
    root, state = host.memory.paged.state_root(), machine.state()
    pager.close()
    seconds = time.monotonic() - began

    if reason is not StopReason.HALTED:
        raise CampaignFailed(f"the run ended with {state.trap.name} at tick {state.tick}")
    if not stops:
        raise CampaignFailed("the run did not notice that its server was killed")
    reference = FastMachine(Trace.DIGEST)
    Host(reference, image, allocation_limit=size).run(1 << 60)
    expected = reference.state()
    if state.digest != expected.digest or state.differences(expected):
        raise CampaignFailed("; ".join(state.differences(expected)) or "the digests differ")
    if root != StateCommitment().take(reference):
        raise CampaignFailed(f"the state root is {root.hex()}, without paging it is another one")
    return {
        "memory_mib": size // _MIB,
        "ram_mib": ram // _MIB,
        "frames": pager.frames,
        "grown_rss_mib": round((peak - before) / 1024),
        "ticks": state.tick,
        "seconds": round(seconds, 1),
        "stops": stops,
        "root": root.hex(),
        **asdict(counts),
        "levels": {name: asdict(level) for name, level in store.statistics().items()},
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 all equal, 1 a difference, 2 could not run."""
    parser = argparse.ArgumentParser(prog="python -m vac.campaigns.paging", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="memory of the machine, a power of two up to 1024")
    parser.add_argument("--ram-mib", type=int, default=64, help="RAM for its pages")
    parser.add_argument("--jumps", type=int, default=10_000, help="random accesses at the end")
    parser.add_argument("--output", type=Path, default=Path("build/campaigns"), help="folder of the report")
    options = parser.parse_args(arguments)
    if options.mib & (options.mib - 1) or not 4 <= options.mib <= 1024 or not 1 <= options.ram_mib < options.mib:
        print("paging campaign: give a power of two from 4 to 1024 as --mib, and less as --ram-mib", file=sys.stderr)
        return 2
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=options.output) as folder, seaweed_server(Path(folder)) as server:
            report = run_campaign(options.mib * _MIB, options.ram_mib * _MIB, options.jumps, server)
    except CampaignFailed as error:
        print(f"paging campaign: {error}", file=sys.stderr)
        return 1
    except (EngineBuildError, ServerFailed, TierUnavailable) as error:
        print(f"paging campaign: {error}", file=sys.stderr)
        return 2
    (options.output / "paging.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
