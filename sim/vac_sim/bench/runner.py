"""Runs a job under cocotb in a process of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from vac_hdl.config import SIMULATION, CoreConfig

from ..toolchain import verilator_environment
from .build import build_bench
from .job import JOB_VARIABLE, Job, Result
from .wrapper import BENCH_NAME

_POLL_SECONDS = 0.1


class BenchFailed(Exception):
    """The simulator ended without a result; the message holds the end of its log."""


def run_bench(
    job: Job, config: CoreConfig = SIMULATION, on_progress: Callable[[Path], None] = lambda path: None
) -> Result:
    """Runs the job. on_progress: called now and then with the path of the progress file.

    Raises ToolMissing and BuildFailed as `build_bench` does, BenchFailed when the simulator breaks down.
    """
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in (job.result_path, job.progress_path):
        path.unlink(missing_ok=True)
    job_path, log = folder / "job.json", folder / "cocotb.log"
    job.save(job_path)
    build_dir = build_bench(config)
    os.environ.update(verilator_environment())
    failure: list[BaseException] = []

    def simulate() -> None:
        try:
            results = get_runner("verilator").test(
                hdl_toplevel=BENCH_NAME,
                hdl_toplevel_lang="verilog",
                test_module="vac_sim.bench.firmware_tests",
                build_dir=build_dir,
                test_dir=folder,
                results_xml=str(folder / "results.xml"),
                log_file=log,
                extra_env={JOB_VARIABLE: str(job_path), "COCOTB_ANSI_OUTPUT": "0"},
            )
            tests, failed = get_results(results)
            if tests != 1 or (failed and not job.result_path.exists()):
                failure.append(BenchFailed(f"{tests} tests ran, {failed} failed"))
        except (Exception, SystemExit) as error:
            failure.append(error)

    thread = threading.Thread(target=simulate, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        on_progress(job.progress_path)
    if failure or not job.result_path.exists():
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:]) if log.exists() else "(no log)"
        raise BenchFailed(f"the simulation gave no result: {failure[0] if failure else 'it ended early'}\n{tail}")
    return Result.load(job.result_path)
