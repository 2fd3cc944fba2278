"""Peer cores under Verilator: build once, run a kernel, check what it computed."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.peers.cores import PeerCore
from benchmarks.progress import step
from benchmarks.workloads import DATA_BYTES, Workload
from vac_sim.toolchain import verilator_binary, verilator_environment

CACHE_FOLDER = Path(__file__).resolve().parents[2] / "build" / "peers"

_HARNESS = Path(__file__).resolve().parent / "harness.cpp"
_DATA_ADDRESS = 65536
_CYCLE_LIMIT = 1_000_000_000

# Speed matters more here than four-valued faithfulness: wrappers and cores reset what they read.
_OPTIONS = (
    *("--cc", "--exe", "--build", "--flatten", "--prefix", "Vpeer", "--top-module", "peer_top", "-O3", "--no-timing"),
    *("--x-assign", "fast", "--x-initial", "fast", "-MAKEFLAGS", "OPT_FAST=-O3"),
    # The cores' own style is not ours to judge.
    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
)


class PeerFailed(RuntimeError):
    """A peer core could not be built, did not halt, or computed something else than the kernel's result."""


@dataclass(frozen=True)
class PeerRun:
    """One checked run of a kernel on a peer.

    Attributes
    ----------
    cycles: clock cycles from the end of reset to the store that ends the run
    retired: instructions retired, that store included; None where the model does not report them
    cpu_seconds: processor time of the simulation
    """

    cycles: int
    retired: int | None
    cpu_seconds: float


def build(core: PeerCore, *, count_retired: bool = False) -> Path:
    """Executable of a core with 128 KiB of memory, built once per content of its sources.

    Raises
    ------
    PeerFailed: Verilator or the C++ compiler refused
    PeerMissing, ToolMissing: a package or a tool is not there
    """
    sources = core.sources()
    verilator = verilator_binary()
    options = [*_OPTIONS, "-GWORDS=32768", *(f"-G{name}={value}" for name, value in core.parameters.items())]
    options += [f"+define+{macro}" for macro in core.defines]
    if count_retired:
        options += ["+define+RISCV_FORMAL", "-CFLAGS", "-DCOUNT_RETIRED"]

    key = hashlib.sha256("\0".join([*options, metadata.version("verilator")]).encode())
    for source in (_HARNESS, *sources):
        key.update(hashlib.sha256(source.read_bytes()).digest())
    executable = CACHE_FOLDER / key.hexdigest()[:24] / "Vpeer"
    if executable.is_file():
        return executable

    CACHE_FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=CACHE_FOLDER, prefix="building-"))
    try:
        command = [str(verilator), *options, "--Mdir", str(folder), str(_HARNESS), *map(str, sources)]
        with step(f"{core.name}: Verilator and C++ compiler"):
            done = subprocess.run(command, env=verilator_environment(), capture_output=True, text=True)
        if done.returncode:
            errors = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
            raise PeerFailed(f"{core.name}: build failed (exit {done.returncode})\n" + "\n".join(errors[:12]))
        executable.parent.mkdir(exist_ok=True)
        os.replace(folder / "Vpeer", executable)
    finally:
        shutil.rmtree(folder)
    return executable


def run(executable: Path, name: str, workload: Workload, code: bytes) -> PeerRun:
    """Run one kernel to its end and check its result and the memory that it leaves.

    Raises
    ------
    PeerFailed: the core does not halt, or what it computed is wrong
    """
    if len(code) > _DATA_ADDRESS:
        raise PeerFailed(f"{workload.name}: code of {len(code)} bytes reaches into the data at {_DATA_ADDRESS}")
    label = f"{name} {workload.name}"
    with tempfile.TemporaryDirectory() as scratch:
        before, after = Path(scratch) / "before", Path(scratch) / "after"
        before.write_bytes(code.ljust(_DATA_ADDRESS, b"\0") + workload.data)
        # A fresh copy lies in other physical pages. Where a model's code lies there makes the same bytes run up to
        # twice as fast or slow, for as long as the file stays cached; this way every run draws anew.
        program = shutil.copy(executable, scratch)
        command = [program, str(before), str(_CYCLE_LIMIT), str(after), label]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise PeerFailed(f"{label}: the simulation ended with exit {done.returncode}; its message is above")
        memory = after.read_bytes()
    report = json.loads(done.stdout)
    if report["result"] != workload.result:
        raise PeerFailed(f"{label}: computed {report['result']:#010x} where {workload.result:#010x} is right")
    wrong = workload.check(memory[_DATA_ADDRESS : _DATA_ADDRESS + DATA_BYTES])
    if wrong:
        raise PeerFailed(f"{label}: {wrong}")
    retired = report["retired"] if report["retired"] >= 0 else None
    return PeerRun(report["cycles"], retired, report["cpu_seconds"])
