"""LLVM assembly, line by line."""

from __future__ import annotations

CELLS = ", !alias.scope !11, !noalias !21"
REGISTERS = ", !alias.scope !12, !noalias !22"
GUEST = ", !alias.scope !13, !noalias !23"
METADATA = """\
!0 = distinct !{!0, !"vac"}
!1 = distinct !{!1, !0, !"cells"}
!2 = distinct !{!2, !0, !"registers"}
!3 = distinct !{!3, !0, !"guest"}
!11 = !{!1}
!12 = !{!2}
!13 = !{!3}
!21 = !{!2, !3}
!22 = !{!1, !3}
!23 = !{!1, !2}
!30 = !{!"branch_weights", i32 1000, i32 1}
!31 = !{!"branch_weights", i32 1, i32 1000}
"""
"""Cells, registers and guest memory never overlap. !30, !31: a way that is hardly ever not taken, or taken."""
LIKELY, UNLIKELY = ", !prof !30", ", !prof !31"


class Text:
    """Lines, fresh names for results and labels, and variables: stack slots that LLVM turns into values."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._count = 0

    def _line(self, text: str) -> None:
        self._lines.append(text)

    def _emit(self, text: str) -> str:
        name = self._name()
        self._lines.append(f"  {name} = {text}")
        return name

    def _name(self) -> str:
        self._count += 1
        return f"%t{self._count}"

    def _label(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _start(self, label: str) -> None:
        self._line(f"{label}:")

    def _jump(self, label: str) -> None:
        self._line(f"  br label %{label}")

    def _choose(self, truth: str, yes: str, no: str, weights: str = "") -> None:
        self._line(f"  br i1 {truth}, label %{yes}, label %{no}{weights}")

    def _require(self, truth: str, otherwise: str) -> None:
        """Goes on where this is so."""
        label = self._label("on")
        self._choose(truth, label, otherwise, LIKELY)
        self._start(label)

    def _get(self, variable: str, kind: str = "i32") -> str:
        return self._emit(f"load {kind}, ptr %{variable}")

    def _set(self, variable: str, value: str, kind: str = "i32") -> None:
        self._line(f"  store {kind} {value}, ptr %{variable}")

    def _at(self, base: str, offset: int) -> str:
        return self._emit(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base
