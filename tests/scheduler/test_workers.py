"""Slices in worker processes: nobody can tell, and a process that is killed takes nothing with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.assembler.assemble import assemble
from vac.engines.registry import EngineError, create_machine
from vac.host.session import Host
from vac.machine.protocol import Answer, Leaf, MachineError, StopReason
from vac.machine.state import Status
from vac.memory.page_store import PageStore
from vac.memory.pager import Pager
from vac.scheduler.accounts import Report
from vac.scheduler.errors import SchedulerClosed, WorkerLost
from vac.scheduler.executors import Executor, OneEach
from vac.scheduler.message_socket import MessageSocket
from vac.scheduler.quota import Quota, StopCause
from vac.scheduler.remote_machine import RemoteMachine
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.virtual_machine import VirtualMachine
from vac.scheduler.worker_pool import WorkerPool

from .loads import CALM, TALKER, alone, among, mix, toucher

CALM_IMAGE = assemble(CALM)


@cache
def pools() -> dict[str, WorkerPool]:
    """Shared by the tests: a process takes its time to start."""
    return {
        "one": WorkerPool("fast", 1, keeps_beams=True),
        "two": WorkerPool("fast", 2, keeps_beams=True),
        "three golden": WorkerPool("golden", 3, keeps_beams=True),
    }


@pytest.fixture(autouse=True, scope="module")
def _ends() -> Iterator[None]:
    yield
    for pool in pools().values():
        pool.close()


def executor(name: str) -> Executor:
    return OneEach("fast", keeps_beams=True) if name == "here" else pools()[name]


PLACES = ("one", "two", "three golden", "here")


@settings(max_examples=15)
@given(
    st.permutations(range(6)),
    st.integers(20, 700),
    st.sampled_from(PLACES[:3]),
    st.sampled_from(PLACES),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 900)), max_size=5),
    st.sampled_from((None, 19, 40)),
)
def test_processes_slices_moves_and_paging_do_not_show(
    order: list[int], slice_ticks: int, first: str, second: str, moves: list[tuple[int, int]], frames: int | None
) -> None:
    pager = Pager(PageStore.in_ram(4096), frames) if frames else None
    places = [executor(first), executor(second)]
    with Scheduler(places[0], pager=pager, slice_ticks=slice_ticks, turn_slices=2) as scheduler:
        vms = {seed: scheduler.add(mix(seed), name=f"m{seed}", seed=seed) for seed in order}
        for number, (seed, more) in enumerate(moves):
            scheduler.run(scheduler.clock + more)
            scheduler.move(vms[seed], places[(number + 1) % 2])
        report = scheduler.run()
        assert report.runnable == 0
        for seed, vm in vms.items():
            assert vm.stop is StopCause.HALTED
            assert among(vm) == alone(seed)
            assert vm.account.ticks == len(alone(seed).beams) // 16
    assert all(not slot.machines for pool in pools().values() for slot in pool.slots) or release_all()


def release_all() -> bool:
    for pool in pools().values():
        for slot in pool.slots:
            for machine in list(slot.machines.values()):
                machine.release()
    return True


def processes_of(pool: WorkerPool) -> list[int]:
    return [slot.pid for slot in pool.slots if slot.pid]


def test_slices_of_several_processes_overlap() -> None:
    with WorkerPool("fast", 2) as pool, Scheduler(pool, slice_ticks=10_000) as scheduler:
        vms = [scheduler.add(CALM_IMAGE) for _ in range(4)]
        seen: set[int] = set()

        def watch(report: Report) -> None:
            seen.add(len(scheduler._lanes.running()))

        report = scheduler.run(20_000_000, on_progress=watch, progress_slices=1)
        assert max(seen) >= 1 and len(processes_of(pool)) == 2
        assert report.jain > 0.95
        assert {vm.remote.slot.index for vm in vms if vm.remote} == {0, 1}
        assert report.clock == sum(account.ticks for account in report.accounts)


def test_three_machines_on_two_processes_get_the_same() -> None:
    with WorkerPool("fast", 2) as pool, Scheduler(pool, slice_ticks=2000) as scheduler:
        for _ in range(3):
            scheduler.add(CALM_IMAGE)
        report = scheduler.run(6_000_000)
        assert report.jain > 0.95  # without changing lanes: 0.89


# ---- processes that are killed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_paged", [False, True])
def test_a_killed_process_is_named_and_its_machines_go_on(is_paged: bool) -> None:
    pager = Pager(PageStore.in_ram(4096), 64) if is_paged else None
    with (
        WorkerPool("fast", 2, keeps_beams=True) as pool,
        Scheduler(pool, pager=pager, slice_ticks=100) as scheduler,
    ):
        vms = [scheduler.add(mix(seed, 400), name=f"m{seed}", seed=seed) for seed in range(4)]
        kills = 0

        def kill(report: Report) -> None:
            nonlocal kills
            if kills < 5:
                victim = processes_of(pool)[kills % 2]
                os.kill(victim, signal.SIGKILL)
                kills += 1

        errors: list[WorkerLost] = []
        while any(vm.stop is not StopCause.HALTED for vm in vms):
            scheduler.run(on_progress=kill, progress_slices=11)
            for vm in vms:
                assert vm.stop in (StopCause.HALTED, StopCause.WORKER)
                if vm.stop is StopCause.WORKER:
                    assert isinstance(vm.error, WorkerLost) and vm.name in vm.error.machines
                    errors.append(vm.error)
                    scheduler.resume(vm)
        assert len(pool.losses) == 5 and errors
        assert "ended with signal 9; it ran m" in str(errors[0])
        for seed, vm in enumerate(vms):
            assert among(vm) == alone(seed, 400)


def test_a_machine_that_ends_every_process_fails_alone() -> None:
    class Deadly(RemoteMachine):
        def _start(self, until: int) -> None:
            pid = self._built().pid
            os.kill(pid, signal.SIGSTOP)  # it gets the request, and no further
            super()._start(until)
            os.kill(pid, signal.SIGKILL)

    with WorkerPool("golden", 1, keeps_beams=True) as pool, Scheduler(pool, slice_ticks=100) as scheduler:
        good = scheduler.add(mix(1), name="good", seed=1)
        bad = scheduler.add(mix(2), name="bad", seed=2)
        assert bad.remote
        bad.remote.__class__ = Deadly
        while True:
            scheduler.run()
            stopped = [vm for vm in (good, bad) if vm.stop is StopCause.WORKER]
            if not stopped:
                break
            for vm in stopped:
                scheduler.resume(vm)
        assert bad.stop is StopCause.FAILED and "bad cannot be run: worker process" in str(bad.error)
        assert good.stop is StopCause.HALTED and among(good) == alone(1)


def test_processes_that_end_while_idle_are_held_against_nobody() -> None:
    with WorkerPool("golden", 1, keeps_beams=True) as pool, Scheduler(pool, slice_ticks=100) as scheduler:
        vm = scheduler.add(mix(1), seed=1)
        for _ in range(5):
            process = pool.slots[0].process
            os.kill(process.pid, signal.SIGKILL)
            process._process.wait()
            scheduler.run()
            assert vm.stop is StopCause.WORKER
            scheduler.resume(vm)
        scheduler.run()
        assert len(pool.losses) == 5
        assert vm.stop is StopCause.HALTED and among(vm) == alone(1)


def test_a_checkpoint_is_enough_to_go_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vac.scheduler.remote_machine._CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("vac.scheduler.remote_machine._CHECKPOINT_SHARE", float("inf"))
    with WorkerPool("fast", 1, keeps_beams=True) as pool:
        machine = pool.machine("m")
        machine._checkpoint_after = 0.0
        host = Host(machine, toucher(3))
        tick = 0
        while machine.state().status is Status.RUNNING:
            tick += 50
            host.run(tick)
            assert len(machine._told) <= 20
            if tick % 150 == 0 and machine.slot.pid:
                os.kill(machine.slot.pid, signal.SIGKILL)
                machine.state()
        assert len(pool.losses) >= 2
        expected = create_machine("golden")
        Host(expected, toucher(3)).run(1 << 40)
        assert machine.drain_beams() == expected.drain_beams()
        for key in expected.leaves():
            assert machine.read_leaf(*key) == expected.read_leaf(*key)


def test_an_interrupt_in_the_middle_of_a_reply_hangs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with WorkerPool("fast", 2, keeps_beams=True) as pool, Scheduler(pool, slice_ticks=100) as scheduler:
        vms = [scheduler.add(mix(seed, 400), name=f"m{seed}", seed=seed) for seed in range(4)]
        scheduler.run(400)
        pipe = pool.slots[0].process.pipe

        def half() -> object:
            os.read(pipe.fileno(), 3)
            raise KeyboardInterrupt

        monkeypatch.setattr(pipe, "recv", half)
        with pytest.raises(KeyboardInterrupt):
            scheduler.run()
        while scheduler.run().runnable or any(vm.stop is StopCause.WORKER for vm in vms):
            for vm in vms:
                if vm.stop is StopCause.WORKER:
                    scheduler.resume(vm)
        assert [among(vm) for vm in vms] == [alone(seed, 400) for seed in range(4)]


# ---- the machine -----------------------------------------------------------------------------------------------------


def test_the_machine_protocol_over_a_pipe() -> None:
    pool = pools()["two"]
    remote, local = pool.machine(), create_machine("fast")
    for machine in (remote, local):
        machine.load(mix(5))
    assert remote.leaves() == local.leaves()
    assert remote.run(100) == local.run(100)
    assert not remote.state().differences(local.state())
    remote.state().cells[0] ^= 1
    assert not remote.state().differences(local.state())
    leaf = Leaf(bytes(range(256)) * 16, 0x8001)
    assert remote.install_run(3, 7, [leaf] * 300) == 300
    assert remote.read_leaf(3, 306) == leaf and remote.evict(3, 7) == leaf
    assert remote.evict_run(3, 8, 299) == [leaf] * 299
    with pytest.raises(MachineError, match="leaf 7 of slot 3 is not resident"):
        remote.evict(3, 7)
    with pytest.raises(MachineError, match="4096 bytes, not 3"):
        remote.install(3, 7, Leaf(b"abc"))
    stop = remote.run(1 << 40)
    assert stop.reason is StopReason.EVENT and stop == local.run(1 << 40)
    for machine in (remote, local):
        machine.answer(Answer(7))
    assert remote.run(1 << 40) == local.run(1 << 40)
    assert remote.drain_beams() == local.drain_beams()
    remote.answer(Answer(1))
    with pytest.raises(MachineError, match="no event waits"):
        remote.run(1 << 50)
    remote.release()


def test_quotas_hold_in_processes() -> None:
    pool = pools()["two"]
    with Scheduler(pool, pager=Pager(PageStore.in_ram(4096), 64), slice_ticks=1000) as scheduler:
        cases: list[tuple[VirtualMachine, StopCause]] = [
            (scheduler.add(mix(1), quota=Quota(max_ticks=200), seed=1), StopCause.TICKS),
            (scheduler.add(mix(1), quota=Quota(max_beams=100), seed=1), StopCause.BEAMS),
            (scheduler.add(assemble(TALKER), quota=Quota(max_io_per_slice=3)), StopCause.IO),
            (scheduler.add(toucher(6), quota=Quota(max_resident_pages=3)), StopCause.RESIDENT_PAGES),
        ]
        scheduler.run()
        for vm, cause in cases:
            assert vm.stop is cause
            scheduler.resume(vm, Quota())
        scheduler.run()
        assert all(vm.stop is StopCause.HALTED for vm, _ in cases)
        assert among(cases[0][0]) == alone(1)
    release_all()


def test_what_a_consumer_raises_leaves_every_process_usable() -> None:
    parts: dict[int, bytes] = {seed: b"" for seed in range(4)}

    def consumer(seed: int):
        def consume(beams: bytes) -> None:
            parts[seed] += beams
            if seed == 2 and len(parts[seed]) == 200 * 16:
                raise OSError("disk full")

        return consume

    with Scheduler(pools()["two"], slice_ticks=100) as scheduler:
        for seed in range(4):
            scheduler.add(mix(seed), on_beams=consumer(seed), seed=seed)
        with pytest.raises(OSError, match="disk full"):
            scheduler.run()
        scheduler.run()
    assert parts == {seed: alone(seed).beams for seed in range(4)}
    release_all()


def test_what_a_pool_refuses() -> None:
    with pytest.raises(ValueError, match="0 worker processes"):
        WorkerPool("fast", 0)
    with pytest.raises(EngineError, match="no engine 'slow'"):
        WorkerPool("slow")
    with pytest.raises(ValueError, match="one serial line"):
        WorkerPool("board", 2)
    with WorkerPool("board", 1) as pool, pytest.raises(EngineError, match="no serial port is named"):
        pool.machine()
    with pytest.raises(SchedulerClosed):
        pool.machine()


def test_a_pool_that_is_closed_too_early_fails_its_machines() -> None:
    pager = Pager(PageStore.in_ram(4096), 19)
    with WorkerPool("fast", 2) as pool, Scheduler(pool, pager=pager, slice_ticks=100) as scheduler:
        vms = [scheduler.add(mix(seed), seed=seed) for seed in range(3)]
        scheduler.run(300)
        pool.close()
        scheduler.run()
        assert all(vm.stop is StopCause.FAILED and "worker pool is closed" in str(vm.error) for vm in vms)
    pager.close()


# ---- nothing stays behind ------------------------------------------------------------------------------------------


SCRIPT = """
import sys
from vac.assembler.assemble import assemble
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.worker_pool import WorkerPool
image = assemble(".frame 1\\n.local left\\nagain:  let left, 1000000\\nloop:   djnz left, loop\\n        jmp again\\n")
with WorkerPool("fast", 3) as pool, Scheduler(pool) as scheduler:
    for _ in range(9):
        scheduler.add(image)
    print(*(slot.pid for slot in pool.slots), flush=True)
    scheduler.run()
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_its_parent(sent: signal.Signals) -> None:
    segments = set(os.listdir("/dev/shm")) if Path("/dev/shm").is_dir() else set()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as parent:
        assert parent.stdout and parent.stderr
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert len(workers) == 3 and all(map(is_alive, workers))
        os.killpg(parent.pid, sent)  # as a terminal does
        said = parent.stderr.read()
    assert (b"KeyboardInterrupt" in said) == (sent is signal.SIGINT) and said.count(b"Traceback") <= 1
    while any(map(is_alive, workers)):
        time.sleep(0.01)
    if segments:
        assert set(os.listdir("/dev/shm")) <= segments


FRAGILE = """
import os, signal
from vac.assembler.assemble import assemble
from vac.scheduler.quota import StopCause
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.worker_pool import WorkerPool
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
with WorkerPool("golden", 1) as pool, Scheduler(pool) as scheduler:
    vm = scheduler.add(assemble("halt"))
    process = pool.slots[0].process
    os.kill(process.pid, signal.SIGKILL)
    process._process.wait()
    scheduler.run()
    print(vm.stop)
    scheduler.resume(vm)
    scheduler.run()
    print(vm.stop)
"""


def test_a_parent_in_which_sigpipe_is_deadly_outlives_its_workers() -> None:
    done = subprocess.run([sys.executable, "-c", FRAGILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "StopCause.WORKER\nStopCause.HALTED\n", "")


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1 << 18), max_size=5))
def test_messages_of_all_lengths_arrive_whole_and_in_order(sizes: list[int]) -> None:
    ends = socket.socketpair()
    here, there = map(MessageSocket, ends)
    messages = [(size, bytes([size & 0xFF]) * size) for size in sizes]
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(lambda: [here.send(message) for message in messages])
        assert [there.recv() for _ in messages] == messages
        sent.result()
    assert not there.poll()
    ends[0].send(b"\1\0\0")  # of a message that never comes
    assert there.poll()
    here.close()
    with pytest.raises(EOFError):
        there.recv()
    with pytest.raises(OSError, match="Broken pipe"):
        there.send("nobody")
    there.close()
    with pytest.raises(OSError, match="closed"):
        there.poll()


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
