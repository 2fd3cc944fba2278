"""Compiled code is kept for the next process, damaged files are not believed, and a missing LLVM is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vac.assembler.assemble import assemble
from vac.engines.registry import EngineError, create_machine
from vac.fast import abi
from vac.fast.compiler import FAST
from vac.fast.machine import FastMachine, Trace
from vac.isa.limits import CODE_SLOT
from vac.jit import backend, compilation
from vac.jit.region import Code, Region, find_region

SOURCE = ".frame 2\nliw l0, 1000\nagain: addi l1, l1, 3; djnz l0, again; halt\n"


def region_of(source: str) -> Region:
    image = assemble(source)
    machine = FastMachine(Trace.NOTHING)
    machine.load(image)
    code = Code(image.code_length, lambda number: machine.read_leaf(CODE_SLOT, number).data)
    return find_region(code, image.entry, image.frame)


@pytest.fixture
def compiled_texts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What LLVM is asked to compile, with an empty cache on disk and none in the process."""
    abi.library(FAST)  # built in its usual place
    texts: list[str] = []
    really = backend.compile_text

    def compile_text(text: str) -> bytes:
        texts.append(text)
        return really(text)

    monkeypatch.setenv("VAC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(backend, "compile_text", compile_text)
    monkeypatch.setattr(compilation, "_compiled", {})
    return texts


def test_the_same_region_is_compiled_once(compiled_texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = compilation.compile_region(region_of(SOURCE), traced=False)
    assert compilation.compile_region(region_of(SOURCE), traced=False) == first
    monkeypatch.setattr(compilation, "_compiled", {})  # as in the next process
    again = compilation.compile_region(region_of(SOURCE), traced=False)
    assert (again.needs, again.room, again.least) == (first.needs, first.room, first.least)
    assert len(compiled_texts) == 1
    compilation.compile_region(region_of(SOURCE), traced=True)
    compilation.compile_region(region_of(SOURCE.replace("3;", "4;")), traced=False)
    assert len(compiled_texts) == 3


def test_a_damaged_file_is_compiled_anew(
    compiled_texts: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compilation.compile_region(region_of(SOURCE), traced=False)
    (kept,) = (tmp_path / "jit").iterdir()
    kept.write_bytes(kept.read_bytes()[:-9] + b"something")
    monkeypatch.setattr(compilation, "_compiled", {})
    compilation.compile_region(region_of(SOURCE), traced=False)
    assert len(compiled_texts) == 2


def test_constants_are_part_of_the_key() -> None:
    region, other = region_of(SOURCE), region_of(SOURCE)
    other.constants = {1: 7}
    assert compilation.key_of(region, False) != compilation.key_of(other, False)


def test_without_llvm_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    backend._llvm.cache_clear()
    try:
        with pytest.raises(EngineError, match=r"pip install 'vac\[jit\]'"):
            create_machine("jit")
    finally:
        monkeypatch.undo()
        backend._llvm.cache_clear()
