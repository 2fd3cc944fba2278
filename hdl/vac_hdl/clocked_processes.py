"""Moves what computes a register's next value into the clocked process of the register, for simulators.

Yosys writes a register that Amaranth assigns under conditions as two processes: one without a clock, which begins with
the register's present value and assigns a next value on top of it, and a clocked one that takes the next value over. A
simulator runs both in every cycle, copies included, although most registers of a pipeline mostly keep what they hold.
As one process nothing is done where no condition holds: the Verilated core runs a third faster so.
"""

from __future__ import annotations

import re
from collections import Counter

_NEXT = r"\\\$\d+ "
"""A name that Yosys made up, with the blank that ends an escaped identifier (IEEE 1364-2005, 3.7.1)."""
_COMBINATIONAL = re.compile(
    r"^  always @\* begin\n"
    r"    if \(\\\$auto\$verilog_backend[^\n]*\) begin end\n"  # there to be evaluated once at the start
    rf"    (?P<next>{_NEXT}) = (?P<default>[^\n]+?);\n"
    r"(?P<body>.*?)"
    r"^  end\n",
    re.DOTALL | re.MULTILINE,
)
_CLOCKED = re.compile(
    rf"^  always @\(posedge (?P<clock>[^)\n]+)\)\n    (?P<register>[^<\n]+) <= (?P<next>{_NEXT});\n", re.MULTILINE
)
_ASSIGNMENT = re.compile(r"^(?P<indent> *)(?P<target>\S+ ?(?:\[[^]]*\])?) += (?P<value>[^\n]+;)$", re.MULTILINE)


def with_clocked_processes(verilog: str) -> str:
    """The same design; processes of other forms than the above stay as they are.

    verilog: as Amaranth's back end writes it. A next value that anything but its register reads keeps its process.
    """
    takers: dict[str, list[re.Match[str]]] = {}
    for clocked in _CLOCKED.finditer(verilog):
        takers.setdefault(clocked["next"], []).append(clocked)
    mentions = Counter(re.findall(_NEXT, verilog))
    moved: list[str] = []

    def clocked_process(combinational: re.Match[str]) -> str:
        name, body = combinational["next"], combinational["body"]
        taking = takers.get(name, [])
        assignments = list(_ASSIGNMENT.finditer(body))
        inside = 1 + sum(assignment["target"].startswith(name) for assignment in assignments)
        # Besides: the declaration, and the clocked process. More would be a reader.
        if len(taking) != 1 or inside != len(assignments) + 1 or mentions[name] != inside + 2:
            return combinational[0]
        clock, register = taking[0]["clock"], taking[0]["register"]
        moved.append(name)

        def delayed(assignment: re.Match[str]) -> str:
            part = assignment["target"].removeprefix(name)
            return f"{assignment['indent']}{register}{part} <= {assignment['value']}"

        default = combinational["default"]
        keeps = default.strip() == register.strip()
        first = "" if keeps else f"    {register} <= {default};\n"
        return f"  always @(posedge {clock}) begin\n{first}{_ASSIGNMENT.sub(delayed, body)}  end\n"

    result = _COMBINATIONAL.sub(clocked_process, verilog)
    gone = set(moved)
    result = _CLOCKED.sub(lambda clocked: "" if clocked["next"] in gone else clocked[0], result)
    declaration = re.compile(rf"^  reg (?:\[[^]]*\] )?(?P<next>{_NEXT});\n", re.MULTILINE)
    return declaration.sub(lambda found: "" if found["next"] in gone else found[0], result)
