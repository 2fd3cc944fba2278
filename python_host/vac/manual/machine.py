"""The chapters on everything but instructions: limits, traps, registers, devices, system calls, beams, digest, SQI."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from types import ModuleType

from ..devices import clock, console, entropy, storage
from ..host import capabilities, system_calls
from ..isa import beam, digest, limits, ports, sqi, traps
from .attribute_docs import assignments, attribute_docs
from .instructions import table

_HEXADECIMAL_FROM = 256


def _number(value: int) -> str:
    return str(value) if value < _HEXADECIMAL_FROM else f"{value} ({value:#x})"


def _constants(module: ModuleType) -> Iterator[str]:
    docs = attribute_docs(module)
    rows: list[tuple[str, ...]] = []
    for name in assignments(module):
        value = getattr(module, name)
        if isinstance(value, int):
            rows.append((f"`{name}`", _number(value), docs.get(name, "")))
    yield from table(("name", "value", "meaning"), rows)


def _members(enumeration: type[IntEnum] | type[IntFlag], number: str) -> Iterator[str]:
    docs = attribute_docs(enumeration)
    rows = [(str(member.value), f"`{member.name}`", docs.get(member.name or "", "")) for member in enumeration]
    yield from table((number, "name", "meaning"), rows)


def _said(thing: object) -> Iterator[str]:
    """A docstring as paragraphs."""
    yield from (inspect.getdoc(thing) or "").splitlines()


def before_instructions() -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield from _constants(limits)
    yield ""
    yield "## Traps"
    yield ""
    yield from _said(traps.Trap)
    yield ""
    yield from _members(traps.Trap, "number")
    yield ""
    yield "Any instruction can end in CODE_BOUNDS; the entries below name the others that they can end in."
    yield ""


def after_instructions() -> Iterator[str]:
    yield from _registers()
    yield from _devices()
    yield from _system_calls()
    yield from _beams()
    yield from _quality()


def _registers() -> Iterator[str]:
    yield "## Core registers"
    yield ""
    yield from _said(ports.CoreRegister)
    yield ""
    yield from _members(ports.CoreRegister, "`rd`")
    yield ""


def _devices() -> Iterator[str]:
    yield "## Devices"
    yield ""
    yield from _said(ports.Device)
    yield ""
    yield from table(("address", "device"), [(f"0x{device.value:02x}", device.name.lower()) for device in ports.Device])
    yield ""
    for module in (console, clock, storage):
        yield from _said(module)
        yield ""


def _system_calls() -> Iterator[str]:
    yield "## System calls"
    yield ""
    yield from _said(ports.SystemCall)
    yield ""
    rows: list[tuple[str, ...]] = []
    for call in ports.SYSTEM_CALLS:
        cone = [name for name, moves in (("in", call.takes_input), ("out", call.lets_output)) if moves]
        arguments = " ".join(f"`{name}`" for name in call.arguments) or "none"
        rows.append((str(call.number), f"`{call.name}`", arguments, " ".join(cone), call.doc))
    yield from table(("`sys`", "name", "arguments", "LightCone", "what it does"), rows)
    yield ""
    yield from _said(system_calls)
    yield ""
    yield "Capabilities:"
    yield ""
    docs = attribute_docs(capabilities.Capability)
    yield from table(
        ("capability", "what it grants", "by default"),
        [
            (f"`{c.name}`", docs.get(c.name or "", "The device."), "yes" if c in capabilities.DEFAULT else "")
            for c in capabilities.Capability
        ],
    )
    yield ""
    yield from _said(entropy)
    yield ""


def _beams() -> Iterator[str]:
    yield "## Beams"
    yield ""
    yield from _said(beam)
    yield ""
    rows: list[tuple[str, ...]] = []
    low = 0
    for name, width in beam.BEAM_FIELDS:
        rows.append((f"{low} to {low + width - 1}", str(low // 8), f"`{name}`", f"u{width}"))
        low += width
    yield from table(("bits", "byte", "field", "type"), rows)
    yield ""
    yield from (inspect.getdoc(beam.Beam) or "").splitlines()
    yield ""
    yield "Flags:"
    yield ""
    yield from _members(beam.BeamFlag, "bit value")
    yield ""
    yield "## Digest"
    yield ""
    yield from _said(digest)
    yield ""


def _quality() -> Iterator[str]:
    yield "## Symbolic Quality Index"
    yield ""
    yield from _said(sqi)
    yield ""
    yield from _constants(sqi)
    yield ""
    yield from _said(sqi.Sqi)
    yield ""
    for method in (sqi.Sqi.branch, sqi.Sqi.emit, sqi.Sqi.refuse, sqi.history_index):
        text = " ".join((inspect.getdoc(method) or "").split())
        yield f"- `{method.__name__}`: {text}"
    yield ""
    text = " ".join((inspect.getdoc(sqi.Sqi.fold) or "").split())
    yield f"`fold`: {text} Exactly:"
    yield ""
    yield "```python"
    yield from _body(sqi.Sqi.fold)
    yield "```"
    yield ""
    score = sqi.Sqi.score.fget
    assert score
    yield f"`score`: {' '.join((inspect.getdoc(score) or '').split())}"
    yield ""
    yield "```python"
    yield from _body(score)
    yield "```"
    yield ""


def _body(function: object) -> Iterator[str]:
    """Source lines behind the docstring of a method."""
    assert callable(function)
    lines = inspect.getsource(function).splitlines()
    start = max(index for index, line in enumerate(lines) if '"""' in line) + 1
    for line in lines[start:]:
        yield line.removeprefix(" " * 8)
