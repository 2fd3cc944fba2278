"""Descriptions become programs: an image, what its devices hold, and the host that answers for them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ..devices.console import Console
from ..host.address_space import Shard
from ..host.session import Host
from ..image.image import Image, Segment
from ..isa.limits import CODE_ADDRESS_BITS, CODE_SLOT
from ..machine.protocol import Machine
from .body import Body, Callee, Shared
from .description import FUNCTIONS_PER_LEVEL, Description, describe
from .endings import write_trap
from .memory_plan import MemoryPlan
from .writer import CodeWriter


@dataclass(frozen=True)
class Program:
    """A program and everything that it can take in. description: None where it was not built from one."""

    image: Image
    console_input: bytes
    entropy_seed: int
    shards: tuple[Shard, ...]
    description: Description | None = None

    def host(self, machine: Machine) -> Host:
        """Loads the program into the machine; the host gives every engine the same answers."""
        console = Console(self.console_input)
        return Host(machine, self.image, console=console, seed=self.entropy_seed, shards=self.shards)


def random_program(seed: int, size: int | None = None) -> Program:
    """The program of this seed, always the same. size: as for `describe`."""
    return build(describe(seed, size))


def build(description: Description) -> Program:
    """The program that a description stands for."""
    rng = Random(description.seed)
    plan = MemoryPlan(rng)
    writer = CodeWriter()
    callees = tuple(_callee(index, rng) for index in range(len(description.functions)))
    shared = Shared(writer, plan, callees, [], [])
    addresses: dict[Callee, int] = {}
    # Half of the functions stand before `main`, so that calls go both ways.
    for callee in callees[::2]:
        addresses[callee] = _write_function(shared, callee, description.functions[callee.index])
    entry, frame = writer.pc, rng.randrange(8, 21)
    _write_main(shared, description, frame, rng)
    for callee in callees[1::2]:
        addresses[callee] = _write_function(shared, callee, description.functions[callee.index])
    for row, address, callee in shared.calls:
        writer.reach(row, address, addresses[callee])
    writer.code += bytes(-writer.pc % 4)
    table_base = writer.pc
    entries = [callee.frame << CODE_ADDRESS_BITS | addresses[callee] for callee in callees] + shared.table
    for table_entry in entries:
        writer.code += table_entry.to_bytes(4, "little")
    image = Image(
        entry=entry,
        frame=frame,
        code_length=writer.pc,
        segments=(Segment(CODE_SLOT, 0, writer.pc, bytes(writer.code)), *plan.segments),
        windows=plan.windows(writer.pc),
        table_base=table_base,
        table_entries=len(entries),
        has_labels=description.has_labels,
        name=f"random-{description.seed}",
    )
    return Program(image, rng.randbytes(rng.randrange(40)), rng.getrandbits(64), (plan.shard,), description)


def _callee(index: int, rng: Random) -> Callee:
    """Functions of a level are interchangeable, since the table may call either."""
    level = index // FUNCTIONS_PER_LEVEL
    return Callee(index, level, frame=rng.randrange(3, 24), pops=level, pushes=2 - level)


def _write_function(shared: Shared, callee: Callee, items: tuple[int, ...]) -> int:
    address = shared.writer.pc
    # Level 0 is called by `main` alone, which is at level -1.
    body = Body(shared, callee.frame, callee.level, callee.pops)
    for seed in items:
        body.item(seed)
    body.settle(callee.pushes)
    shared.writer.op("ret")
    return address


def _write_main(shared: Shared, description: Description, frame: int, rng: Random) -> None:
    writer, plan = shared.writer, shared.plan
    for local in range(1, frame):
        writer.op("lit32", rng.getrandbits(32))
        writer.op("set", local)
    body = Body(shared, frame, level=-1, depth=0)
    for index in plan.narrowings:
        body.narrow(index)
    for index, length in plan.allocations.items():
        body.allocate(index, length)
    for seed in description.main:
        body.item(seed)
    if description.traps:
        write_trap(writer, rng)
    for local in range(1, min(frame, 15)):
        writer.op("xor3", 0, 0, local)
    body.settle(0)
    writer.op("get0")
    writer.op("emit")
    writer.op("get0")
    writer.op("halt")
