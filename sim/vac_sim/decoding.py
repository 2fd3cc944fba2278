"""What numbers in the waveform mean: instructions, opcodes, modes, traps, as texts beside the signals."""

from __future__ import annotations

from enum import Enum
from typing import Any

from vac.image.image import Image
from vac.isa.alu import AluFunction, Condition
from vac.isa.encoding import MAX_LENGTH
from vac.isa.state_map import FaultKind, StopCode
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac_hdl.compact.micro_op import Action, Function, Operand, Prepared, Read, Write
from vac_hdl.compact.micro_op import Condition as MicroCondition
from vac_hdl.decoder import UnitCode
from vac_hdl.micro_op import Step
from vac_hdl.pipeline import Mode

from .mismatch import instruction_text
from .trace import Trace, Wave

STAGES = {
    "d": "D  decode",
    "r": "A  addresses",
    "o": "O  operands",
    "x": "X  execute",
    "m": "M  commit",
    "w": "W  write back",
}
"""Prefixes of the pipeline stages' signals, in order, and what the stages are called."""
CORE = "vac_core.core"

_MICRO_ENUMERATIONS: dict[str, Any] = {
    f"{CORE}.micro.{field}": kind
    for field, kind in (
        ("action", Action), ("condition", MicroCondition), ("function", Function), ("read", Read), ("write", Write),
        ("y", Operand), ("prepares", Prepared),
    )
}  # fmt: skip
_ENUMERATIONS: dict[str, Any] = {"mode": Mode, "stop_code": StopCode, "stop_trap": Trap, "fault_kind": FaultKind}
_STAGE_ENUMERATIONS: dict[str, Any] = {
    "unit": UnitCode, "step": Step, "function": AluFunction, "condition": Condition, "trap": Trap,
}  # fmt: skip


def is_compact(trace: Trace) -> bool:
    """Whether the waveform is one of the compact core."""
    return f"{CORE}.micro.action" in trace.waves


def names_of(signal: str) -> dict[int, str] | None:
    """Names of the values of an enumerated signal of the core; None where it is none."""
    if signal in _MICRO_ENUMERATIONS:
        return {int(member.value): member.name for member in _MICRO_ENUMERATIONS[signal]}
    if not signal.startswith(CORE + ".") or signal.count(".") != CORE.count(".") + 1:
        return None
    name = signal.rsplit(".", 1)[1]
    if name.endswith("_opcode"):
        names: dict[int, str] = {}
        for row in INSTRUCTIONS:
            names.setdefault(row.opcode, row.mnemonic)
        return names
    stage, _, field = name.partition("_")
    kind = _STAGE_ENUMERATIONS.get(field) if stage in STAGES else _ENUMERATIONS.get(name)
    if kind is None:
        return None
    members: list[Enum] = list(kind)
    return {int(member.value): member.name for member in members}


def add_texts(trace: Trace, image: Image) -> None:
    """Adds signals of text under `decoded`: the instruction in each stage, or at pc, and the names of modes."""
    code = image.code

    def text(pc: int) -> str:
        return instruction_text(lambda address: code[address : address + MAX_LENGTH], pc)

    def add(name: str, valid: Wave, pc: Wave, holds: int) -> None:
        trace.waves[name] = joined = Wave(name, 0)
        for time in sorted({*valid.times, *pc.times}):
            joined.add(time, text(pc.number_at(time)) if valid.at(time) == holds else "")

    if is_compact(trace):
        add("decoded.instruction", trace["vac_core.host_stopped"], trace[f"{CORE}.pc"], 0)
        named = [f"micro.{field}" for field in ("action", "function", "y", "condition")]
    else:
        for stage in STAGES:
            add(f"decoded.{stage}_instruction", trace[f"{CORE}.{stage}_valid"], trace[f"{CORE}.{stage}_pc"], 1)
        named = ["mode", "stop_code"]
    for name in named:
        wave, names = trace[f"{CORE}.{name}"], names_of(f"{CORE}.{name}") or {}
        trace.waves[f"decoded.{name}"] = decoded = Wave(f"decoded.{name}", 0)
        for time, value in zip(wave.times, wave.values, strict=True):
            decoded.add(time, names.get(int(value), f"{value}"))
