"""cpu_instruction: one instruction of the symbolic CPU with the registers it left."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from .contract import Contract, Name


class CpuInstruction(Contract):
    """One instruction of a VirtualCPU program."""

    NAME: ClassVar[str] = "cpu_instruction"

    event: Literal["cpu_instruction"] = "cpu_instruction"
    version: Literal[1] = 1
    operation: Name
    args: list[JsonValue]
    container_id: str
    registers: dict[str, JsonValue]
    """Snapshot after the instruction, by name."""
    ip: int = Field(ge=0)
    """Index of the instruction in its program."""
