"""Regions to machine code, each compiled once: in this process, and on disk for the next."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import backend
from .layout import layout
from .module import module_of
from .region import Region


@dataclass(frozen=True)
class Compiled:
    """address: of the code. needs, room: cells on the data stack, and more of them. least: ticks to do anything."""

    address: int
    needs: int
    room: int
    least: int


_compiled: dict[str, Compiled] = {}


@cache
def _generator() -> str:
    """Stands for everything but the region that the code follows from."""
    key = hashlib.sha256(backend.target_name().encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        key.update(path.read_bytes())
    key.update(repr(layout()).encode())
    return key.hexdigest()


def key_of(region: Region, traced: bool) -> str:
    """Names a region's code: the same instructions in the same places give the same key."""
    key = hashlib.sha256(f"{_generator()} {traced} {region.root} {sorted(region.constants.items())}".encode())
    for name, function in sorted(region.functions.items()):
        steps = sorted((pc, step.instruction.word, step.depth) for pc, step in function.steps.items())
        key.update(f"{name} {function.net} {function.returns_differ} {steps}".encode())
    return key.hexdigest()


_MOST_TEXT = 200_000
"""Characters of LLVM text. It cannot be interrupted while it compiles; a clock as bound would hang on what else the
computer does."""


class RegionTooLarge(Exception):
    """Compiling this would take too long."""


def compile_region(region: Region, traced: bool) -> Compiled:
    """The region's code. Raises CompilerMissing or RegionTooLarge."""
    key = key_of(region, traced)
    found = _compiled.get(key)
    if found:
        return found
    module = module_of(region, layout(), traced)
    if len(module.text) > _MOST_TEXT:
        raise RegionTooLarge(f"{len(module.text)} characters of LLVM text, {_MOST_TEXT} are possible")
    code = backend.kept(key)
    if code is None:
        code = backend.compile_text(module.text)
        backend.keep(key, code)
    root = region.functions[region.root]
    _compiled[key] = Compiled(backend.load(code), root.needs, root.peak, module.least)
    return _compiled[key]
