"""Scheduling campaign: many small machines in every setting, and each of them ends as it does alone.

``python -m vac.campaigns.scheduling --cases 20 --crowds 2`` runs 20 cases of 100 machines and two of 1,000. A case is
drawn from its seed: the programs, lengths of slices and turns, frames, page size, stack of tiers, prefetcher, engines,
shared cores, worker processes. Between slices machines move to other engines, and worker processes are killed. The
digest of all beams, the state root and the console output of each machine must be those of the golden model alone.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from ..commitment.state_root import StateCommitment
from ..devices.console import Console
from ..engines.registry import EngineError, create_machine
from ..host.residency import HeldLeaves
from ..host.session import Host
from ..machine.protocol import Machine, MachineError
from ..memory.compressed_tier import CompressedTier
from ..memory.file_tier import FileTier
from ..memory.page_store import Level, PageStore
from ..memory.pager import Pager, least_frames
from ..memory.policy import PolicyOptions
from ..memory.prefetch import PrefetchOptions
from ..memory.tier import RamTier
from ..randomised.program import Program, random_program
from ..scheduler.executors import Executor, OneEach, SharedCore
from ..scheduler.quota import StopCause
from ..scheduler.scheduler import Scheduler
from ..scheduler.virtual_machine import VirtualMachine
from ..scheduler.worker_pool import WorkerPool

ENGINES = ("golden", "fast", "jit", "rtl")
DEFAULT_ENGINES = ("golden", "fast", "rtl")
_PROGRAMS = 400
"""Different programs; a case takes some of them, several machines may run the same."""
_STACKS = ("ram", "lz4 ram", "file", "lz4 file", "objects", "lz4 file objects")
_PAGE_BYTES = (4096, 8192, 16384, 65536)
_END = 1 << 62


@dataclass(frozen=True)
class Outcome:
    """What must not depend on others. root: with all of memory, or with what was touched where there is no pager."""

    digest: int | None
    root: bytes
    output: bytes
    payloads: tuple[tuple[int, bytes], ...]


@dataclass
class Coverage:
    """What a campaign met."""

    cases: int = 0
    machines: int = 0
    ticks: int = 0
    slices: int = 0
    moves: int = 0
    moves_refused: int = 0
    processes_killed: int = 0
    dismissals: int = 0
    misses: int = 0
    stalls: int = 0
    fetched: int = 0
    write_backs: int = 0
    places: dict[str, int] = field(default_factory=dict)
    settings: dict[str, int] = field(default_factory=dict)

    def count(self, kind: dict[str, int], name: str) -> None:
        """One more of these."""
        kind[name] = kind.get(name, 0) + 1


@cache
def _program(seed: int) -> Program:
    return random_program(seed)


def _host(program: Program, machine: Machine, output: list[bytes], pager: Pager | None) -> Host:
    console = Console(program.console_input, output.append)
    return Host(
        machine, program.image, console=console, seed=program.entropy_seed, shards=program.shards, pager=pager
    )  # fmt: skip


def _outcome(host: Host, program: Program, output: Sequence[bytes]) -> Outcome:
    if host.memory.paged:
        root = host.memory.paged.state_root()
    else:
        commitment, held = StateCommitment(), host.memory.residency
        assert isinstance(held, HeldLeaves)
        for key in sorted({*program.image.leaves(), *held.touched()}):
            commitment.put(*key, host.memory.leaf(*key))
        root = commitment.take(host.machine)
    return Outcome(host.machine.state().digest, root, b"".join(output), tuple(host.payloads))


@cache
def alone(seed: int, is_paged: bool) -> Outcome:
    """The program of this seed by itself on the golden model, in pages of 4 KiB that all have frames, or without."""
    output: list[bytes] = []
    pager = Pager(PageStore.in_ram(4096), 1 << 14, PolicyOptions(prefetch=None)) if is_paged else None
    host = _host(_program(seed), create_machine("golden"), output, pager)
    host.run(_END)
    return _outcome(host, _program(seed), output)


# ---- a case ----------------------------------------------------------------------------------------------------------


def _pager(draw: Random, folder: Path, coverage: Coverage) -> Pager | None:
    if draw.random() < 0.2:
        coverage.count(coverage.settings, "no pager")
        return None
    page_bytes, stack = draw.choice(_PAGE_BYTES), draw.choice(_STACKS)
    levels: list[Level] = []
    for kind in stack.split():
        capacity = draw.choice((2, 8, 64)) * page_bytes
        if kind == "ram":
            levels.append(Level(RamTier(page_bytes), capacity))
        elif kind == "lz4":
            levels.append(Level(CompressedTier(page_bytes), capacity))
        elif kind == "file":
            levels.append(Level(FileTier(folder / "pages", page_bytes), capacity))
        else:
            levels.append(Level(_object_tier(folder, page_bytes)))
    levels[-1] = Level(levels[-1].tier)
    prefetch = draw.choice((None, PrefetchOptions(), PrefetchOptions(depth=2, trend_depth=1, history_depth=0)))
    frames = least_frames(page_bytes) + draw.choice((0, 3, 20, 200))
    for name in (f"pages of {page_bytes}", stack, f"{'no' if prefetch is None else prefetch.depth} pages ahead"):
        coverage.count(coverage.settings, name)
    return Pager(
        PageStore(levels), frames, PolicyOptions(prefetch=prefetch),
        is_ahead_in_background=draw.choice((None, True, False)),
    )  # fmt: skip


def _object_tier(folder: Path, page_bytes: int):
    from obstore.store import LocalStore

    from ..memory.object_tier import ObjectTier

    (folder / "objects").mkdir()
    return ObjectTier(LocalStore(str(folder / "objects")), page_bytes, object_bytes=8 * page_bytes)


def _places(draw: Random, engines: Sequence[str], stack: ExitStack) -> dict[str, Executor]:
    """Two to four executors, by what they are."""

    def pool(engine: str, processes: int) -> Executor:
        return stack.enter_context(WorkerPool(engine, processes))

    makers: dict[str, Callable[[], Executor]] = {}
    for engine in engines:
        makers[f"one {engine} core"] = lambda engine=engine: SharedCore(create_machine(engine, keeps_beams=False))
        if engine != "rtl":
            makers[f"{engine} each"] = lambda engine=engine: OneEach(engine)
            for processes in (1, 2, 3):
                makers[f"{engine} in {processes} processes"] = lambda e=engine, p=processes: pool(e, p)
    # The Verilated core is slow and is to be met all the same.
    chosen = draw.sample(sorted(makers), draw.randint(2, 4))
    if "rtl" in engines and draw.random() < 0.4 and "one rtl core" not in chosen:
        chosen[-1] = "one rtl core"
    return {name: makers[name]() for name in chosen}


def run_case(seed: int, machines: int, engines: Sequence[str], coverage: Coverage) -> list[str]:
    """One case; returns a line for each machine that did not end as it does alone.

    Raises EngineError where an engine cannot run, and what no scheduler should.
    """
    draw = Random(f"scheduling {seed}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pager = _pager(draw, folder, coverage)
        if pager:
            stack.callback(pager.close)
        places = _places(draw, engines, stack)
        home = next(name for name in places if name != "one rtl core")
        slice_ticks, turn = int(10 ** draw.uniform(0.8, 3.5)), draw.choice((1, 3, 20, 200))
        scheduler = stack.enter_context(
            Scheduler(places[home], pager=pager, slice_ticks=slice_ticks, turn_slices=turn)
        )  # fmt: skip
        vms: list[tuple[VirtualMachine, int, list[bytes]]] = []
        for _ in range(machines):
            number, output = draw.randrange(_PROGRAMS), list[bytes]()
            program = _program(number)
            vm = scheduler.add(lambda machine, p=program, o=output: _host(p, machine, o, pager))
            vms.append((vm, number, output))
        _run(draw, scheduler, [vm for vm, _, _ in vms], places, coverage)
        failures = [
            line for vm, number, output in vms
            if (line := _difference(vm, _outcome(vm.host, _program(number), output), alone(number, pager is not None)))
        ]  # fmt: skip
        _count(coverage, scheduler, places, slice_ticks, pager)
    return [f"seed {seed}, {machines} machines: {line}" for line in failures]


def _run(
    draw: Random, scheduler: Scheduler, vms: Sequence[VirtualMachine], places: dict[str, Executor], coverage: Coverage
) -> None:
    """To the end of all, with moves and kills on the way."""
    pools = [place for place in places.values() if isinstance(place, WorkerPool)]
    for _ in range(draw.choice((0, 2, 6, 12))):
        scheduler.run(scheduler.clock + draw.randint(1, 400 * len(vms)))
        running = [vm for vm in vms if vm.stop is None]
        for vm in draw.sample(running, min(len(running), draw.randint(0, 6))):
            try:
                scheduler.move(vm, draw.choice(list(places.values())))
                coverage.moves += 1
            except MachineError:  # it does not fit there, and stays
                coverage.moves_refused += 1
        if pools and draw.random() < 0.2:
            pids = [slot.pid for slot in draw.choice(pools).slots if slot.pid]
            if pids:
                os.kill(draw.choice(pids), signal.SIGKILL)
                coverage.processes_killed += 1
    while True:
        scheduler.run()
        lost = [vm for vm in vms if vm.stop is StopCause.WORKER]
        if not lost:
            return
        for vm in lost:
            scheduler.resume(vm)


def _difference(vm: VirtualMachine, found: Outcome, expected: Outcome) -> str | None:
    if vm.stop not in (StopCause.HALTED, StopCause.TRAPPED):
        return f"{vm.name} stopped: {vm.stop and vm.stop.value}: {vm.error}"
    differing = [name for name in asdict(expected) if getattr(found, name) != getattr(expected, name)]
    return f"{vm.name}: {' and '.join(differing)} differ from those alone" if differing else None


def _count(
    coverage: Coverage, scheduler: Scheduler, places: dict[str, Executor], slice_ticks: int, pager: Pager | None
) -> None:
    report = scheduler.report()
    coverage.cases += 1
    coverage.machines += len(report.accounts)
    coverage.ticks += report.clock
    coverage.slices += sum(account.slices for account in report.accounts)
    coverage.dismissals += sum(account.dismissals for account in report.accounts)
    coverage.count(coverage.settings, f"slices of 10^{len(str(slice_ticks)) - 1} ticks")
    for name in places:
        coverage.count(coverage.places, name)
    if pager:
        counts = pager.statistics()
        coverage.misses += counts.misses
        coverage.stalls += counts.stalls
        coverage.fetched += counts.fetched
        coverage.write_backs += counts.write_backs


# ---- all of them -----------------------------------------------------------------------------------------------------


def run_campaign(
    first: int, cases: int, crowds: int, engines: Sequence[str], machines: int = 100, crowd: int = 1000
) -> tuple[Coverage, list[str]]:
    """Seeds from `first` on: cases of so many machines, then crowds; returns what was met and a line a failure."""
    coverage, failures = Coverage(), []
    for seed in range(first, first + cases + crowds):
        failures += run_case(seed, machines if seed < first + cases else crowd, engines, coverage)
        if sys.stderr.isatty():
            print(f"\r\x1b[K{coverage.cases} of {cases + crowds} cases", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return coverage, failures


def _engines(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    if not set(found) - {"rtl"} or any(name not in ENGINES for name in found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(ENGINES)}, with more than rtl in it")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 all equal, 1 a difference, 2 could not run."""
    parser = argparse.ArgumentParser(prog="python -m vac.campaigns.scheduling", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--cases", type=int, default=20, help="cases of 100 machines")
    parser.add_argument("--crowds", type=int, default=2, help="cases of 1,000 machines")
    parser.add_argument("--engines", type=_engines, default=DEFAULT_ENGINES, help=f"of {','.join(ENGINES)}")
    parser.add_argument("--output", type=Path, default=Path("build/campaigns"), help="folder of the report")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    try:
        coverage, failures = run_campaign(options.first, options.cases, options.crowds, options.engines)
    except EngineError as error:
        print(f"scheduling campaign: {error}", file=sys.stderr)
        return 2
    report: dict[str, object] = {
        "first_seed": options.first,
        "cases_of_100": options.cases,
        "cases_of_1000": options.crowds,
        "engines": options.engines,
        **asdict(coverage),
        "failures": failures,
        "seconds": round(time.perf_counter() - began, 1),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "scheduling.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
