"""The compact core over time: the micro-op of each cycle, and what it works on."""

from __future__ import annotations

from vac_hdl.compact.micro_op import Action, Function, Operand, Prepared

from .diagram import LEAD, PLAIN, READ_WRITE, RETIRED, Column, TimingDiagram

_ACTION_COLOR, _FUNCTION_COLOR = "#dff3e4", "#cfe3f7"


class MicroprogramDiagram(TimingDiagram):
    row_count = 11

    def first_cycle(self) -> int:
        """Some cycles before the first stop for the host; 0 where none is."""
        for cycle in range(LEAD, self.cycles - 1):
            if self.is_stopped(cycle) and not self.is_stopped(cycle - 1):
                return cycle - LEAD
        return 0

    def is_stopped(self, cycle: int) -> bool:
        return bool(self.port("host_stopped", cycle))

    def draw_rows(self) -> None:
        self.row("instruction")
        self.instructions(lambda cycle: (not self.is_stopped(cycle), self.number("pc", cycle), True))
        self.blocks(self.is_stopped, self._stopped_text, lambda is_stopped: "#e6e8ec" if is_stopped else None)
        self.row("micro-op: function")
        self.blocks(self._function, self._text, lambda value: _FUNCTION_COLOR if value else None)
        self.row("of A and")
        self.blocks(self._operand, self._text, lambda value: _FUNCTION_COLOR if value else None)
        self.row("and beside it")
        self.blocks(self._action, self._text, lambda value: _ACTION_COLOR if value else None)
        self.gap()
        for label, signal in (("A", "a"), ("B", "b"), ("result", "result")):
            self.row(label)
            self.blocks(lambda cycle, signal=signal: self.number(signal, cycle), lambda value, _: f"{value:08x}",
                        lambda _: PLAIN)  # fmt: skip
        self.row("retired value")
        self.blocks(self.retired_value, lambda value, _: f"{value[1]:08x}", lambda value: RETIRED if value[0] else None)
        self.row("memory")
        self.blocks(self._own_access, lambda value, _: f"{value[0]} {value[1]:04x}",
                    lambda value: READ_WRITE if value[0] else None)  # fmt: skip
        for label, signal in (("retired", "retire_valid"), ("beam valid", "beam_valid")):
            self.row(label)
            self.level(lambda cycle, signal=signal: self.port(signal, cycle))

    @staticmethod
    def _stopped_text(_: bool, column: Column) -> str:
        return f"STOPPED · {column.count} cycles"

    def _function(self, cycle: int) -> tuple[str, int] | None:
        """Name and cycle: each micro-op is a box of its own."""
        return None if self.is_stopped(cycle) else (Function(self.number("micro.function", cycle)).name, cycle)

    def _operand(self, cycle: int) -> tuple[str, int] | None:
        uses = Function(self.number("micro.function", cycle)) is not Function.PASS_A
        operand = Operand(self.number("micro.y", cycle))
        name = operand.name
        if operand is Operand.PREPARED and cycle:
            name = Prepared(self.number("micro.prepares", cycle - 1)).name
        return (name, cycle) if uses and not self.is_stopped(cycle) else None

    def _action(self, cycle: int) -> tuple[str, int] | None:
        action = Action(self.number("micro.action", cycle))
        return None if self.is_stopped(cycle) or action is Action.NONE else (action.name, cycle)

    def _own_access(self, cycle: int) -> tuple[str, int, int]:
        return ("", 0, 0) if self.is_stopped(cycle) else self.bus_access(cycle)

    @staticmethod
    def _text(value: tuple[str, int], column: Column) -> str:
        return value[0].lower().replace("_", "\n")
