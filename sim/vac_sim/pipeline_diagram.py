"""The pipelined core over time: what each stage holds, cycle by cycle."""

from __future__ import annotations

from vac.isa.state_map import FaultKind, StopCode
from vac_hdl.pipeline import Mode

from .decoding import STAGES
from .diagram import FAULT, LEAD, PLAIN, READ_WRITE, RETIRED, Column, TimingDiagram

_MODE_COLORS = {
    Mode.RUN: "#dff3e4",
    Mode.DRAIN: "#ffe9c2",
    Mode.STOPPED: "#e6e8ec",
    Mode.RESTART: "#fff6c9",
}


class PipelineDiagram(TimingDiagram):
    row_count = len(STAGES) + 9

    def first_cycle(self) -> int:
        """Some cycles before the first walk that misses; 0 where none is."""
        for cycle in range(LEAD, self.cycles - 1):
            if self.number("mode", cycle) == Mode.WALK.value and self.number("m_valid", cycle - 1):
                return cycle - LEAD
        return 0

    def is_stopped(self, cycle: int) -> bool:
        return self.number("mode", cycle) == Mode.STOPPED.value

    def draw_rows(self) -> None:
        self.row("mode")
        self.blocks(lambda cycle: self.number("mode", cycle), self._mode_text, self._mode_color)
        for stage, label in STAGES.items():
            self.row(label)
            self._stage(stage)
        self.gap()
        self.row("pc")
        self.blocks(lambda cycle: self.number("pc", cycle), lambda value, _: f"{value:06x}", lambda _: PLAIN)
        self.row("data stack depth")
        self.blocks(lambda cycle: self.number("sp", cycle), lambda value, _: f"{value}", lambda _: PLAIN)
        self.row("retired value")
        self.blocks(self.retired_value, lambda value, _: f"{value[1]:08x}", lambda value: RETIRED if value[0] else None)
        self.row("data bus")
        self.blocks(self._own_access, lambda value, _: f"{value[0]} {value[1]:04x}",
                    lambda value: READ_WRITE if value[0] else None)  # fmt: skip
        for label, signal in (("retired", "retire_valid"), ("beam valid", "beam_valid")):
            self.row(label)
            self.level(lambda cycle, signal=signal: self.port(signal, cycle))
        self.row("page fault")
        self.level(self._is_fault, FAULT)

    def _stage(self, stage: str) -> None:
        def held(cycle: int) -> tuple[int, int, bool]:
            is_running = self.number("mode", cycle) == Mode.RUN.value
            return self.number(f"{stage}_valid", cycle), self.number(f"{stage}_pc", cycle), is_running

        self.instructions(held)

    def _own_access(self, cycle: int) -> tuple[str, int, int]:
        """The core's own accesses; while it does not run, the bus is its host's."""
        return self.bus_access(cycle) if self.number("mode", cycle) == Mode.RUN.value else ("", 0, 0)

    def _is_fault(self, cycle: int) -> int:
        mode = self.number("mode", cycle)
        is_page = self.number("stop_code", cycle) == StopCode.PAGE.value
        is_walking = mode not in {known.value for known in _MODE_COLORS}
        return int(is_walking or (is_page and mode in (Mode.DRAIN.value, Mode.STOPPED.value)))

    def _mode_text(self, value: int, column: Column) -> str:
        name = Mode(value).name if value in {mode.value for mode in Mode} else str(value)
        if column.count == 1:
            return name
        last = column.cycle + column.count - 1
        if self.number("stop_code", last) != StopCode.PAGE.value:
            return f"STOPPED · {column.count} cycles"
        kind = FaultKind(self.number("fault_kind", last)).name.lower().replace("_", " ")
        slot, leaf = self.number("fault_slot", last), self.number("fault_leaf", last)
        return f"STOPPED {column.count} cycles\nleaf {leaf}, slot {slot}: {kind}"

    @staticmethod
    def _mode_color(value: int) -> str:
        return next((color for mode, color in _MODE_COLORS.items() if mode.value == value), "#ffd0c7")
