"""What bounds the time that compiling takes: LLVM's cannot be interrupted, and grows faster than what it is given."""

from __future__ import annotations

import pytest

from vac.assembler.assemble import assemble
from vac.fast.machine import FastMachine, Trace
from vac.jit import backend
from vac.jit.machine import JitMachine, Policy

LONGEST_TEXT = 200_000
LOOPS = "        li l1, 3\nk{index}: st8 l3, l4\n add3 l3, l3, l5\n ld8u l6, l7\n djnz l1, k{index}\n"
LOADS = "        andi l5, l6, 12\n ld32x l6, l5, l4\n"


@pytest.mark.parametrize("trace", [Trace.NOTHING, Trace.BEAMS], ids=lambda trace: trace.value)
@pytest.mark.parametrize(("part", "count"), [(LOOPS, 180), (LOADS, 500)], ids=["loops", "loads"])
def test_a_large_program_is_compiled_in_part(
    part: str, count: int, trace: Trace, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("VAC_CACHE_DIR", str(tmp_path))
    lengths: list[int] = []

    def counted(text: str) -> bytes:
        lengths.append(len(text))
        return compile_text(text)

    compile_text = backend.compile_text
    monkeypatch.setattr(backend, "compile_text", counted)
    body = "".join(part.format(index=index) for index in range(count))
    image = assemble(
        f".memory 8192\n.frame 15\n liw l0, 99\ntop: nop\n{body} addi l0, l0, -1\n bz l0, out\n jmp top\nout: halt\n"
    )
    machine, reference = JitMachine(trace, policy=Policy(samples=1)), FastMachine(trace)
    for each in (machine, reference):
        each.load(image)
        each.run(60_000)
    assert not reference.state().differences(machine.state())
    assert machine.compiled_ticks
    assert lengths and max(lengths) <= LONGEST_TEXT
