"""A VirtualCPU program, run: at full speed, or an instruction at a time with a beam for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..contracts.cpu_instruction import CpuInstruction
from ..devices.console import ByteSource, Console
from ..engines.registry import create_machine
from ..host.session import Host
from ..image.image import Window
from ..isa.limits import CELL_BITS, DATA_STACK_CELLS
from ..isa.traps import Trap
from ..machine.state import State, Status
from .operations import FRAME
from .program import MEMORY_CELLS, REGISTERS
from .translation import Translation

NEVER = (1 << 64) - 1


class VirtualCpuError(Exception):
    """The program trapped, or it did not end within the limit."""


class VirtualCpu:
    """translation: the program. sink: gets what it prints. container_id: in its beams. host_options: of `Host`.

    With `run` there are no beams (compatibility mode); `steps` gives one for each instruction.
    """

    def __init__(
        self,
        translation: Translation,
        *,
        sink: Callable[[bytes], object] = lambda data: None,
        source: ByteSource | bytes = b"",
        engine: str = "fast",
        container_id: str = "virtual_cpu",
        **host_options: Any,
    ) -> None:
        self.translation = translation
        self.container_id = container_id
        machine = create_machine(engine, keeps_beams=False)  # those of the machine; `steps` makes its own
        self.host = Host(machine, translation.image, console=Console(source, sink), **host_options)

    @property
    def registers(self) -> dict[str, int]:
        """R0 to R15, signed."""
        return _registers(self.host.machine.state())

    def memory(self, cell: int) -> int:
        """A cell of memory, 0 to 65535, signed. Raises IndexError."""
        if not 0 <= cell < MEMORY_CELLS:
            raise IndexError(f"there is no cell {cell}; memory has {MEMORY_CELLS:,}")
        window: Window = self.translation.image.windows[0][1]
        return int.from_bytes(self.host.memory.read(window.slot, window.base + 4 * cell, 4), "little", signed=True)

    def run(self, max_ticks: int = NEVER) -> None:
        """To the end. Raises VirtualCpuError where it traps, or has not ended after so many ticks of the machine."""
        self.host.run(max_ticks)
        self._check(self.host.machine.state())

    def steps(self, max_instructions: int = NEVER) -> Iterator[CpuInstruction]:
        """Runs, and gives the beam of each instruction once that is done. Raises VirtualCpuError as `run` does."""
        starts, instructions = self.translation.starts, self.translation.program.instructions
        state = self.host.machine.state()
        for _ in range(max_instructions):
            index = starts.get(state.pc)
            if state.status is not Status.RUNNING or index is None:
                break
            state = self._next_start(state)
            if state.status is Status.TRAPPED:
                break
            instruction = instructions[index]
            yield CpuInstruction(
                operation=instruction.operation,
                args=[str(operand) for operand in instruction.operands],
                container_id=self.container_id,
                registers=dict(_registers(state)),
                ip=index,
            )
        if state.status is Status.RUNNING and starts.get(state.pc) is None:
            self.host.run(NEVER)  # beyond the last instruction: the program ends by itself
            state = self.host.machine.state()
        self._check(state)

    def _next_start(self, state: State) -> State:
        """Where the next instruction begins, or it is over. A routine's frame lies above that of the program."""
        while True:
            self.host.run(state.tick + 1)
            state = self.host.machine.state()
            if state.status is not Status.RUNNING:
                return state
            if state.fp == 0 and (state.pc in self.translation.starts or state.pc == self.translation.end):
                return state

    def _is_at_end(self, state: State) -> bool:
        return (
            state.pc
            == self.translation.assembly.symbols[f"virtual_cpu.label.{len(self.translation.program.instructions)}"]
        )

    def _check(self, state: State) -> None:
        if state.status is Status.HALTED:
            return
        place = self.translation.assembly.location(state.pc)
        where = f"{place[0]}:{place[1]}" if place else f"pc {state.pc:#x}"
        if state.status is Status.TRAPPED:
            raise VirtualCpuError(f"{where}: trapped: {_IN_WORDS.get(state.trap, state.trap.name)}")
        raise VirtualCpuError(f"{where}: not at an end after {state.tick:,} ticks")


_IN_WORDS = {
    Trap.DIVISION_BY_ZERO: "division by zero",
    Trap.BOUNDS: "beyond memory",
    Trap.PERMISSION: "beyond memory",
    Trap.STACK_UNDERFLOW: "POP or RET with nothing on the stack",
    Trap.STACK_OVERFLOW: "too much on the stack",
}


def _registers(state: State) -> dict[str, int]:
    frame = state.cells[DATA_STACK_CELLS : DATA_STACK_CELLS + FRAME]
    sign = 1 << CELL_BITS - 1
    return {f"R{number}": (frame[number] ^ sign) - sign for number in range(REGISTERS)}
