"""Draw `docs/images/scheduling.png`: `python -m benchmarks.paging_picture` runs three machines in a fifth of the memory
that they use, and shows their stalls and their scores."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from vac.assembler.assemble import assemble
from vac.cli.plot import plot
from vac.memory.compressed_tier import CompressedTier
from vac.memory.page_store import Level, PageStore
from vac.memory.pager import Pager
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.statistics_file import StatisticsWriter

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "scheduling.png"
_PAGE = 16 << 10
_FRAMES = 48
_TICKS = 4_000_000

_SCAN = """
# Changes a word in each 256 bytes, from the start to the end, again and again.
.memory 2097152
.frame 4
.local pointer, value, sum, step
        let step, 256
again:  li pointer, 0
next:   ld32 value, pointer
        add3 sum, sum, value
        st32 pointer, sum
        add3 pointer, pointer, step
        let value, 2097152
        bltu pointer, value, next
        jmp again
"""

_RANDOM = (
    """
# Changes random words of 1 MiB, branches by random bits and emits what it draws.
.memory 1048576
.frame 5
.local state, other, pointer, bit, mask
        let state, 2463534242
        let mask, 0xffffc
again:  shli other, state, 13
        xor3 state, state, other
        shrui other, state, 17
        xor3 state, state, other
        shli other, state, 5
        xor3 state, state, other
        and3 pointer, state, mask
        st32 pointer, state
        get state
        emit
"""
    + "".join(f"        andi bit, state, {1 << bit}\n        beqi bit, on{bit}, 0\non{bit}:\n" for bit in range(8))
    + "        jmp again\n"
)

_PHASES = (
    """
# A loop over 128 KiB for a while, then random words of 1 MiB, then the loop again.
.memory 1048576
.frame 7
.local state, other, pointer, bit, mask, left, rounds
        let state, 88172645
        let mask, 0xffffc
again:  let rounds, 40
loop:   li pointer, 0
        let left, 512
step:   ld32 other, pointer
        let other, 256
        add3 pointer, pointer, other
        djnz left, step
        djnz rounds, loop
        let left, 3000
draw:   shli other, state, 13
        xor3 state, state, other
        shrui other, state, 17
        xor3 state, state, other
        shli other, state, 5
        xor3 state, state, other
        and3 pointer, state, mask
        st32 pointer, state
        get state
        emit
"""
    + "".join(f"        andi bit, state, {1 << bit}\n        beqi bit, on{bit}, 0\non{bit}:\n" for bit in range(4))
    + "        djnz left, draw\n        jmp again\n"
)


def main() -> None:
    """Runs the machines, one after another in slices, and draws them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paging_picture", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=PICTURE, help="the picture, .png or .svg")
    output: Path = parser.parse_args().output
    store = PageStore([Level(CompressedTier(_PAGE))])
    with Pager(store, _FRAMES) as pager, Scheduler(pager=pager, slice_ticks=1000, turn_slices=32) as scheduler:
        for name, source in (("scan", _SCAN), ("random", _RANDOM), ("phases", _PHASES)):
            scheduler.add(assemble(source), name=name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "statistics.jsonl"
            with path.open("w") as file:
                writer = StatisticsWriter(scheduler, file)
                scheduler.run(_TICKS, on_progress=writer.take, progress_slices=5)
                writer.take()
            plot(path, output)


if __name__ == "__main__":
    main()
