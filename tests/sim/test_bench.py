"""The cocotb bench: the same harness in the simulator's own loop, cycle for cycle what the engine does."""

from __future__ import annotations

from pathlib import Path

import pytest

from vac.host.session import Host
from vac.image.image import Image
from vac_hdl.config import SIMULATION
from vac_hdl.simulation_top import SimulationTop, core_verilog
from vac_sim.bench.job import Job
from vac_sim.bench.runner import BenchFailed, run_bench
from vac_sim.bench.wrapper import bench_verilog, ports_of
from vac_sim.disturbance import Disturbance
from vac_sim.lockstep import LockstepMachine
from vac_sim.reference import RecordingGolden

pytestmark = pytest.mark.rtl


@pytest.fixture
def job(summing: Image, tmp_path: Path) -> Job:
    summing.save(tmp_path / "program.vacimg")
    disturbance = Disturbance(seed=9, resident_leaves=4, evict_256=50, ready_256=120, stall_256=30, delay_cycles=9)
    return Job(str(tmp_path / "program.vacimg"), "", "golden", 100_000, str(tmp_path / "out"), disturbance)


def test_the_bench_runs_the_program_cycle_for_cycle_as_the_engine_does(job: Job, summing: Image) -> None:
    result = run_bench(job)
    machine = LockstepMachine(RecordingGolden(), job.disturbance)
    Host(machine, summing).run(65536)
    state = machine.state()
    assert result.stop == "HALTED"
    assert result.mismatch == ""
    assert result.ticks == result.counts["compared"] == state.tick
    assert result.rtl_digest == result.reference_digest == state.digest
    assert result.cycles == machine.rtl.cycles
    assert result.stack == state.data_stack
    assert job.beams_path.read_bytes() == machine.drain_beams()
    assert "tests=1" in (Path(job.folder) / "results.xml").read_text() or (Path(job.folder) / "results.xml").exists()


def test_a_bench_without_result_says_why(job: Job) -> None:
    Path(job.program).write_bytes(b"not an image")
    with pytest.raises(BenchFailed, match="not a VAC image"):
        run_bench(job)


def test_the_wrapper_connects_every_port() -> None:
    verilog = core_verilog(SIMULATION)
    ports = ports_of(verilog)
    top = SimulationTop(SIMULATION)
    top._MustUse__silence = True
    top.core._MustUse__silence = True
    assert {port.name for port in ports} == set(top.signature.members) - {"clk"}
    text = bench_verilog(ports)
    assert all(f".{port.name}({port.name})" in text for port in ports)
