"""Makes a failing random program small: first whole items go, then single instructions become `nop`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..image.image import Image, Segment
from ..isa.encoding import instruction_length
from ..isa.limits import CODE_SLOT
from ..isa.table import BY_MNEMONIC
from .description import Description
from .program import Program, build

_NOP = BY_MNEMONIC["nop"].opcode

Fails = Callable[[Program], bool]


def shrink(description: Description, fails: Fails) -> Program:
    """The smallest program found that still fails.

    fails: must give the same verdict each time. Raises ValueError when the program does not fail to begin with.
    """
    if not fails(build(description)):
        raise ValueError("the program does not fail: nothing to shrink")
    while True:
        smaller = _smaller(description, fails)
        if smaller == description:
            return blank(build(description), fails)
        description = smaller


def _smaller(description: Description, fails: Fails) -> Description:
    """One round over everything that can be left out."""

    def keep(candidate: Description) -> bool:
        return candidate != description and fails(build(candidate))

    for candidate in (
        description.without_functions(),
        replace(description, traps=False),
        replace(description, has_labels=False),
    ):
        if keep(candidate):
            description = candidate
    main = _fewest(description.main, lambda items: fails(build(replace(description, main=items))))
    description = replace(description, main=main)
    for index in range(len(description.functions)):
        description = _smaller_function(description, index, fails)
    return description


def _smaller_function(description: Description, index: int, fails: Fails) -> Description:
    def with_items(items: tuple[int, ...]) -> Description:
        functions = (*description.functions[:index], items, *description.functions[index + 1 :])
        return replace(description, functions=functions)

    return with_items(_fewest(description.functions[index], lambda items: fails(build(with_items(items)))))


def _fewest(items: tuple[int, ...], still_fails: Callable[[tuple[int, ...]], bool]) -> tuple[int, ...]:
    """Delta debugging: leaves out runs of items, halving their length down to one."""
    length = len(items)
    while length and items:
        start = 0
        while start < len(items):
            fewer = items[:start] + items[start + length :]
            if still_fails(fewer):
                items = fewer
            else:
                start += length
        length //= 2
    return items


def blank(program: Program, fails: Fails) -> Program:
    """Turns every instruction that the failure does not need into `nop`s of the same length."""
    address = 0
    while address < len(program.image.code):
        length = min(instruction_length(program.image.code[address]), len(program.image.code) - address)
        if program.image.code[address] != _NOP:
            candidate = replace(program, image=_with_nops(program.image, address, length))
            if fails(candidate):
                program = candidate
        address += length
    return program


def _with_nops(image: Image, address: int, length: int) -> Image:
    code = image.code
    code = code[:address] + bytes([_NOP]) * length + code[address + length :]
    rest = tuple(segment for segment in image.segments if segment.slot != CODE_SLOT)
    return replace(image, segments=(Segment(CODE_SLOT, 0, len(code), code), *rest))
