"""cocotb tests: firmware on the RTL, in lockstep with a reference, fed by the host's devices."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cocotb
from cocotb.task import bridge

from vac.image.image import Image
from vac.machine.protocol import StopReason
from vac.package.package import Package
from vac.recording.program import PACKAGE_FILE, Program

from ..lockstep import LockstepMachine
from ..mismatch import LockstepMismatch
from ..reference import create_reference
from .job import JOB_VARIABLE, Job, Result, write_json
from .library import BenchLibrary

_REPORT_TICKS = 1 << 16
"""The host looks up after this many ticks: progress is written and beams go to their file."""


@cocotb.test()
async def runs_in_lockstep(dut: Any) -> None:
    """The job's program until it halts; every retired instruction compared."""
    job = Job.load(Path(os.environ[JOB_VARIABLE]))
    await bridge(run_job)(job)


def run_job(job: Job) -> None:
    """Runs the job, writes its result, and raises LockstepMismatch when there was one."""
    machine = LockstepMachine(create_reference(job.reference), job.disturbance, library=BenchLibrary())
    output: list[bytes] = []
    content = Path(job.input).read_bytes() if job.input else b""
    path = Path(job.program)
    package = Package.open(path) if path.name == PACKAGE_FILE else None
    image = package.image if package else Image.load(path)
    host = Program(image, package, source=content, sink=output.append).host(machine)
    began = time.process_time()
    mismatch: LockstepMismatch | None = None
    stop = "mismatch"
    with job.beams_path.open("wb") as beams:
        try:
            while True:
                reached = host.run(min(machine.counts.compared + _REPORT_TICKS, job.max_ticks))
                beams.write(machine.drain_beams())
                stop = reached.reason.name
                write_json(job.progress_path, {"ticks": machine.counts.compared, "output": sum(map(len, output))})
                if reached.reason is not StopReason.TICK or machine.counts.compared >= job.max_ticks:
                    break
            state = machine.state()
        except LockstepMismatch as error:
            mismatch = error
            state = machine.reference.state()
    seconds = time.process_time() - began
    if machine.case:
        machine.case.save(job.case_path)
    Result(
        stop=stop,
        trap=state.trap.name,
        ticks=state.tick,
        cycles=machine.rtl.cycles,
        seconds=seconds,
        reference_digest=state.digest or 0,
        rtl_digest=machine.rtl.state().digest or 0,
        sqi={**asdict(state.sqi), "score": state.sqi.score},
        counts=asdict(machine.counts),
        output=b"".join(output).decode("latin-1"),
        stack=state.data_stack,
        denials=host.denials,
        mismatch=str(mismatch.save(Path(job.folder))) if mismatch else "",
    ).save(job.result_path)
    if mismatch:
        raise mismatch
