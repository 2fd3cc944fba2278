"""A whole machine with its host: console, storage, memory grants, denials, and a recording that plays the run again."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from vac.assembler.assemble import assemble
from vac.devices.console import Console
from vac.devices.entropy import Entropy
from vac.devices.storage import Storage
from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.host.address_space import Shard
from vac.host.capabilities import DEFAULT, Capability
from vac.host.input_log import InputLog, InputLogError, ReplayError
from vac.host.session import Host
from vac.image.image import Image, Segment, Window
from vac.isa.ports import REFUSED
from vac.isa.traps import Trap
from vac.machine.protocol import Answer, Leaf, MachineError, OutOfFrames, PageMiss, StopReason
from vac.machine.state import State, Status

UPPERCASE = """
again:  in 0
        set0
        beqi l0, end, -1
        addi s, l0, -32
        out 0
        jmp again
end:    halt
"""
COPY = """
.memory 8192
        lit 0x30; lit 4090; lit 20; sys 0       # storage to memory, across a leaf
        set0
        k0; lit 4090; get0; sys 1               # memory to console
        halt
"""


@dataclass
class Run:
    host: Host
    output: bytearray
    reason: StopReason

    @property
    def state(self) -> State:
        return self.host.machine.state()

    @property
    def stack(self) -> Sequence[int]:
        assert self.state.status is Status.HALTED, self.state.trap.name
        return self.state.data_stack


def run(source: str, text: bytes = b"", ticks: int = 100_000, **options: Any) -> Run:
    output = bytearray()
    host = Host(create_machine("golden"), assemble(source), console=Console(text, output.extend), **options)
    return Run(host, output, host.run(ticks).reason)


def test_console_in_and_out() -> None:
    assert run(UPPERCASE, b"hello").output == b"HELLO"


def test_a_program_reads_storage_and_writes_the_console() -> None:
    done = run(COPY, storage=Storage(io.BytesIO(b"0123456789abcdefghijKLM")))
    assert done.stack == [20]
    assert done.output == b"0123456789abcdefghij"


def test_reading_at_the_end_gives_no_bytes() -> None:
    assert run("k0; k0; lit 9; sys 0; halt").stack == [0]


def test_storage_that_was_not_given_is_denied() -> None:
    for source in ("in 0x30", COPY, "k1; out 0x30", "in 0x40", "lit 0x33; k0; k1; sys 0"):
        done = run(source)
        assert (done.reason, done.state.trap) == (StopReason.TRAPPED, Trap.DENIED), source
        assert len(done.host.denials) == 1 and done.host.denials[0].endswith("denied: not granted")


@pytest.mark.parametrize(
    ("capability", "source"),
    [
        (Capability.CONSOLE, "in 0"),
        (Capability.CONSOLE, "k0; k0; k0; sys 1"),
        (Capability.CLOCK, "in 0x10"),
        (Capability.CLOCK, "k1; sys 4"),
        (Capability.ENTROPY, "sys 6"),
        (Capability.MEMORY, "k1; k8; sys 2"),
        (Capability.PAYLOAD, "k0; k0; sys 5"),
    ],
)
def test_each_capability_is_needed(capability: Capability, source: str) -> None:
    assert run(f"{source}; halt", b"x").state.status is Status.HALTED
    done = run(source, b"x", granted=DEFAULT & ~capability)
    assert done.state.trap is Trap.DENIED
    assert done.state.tick == len(source.split(";")) - 1


def test_the_clock_counts_ticks_and_what_was_slept() -> None:
    assert run("in 0x10; lit 1000; sys 4; in 0x10; in 0x11; halt").stack == [0, 0, 1003, 0]


def test_entropy_is_seeded() -> None:
    expected = Entropy(42)
    assert run("sys 6; sys 6; halt", seed=42).stack == [expected.next(), expected.next()]


def test_alloc_grants_zeroed_memory_that_pages_in() -> None:
    source = """
        k2; lit 10000; sys 2
        lit32 0x20002000; lit 5; st32 s, s
        lit32 0x20002000; ld32 s, s
        lit32 0x2000270C; ld32 s, s
        halt"""
    done = run(source)
    assert done.stack == [10000, 5, 0]
    window = done.state.windows[2]
    assert (window.length, window.permissions) == (10000, 3) and window.slot not in (0, 1)


def test_two_grants_do_not_overlap() -> None:
    done = run("k1; lit 5000; sys 2; k2; lit 5000; sys 2; halt")
    first, second = done.state.windows[1:3]
    assert second.base >= first.base + first.length


@pytest.mark.parametrize("arguments", ["k1; lit 8193", "lit 16; k8", "k1; k0", "k1; lit32 0xFFFFFFFF"])
def test_alloc_refuses_what_it_cannot_grant(arguments: str) -> None:
    done = run(f"{arguments}; sys 2; halt", allocation_limit=8192)
    assert done.stack == [REFUSED] and done.state.sqi.refusals == 1
    assert done.state.windows[1] == Window()


MAP = "lit 3; lit {shard}; lit32 {high}; lit {offset}; k0; lit {length}; lit {permissions}; sys 3"
SHARD = Shard(0x1_0000_0007, bytes(range(256)) * 40)


def mapped(**changes: int) -> str:
    numbers = {"shard": 7, "high": 1, "offset": 4096, "length": 8, "permissions": 1} | changes
    return MAP.format(**numbers)


def test_map_grants_a_part_of_a_shard() -> None:
    done = run(mapped(offset=4100) + "; lit32 0x30000000; ld32 s, s; halt", shards=[SHARD])
    assert done.stack == [8, 0x07060504]


@pytest.mark.parametrize(
    "changes",
    [
        {"shard": 8},
        {"high": 0},
        {"offset": 10240},
        {"offset": 2},
        {"length": 0},
        {"permissions": 3},
        {"permissions": 0},
    ],
)
def test_map_refuses_everything_else(changes: dict[str, int]) -> None:
    assert run(mapped(**changes) + "; halt", shards=[SHARD]).stack == [REFUSED]


def test_map_without_any_shard_is_denied() -> None:
    assert run(mapped()).state.trap is Trap.DENIED


@pytest.mark.parametrize(
    ("trap", "source"),
    [
        (Trap.PERMISSION, "k0; lit32 0x10000000; k1; sys 0"),
        (Trap.PERMISSION, "wand 0, 1; k0; k0; k1; sys 0"),
        (Trap.PERMISSION, "wand 0, 2; k0; k0; k1; sys 1"),
        (Trap.BOUNDS, "k0; lit 4090; lit 7; sys 0"),
        (Trap.BOUNDS, "k0; k0; lit32 0xFFFFFFFF; sys 1"),
        (Trap.BOUNDS, "lit 4097; k0; sys 5"),
    ],
)
def test_pointers_of_system_calls_are_checked_before_anything_is_taken(trap: Trap, source: str) -> None:
    done = run(source, b"input")
    assert done.state.trap is trap
    assert done.host.console.read(9) == b"input" and not done.output


def test_a_payload_is_kept_with_its_tick() -> None:
    source = '.data\n.ascii "payload"\n.code\nnop; k0; lit 7; sys 5; halt'
    assert run(source).host.payloads == [(3, b"payload")]


def test_a_device_that_fails_refuses() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("no such luck")

    done = run("in 0x30; halt", storage=Storage(Broken(b"abc")))
    assert done.stack == [REFUSED]


def test_untouched_memory_is_zero_and_the_host_serves_it() -> None:
    done = run(".memory 0x100000\nlit32 0xFFFFC; ld32 s, s; halt")
    assert done.stack == [0]


def test_an_engine_that_asks_for_foreign_memory_is_stopped() -> None:
    host = run("halt").host
    with pytest.raises(MachineError, match="no window covers"):
        host.memory.serve(PageMiss(77, 0))


class Cramped(GoldenMachine):
    """A machine with room for eight leaves."""

    evictions = 0

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        if len(self.leaves()) == 8:
            raise MachineError("no room")
        super().install(slot, number, leaf)

    def evict(self, slot: int, number: int) -> Leaf:
        self.evictions += 1
        return super().evict(slot, number)


TOUCH_ALL = """
.memory 0x10000
.data
.space 0x8000
.word 1000
.code
        lit 0x30; lit 0x4800; lit 0x1800; sys 0
        li l0, 0
        li l1, 16
first:  ld32 l3, l0
        add3 l3, l3, l1
        st32 l0, l3
        addw l0, l0, 4096
        djnz l1, first
        li l0, 0
        li l1, 16
again:  ld32 l3, l0
        add3 l2, l2, l3
        addw l0, l0, 4096
        djnz l1, again
        k0; k0; liw s, 0x10000; sys 1; drop
        get2
        halt
"""


def test_a_machine_with_little_memory_does_the_same() -> None:
    done: list[Run] = []
    for machine in (GoldenMachine(), Cramped()):
        output = bytearray()
        storage = Storage(io.BytesIO(bytes(range(256)) * 64))
        host = Host(machine, assemble(TOUCH_ALL), console=Console(b"", output.extend), storage=storage)
        done.append(Run(host, output, host.run(10_000).reason))
    roomy, cramped = done
    assert roomy.stack == cramped.stack
    assert cramped.state.differences(roomy.state) == [] and cramped.state.digest == roomy.state.digest
    assert cramped.output == roomy.output and len(roomy.output) == 0x10000
    assert isinstance(cramped.host.machine, Cramped) and cramped.host.machine.evictions > 16
    for leaf in roomy.host.machine.leaves():
        assert cramped.host.memory.leaf(*leaf) == roomy.host.memory.leaf(*leaf)


def test_one_read_gives_at_most_sixty_four_kibibytes() -> None:
    source = ".memory 0x20000\nlit 0x30; k0; liw s, 0x20000; sys 0; lit 0x30; k0; liw s, 0x20000; sys 0; halt"
    assert run(source, storage=Storage(io.BytesIO(bytes(70_000)))).stack == [65536, 70_000 - 65536]


def test_memory_starts_as_the_image_says() -> None:
    code, hole = Segment(0, 0, 1, b"\x02"), Segment(2, 0, 1, b"")
    segments = (code, Segment(1, 100, 9000, b"a" * 8000), Segment(1, 4090, 10, b"bcd"), hole)
    image = Image(0, 0, 1, segments)
    host = Host(create_machine("golden"), image)
    leaves = image.leaves()
    assert len(leaves) == 5
    for (slot, number), data in leaves.items():
        assert host.memory.leaf(slot, number).data == data


# ---- replay ------------------------------------------------------------------------------------------------------

EVERYTHING = """
.memory 8192
        in 0; emit; in 1; emit; in 0x10; emit; lit 50; sys 4; drop; in 0x11; drop
        sys 6; emit
        lit 0x30; lit 4094; lit 6; sys 0; emit
        k0; lit 4094; lit 6; sys 1; drop
        lit 4094; k4; sys 5; drop
        k2; lit 64; sys 2; drop
        lit32 0x20000010; lit 7; st32 s, s
        lit 66; out 0
        in 0x0F; emit
        in 0x40
"""


def test_a_recording_plays_the_run_again_bit_for_bit() -> None:
    first = run(EVERYTHING, b"abc", storage=Storage(io.BytesIO(b"123456")), seed=9)
    assert first.state.trap is Trap.DENIED
    log = InputLog.from_text(first.host.input_log.to_text())
    assert [entry.tick for entry in log.entries] == sorted(entry.tick for entry in log.entries)
    assert log.entries == first.host.input_log.entries
    again = run(EVERYTHING, replay=log, granted=Capability(0))
    assert again.state.differences(first.state) == []
    assert again.state.digest == first.state.digest
    assert again.output == first.output == b"123456B"
    assert again.host.payloads == first.host.payloads
    assert again.host.machine.drain_beams() == first.host.machine.drain_beams()


def test_a_changed_answer_changes_the_digest() -> None:
    first = run(UPPERCASE, b"abc")
    text = first.host.input_log.to_text().replace('"value":98', '"value":99')
    assert run(UPPERCASE, replay=InputLog.from_text(text)).state.digest != first.state.digest


def test_a_replay_of_another_program_is_noticed() -> None:
    log = run(UPPERCASE, b"abc").host.input_log
    with pytest.raises(ReplayError, match="at tick 1 the run asks for in 1"):
        run("nop; in 1; halt", replay=log)
    with pytest.raises(ReplayError, match="at tick 1 the run asks for in 0; the recorded run asked at tick 0"):
        run("nop; in 0; halt", replay=log)
    with pytest.raises(ReplayError, match="recording ends"):
        run("in 0; halt", replay=InputLog())


def test_output_that_failed_does_not_come_out_in_a_replay() -> None:
    def broken(data: bytes) -> None:
        raise BrokenPipeError("nobody listens")

    image = assemble("lit 65; out 0; k0; k0; k1; sys 1; halt")
    first = Host(create_machine("golden"), image, console=Console(b"", broken))
    first.run(100)
    assert first.machine.state().data_stack == [REFUSED] and first.machine.state().sqi.refusals == 2
    again = run("lit 65; out 0; k0; k0; k1; sys 1; halt", replay=first.input_log)
    assert again.output == b"" and again.state.digest == first.machine.state().digest


@pytest.mark.parametrize(
    "line", ["", "[]", "{}", '{"tick":1,"kind":"up","number":0}', '{"tick":1,"kind":"in","number":0,"trap":"X"}']
)
def test_a_damaged_log_is_refused_with_its_line(line: str) -> None:
    good = '{"tick":0,"kind":"in","number":0,"value":5}'
    assert len(InputLog.from_text(good).entries) == 1
    with pytest.raises(InputLogError, match="line 2"):
        InputLog.from_text(f"{good}\n{line}\n")


def test_the_waiting_instruction_is_there_when_its_answer_comes() -> None:
    """A core in hardware fetches it again to retire it; what the answer writes must not push it out."""

    class Few(GoldenMachine):
        def install(self, slot: int, number: int, leaf: Leaf) -> None:
            if (slot, number) not in self.leaves() and len(self.leaves()) == 4:
                raise OutOfFrames("four frames")
            super().install(slot, number, leaf)

        def answer(self, answer: Answer) -> None:
            assert (0, self.state().pc >> 12) in self.leaves()
            super().answer(answer)

    image = assemble(".memory 65536\n.frame 2\n liw l1, 40000; ld8u l0, l1; lit 0; lit32 4000; lit32 7000; sys 0; halt")
    machine = Few()
    host = Host(machine, image, console=Console(bytes(7_000)))
    assert host.run(100).reason is StopReason.HALTED
