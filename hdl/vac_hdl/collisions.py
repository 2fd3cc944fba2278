"""Tells Yosys which memories are never read and written at one address in one cycle.

Yosys heeds the attribute `no_rw_check` of a memory only where it merges a register into an asynchronous read port.
Amaranth's read ports are clocked from the start, so that the attribute would be lost on them, and each would get
logic that keeps the old word. The parameter that it stands for is set here instead.
"""

import re

_MODULE = re.compile(r"^module .*?^end$", re.MULTILINE | re.DOTALL)
_MEMORY = re.compile(r"^  attribute \\no_rw_check 1\n(?:  attribute .*\n)*  memory .* (\S+)$", re.MULTILINE)
_READ_PORT = re.compile(r"^  cell \$memrd_v2 .*?^  end$", re.MULTILINE | re.DOTALL)
_MASK = re.compile(r"(parameter \\COLLISION_X_MASK \d+')([01]+)")


def release_collisions(design: str) -> str:
    """RTLIL text in which the clocked read ports of memories with `no_rw_check` may give anything on a collision.

    Ports that forward what is written (transparent ones) stay as they are.
    """

    def port(match: re.Match[str], names: set[str]) -> str:
        text = match.group()
        memory = re.search(r'parameter \\MEMID "\\(\\\S+)"', text)
        clocked = re.search(r"parameter \\CLK_ENABLE 1$", text, re.MULTILINE)
        forwards = re.search(r"parameter \\TRANSPARENCY_MASK \d+'[01]*1", text)
        if not memory or memory.group(1) not in names or not clocked or forwards:
            return text
        return _MASK.sub(lambda mask: mask.group(1) + "1" * len(mask.group(2)), text)

    def module(match: re.Match[str]) -> str:
        names = set(_MEMORY.findall(match.group()))
        return _READ_PORT.sub(lambda found: port(found, names), match.group()) if names else match.group()

    return _MODULE.sub(module, design)
