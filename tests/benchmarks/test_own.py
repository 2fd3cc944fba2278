"""VAC's kernels do the peers' work, and a kernel that computes something else is not measured."""

import struct
from dataclasses import replace

import pytest
from benchmarks.own import KernelFailed, _image, _load, _run
from benchmarks.workloads import WORKLOADS, Workload

from benchmarks import naive_loop
from vac.fast.machine import FastMachine, Trace


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_kernels_compute_what_the_workloads_say(workload: Workload) -> None:
    machine = FastMachine(Trace.NOTHING)
    _load(machine, _image(workload), workload)
    assert _run(machine, workload, "the fast engine") > 0
    wrong_value = replace(workload, result=workload.result ^ 1)
    _load(machine, _image(workload), workload)
    with pytest.raises(KernelFailed, match=f"{workload.name} on the fast engine: computed"):
        _run(machine, wrong_value, "the fast engine")
    _load(machine, _image(workload), workload)
    wrong_memory = replace(workload, check=lambda _: "memory differs")
    with pytest.raises(KernelFailed, match="memory differs"):
        _run(machine, wrong_memory, "the fast engine")


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_naive_loop_retires_what_the_machine_retires(workload: Workload) -> None:
    ticks = 150_000
    machine = FastMachine(Trace.BEAMS)
    _load(machine, _image(workload), workload)
    machine.run(ticks)
    records = struct.iter_unpack("<IBBHII", machine.drain_beams())
    stack, beams = naive_loop.run(_image(workload), workload, ticks)
    retired = [(pc, value) for pc, _, _, _, value, _ in records]
    assert [(beam["pc"], beam["payload"]) for beam in beams] == retired
    if beams[-1]["opcode"] == "halt":
        assert stack == [workload.result]
