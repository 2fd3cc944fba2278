"""LLVM text of a region."""

from __future__ import annotations

from dataclasses import dataclass

from .function import FunctionText
from .layout import Layout
from .region import Region
from .text import METADATA

_INTRINSICS = """\
declare i32 @llvm.fshr.i32(i32, i32, i32)
declare i16 @llvm.sadd.sat.i16(i16, i16)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
"""


@dataclass(frozen=True)
class Module:
    """text: LLVM assembly whose function `entry` is the region's root. least: ticks that it needs to do anything."""

    text: str
    least: int


def module_of(region: Region, layout: Layout, traced: bool) -> Module:
    """The region's functions. traced: they leave a beam for each instruction."""
    texts = {
        key: FunctionText(region, function, layout, traced)
        for key, function in region.functions.items()
        if function.steps
    }
    body = "".join(text.text() for text in texts.values())
    return Module(_INTRINSICS + body + METADATA, texts[region.root].least)
