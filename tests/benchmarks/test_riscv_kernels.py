"""The kernels' machine code: committed code fits the sources, and equals what the same compiler makes of them."""

import json
from pathlib import Path

import pytest
from benchmarks.workloads import WORKLOADS

from benchmarks import riscv_kernels


def test_committed_code_covers_every_kernel_and_fits_the_sources() -> None:
    committed = riscv_kernels.committed_kernels()
    assert set(committed.code) == {workload.name for workload in WORKLOADS}
    assert all(len(code) % 4 == 0 and len(code) > 0 for code in committed.code.values())


def test_committed_code_of_other_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = json.loads(riscv_kernels.COMMITTED.read_text())
    stored["sources_sha256"] = "0" * 64
    stale = tmp_path / "rv32i.json"
    stale.write_text(json.dumps(stored))
    monkeypatch.setattr(riscv_kernels, "COMMITTED", stale)
    with pytest.raises(riscv_kernels.KernelError, match=r"other kernel sources.*--write"):
        riscv_kernels.committed_kernels()


def test_the_same_compiler_makes_the_committed_code() -> None:
    compiler = riscv_kernels.find_compiler()
    committed = riscv_kernels.committed_kernels()
    if compiler is None:
        assert riscv_kernels.kernels() == committed
        return
    compiled = riscv_kernels.compile_kernels(compiler)
    if compiled.compiler == committed.compiler:
        assert compiled.code == committed.code


def test_a_missing_compiler_is_named() -> None:
    with pytest.raises(riscv_kernels.KernelError, match="no-such-gcc"):
        riscv_kernels.compile_kernels("no-such-gcc")
