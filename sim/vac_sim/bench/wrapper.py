"""The bench's top level and its C side, written from the port list of the simulated core."""

from __future__ import annotations

import re
from typing import NamedTuple

from vac_hdl.simulation_top import TOP_NAME

BENCH_NAME = "vac_bench"
_WORD_BITS = 32
_TOP_MODULE = re.compile(rf"^module {TOP_NAME}\(.*?^endmodule", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"^  (?P<direction>input|output) (?:\[(?P<high>\d+):0\] )?(?P<name>\w+);", re.MULTILINE)


class Port(NamedTuple):
    """A port of the core. width: in bits."""

    name: str
    is_input: bool
    width: int


def ports_of(verilog: str) -> list[Port]:
    """Ports of the simulated core, from its Verilog; the clock left out."""
    module = _TOP_MODULE.search(verilog)
    if module is None:
        raise ValueError(f"no module {TOP_NAME} in the Verilog of the core")
    found = [
        Port(port["name"], port["direction"] == "input", int(port["high"] or 0) + 1)
        for port in _PORT.finditer(module.group())
    ]
    return [port for port in found if port.name != "clk"]


def bench_verilog(ports: list[Port]) -> str:
    """SystemVerilog of the bench: clock, core, and one call into C for each cycle."""
    declarations, imported, passed, connected = [], [], [], [".clk(clk)"]
    for name, is_input, width in ports:
        kind = "int unsigned" if width <= _WORD_BITS else f"bit [{width - 1}:0]"
        imported.append(f"{'output' if is_input else 'input'} {kind} {name}")
        connected.append(f".{name}({name})")
        if is_input:
            declarations += [f"  logic [{width - 1}:0] {name} = 0;", f"  int unsigned next_{name};"]
            passed.append(f"next_{name}")
        else:
            declarations.append(f"  wire [{width - 1}:0] {name};")
            passed.append(name if width > _WORD_BITS else f"32'({name})")
    assigned = [f"    {name} = next_{name}[{width - 1}:0];" for name, is_input, width in ports if is_input]
    return "\n".join(
        [
            "`timescale 1ns / 1ps",
            f"module {BENCH_NAME};",
            "  logic clk = 0;",
            "  logic done /* verilator public_flat_rd */ = 0;",
            "  int unsigned next_done;",
            *declarations,
            f'  import "DPI-C" function void bench_step({", ".join([*imported, "output int unsigned done"])});',
            f"  {TOP_NAME} core({', '.join(connected)});",
            "  always begin",
            f"    bench_step({', '.join([*passed, 'next_done'])});",
            *assigned,
            "    done = next_done[0];",
            "    #5 clk = 1;",
            "    #5 clk = 0;",
            "  end",
            "endmodule",
            "",
        ]
    )


def bench_pins_header(ports: list[Port]) -> str:
    """C++ struct of the core's pins."""
    lines = ["// Generated from the ports of the simulated core.", "#pragma once", "#include <cstdint>"]
    lines.append("struct BenchPins {")
    for name, _, width in ports:
        words = (width + _WORD_BITS - 1) // _WORD_BITS
        lines.append(f"    uint32_t {name}{f'[{words}]' if words > 1 else ''} = {'{}' if words > 1 else '0'};")
    return "\n".join([*lines, "};", ""])


def bench_step_source(ports: list[Port]) -> str:
    """C++ of the function that the bench calls once a cycle."""
    arguments, taken, given = [], [], []
    for name, is_input, width in ports:
        if is_input:
            arguments.append(f"unsigned* {name}")
            given.append(f"    *{name} = pins.{name};")
        elif width <= _WORD_BITS:
            arguments.append(f"unsigned {name}")
            taken.append(f"    pins.{name} = {name};")
        else:
            arguments.append(f"const svBitVecVal* {name}")
            taken.append(f"    std::memcpy(pins.{name}, {name}, sizeof pins.{name});")
    return "\n".join(
        [
            "// Generated from the ports of the simulated core.",
            "#include <cstring>",
            '#include "Vtop__Dpi.h"',
            '#include "bench_core.h"',
            "void bench_switch();",
            "bool bench_done();",
            f'extern "C" void bench_step({", ".join([*arguments, "unsigned* done"])}) {{',
            "    BenchPins& pins = ClockedCore::pins();",
            *taken,
            "    bench_switch();",
            *given,
            "    *done = bench_done();",
            "}",
            "",
        ]
    )
