"""A peer core runs a kernel under Verilator and is believed only if it computed the right thing."""

from dataclasses import replace

import pytest
from benchmarks.peers import simulation
from benchmarks.peers.cores import PEERS, PeerMissing
from benchmarks.riscv_kernels import committed_kernels
from benchmarks.workloads import WORKLOADS

pytestmark = [pytest.mark.rtl, pytest.mark.slow]

_FIB = next(workload for workload in WORKLOADS if workload.name == "fib")
_COPY = next(workload for workload in WORKLOADS if workload.name == "copy")
_PICORV32 = next(core for core in PEERS if core.name == "picorv32 small")


def test_picorv32_takes_its_known_cycles_for_the_reference_instructions() -> None:
    executable = simulation.build(_PICORV32, count_retired=True)
    ran = simulation.run(executable, "picorv32", _FIB, committed_kernels().code["fib"])
    assert ran.retired == _FIB.reference_instructions
    assert ran.retired is not None
    # Its documentation gives 3 cycles for register operations and branches not taken, 5 for those taken, with a
    # memory that is always ready; each fetch waits one cycle more here.
    assert 4.0 < ran.cycles / ran.retired < 5.0


def test_wrong_results_are_refused() -> None:
    executable = simulation.build(_PICORV32, count_retired=True)
    code = committed_kernels().code
    with pytest.raises(simulation.PeerFailed, match="computed"):
        simulation.run(executable, "picorv32", _FIB, code["copy"])
    # The right value returned over wrong memory is wrong too.
    idle = replace(_COPY, result=_FIB.result)
    with pytest.raises(simulation.PeerFailed, match="differ from their source"):
        simulation.run(executable, "picorv32", idle, code["fib"])


def test_a_missing_package_is_named() -> None:
    with pytest.raises(PeerMissing, match="no-such-cpu is not installed"):
        replace(_PICORV32, package="no_such_cpu").core_sources()
