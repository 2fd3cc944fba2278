"""Values that compiled code takes for constant: right answers where they change, and speed again after a while."""

from __future__ import annotations

from vac.assembler.assemble import assemble
from vac.fast.machine import Trace
from vac.golden.model import GoldenMachine
from vac.jit.machine import JitMachine, Policy

SOURCE = """
.frame 4
        li      l3, 0
more:
        addi    l3, l3, 1
        get3
        call    work, 4
        emit
        ltui    s, l3, 100
        bnz     s, more
        halt
work:
        set3
        liw     l0, {rounds}
        li      l1, 0
again:
        add3    l1, l1, l3
        xor3    l1, l1, l0
        djnz    l0, again
        get1
        ret
"""


def run_both(rounds: int, policy: Policy) -> JitMachine:
    image = assemble(SOURCE.format(rounds=rounds))
    machine, reference = JitMachine(Trace.DIGEST, policy=policy), GoldenMachine()
    for each in (machine, reference):
        each.load(image)
        each.run(1 << 40)
    assert not reference.state().differences(machine.state())
    return machine


def test_a_loop_whose_unchanging_local_differs_at_every_call() -> None:
    machine = run_both(400, Policy(first_span=64, cold_span=1 << 11, longest_span=1 << 11))
    assert machine.compiled_ticks > 30_000, "the values are no longer taken for constant"
