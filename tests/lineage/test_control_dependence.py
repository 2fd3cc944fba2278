"""Control dependence of small programs, worked out by hand, and of random ones, by another definition."""

from __future__ import annotations

import pytest
from tests.lineage.control_slicer import decided_by

from vac.assembler.assemble import assemble_with_listing
from vac.image.control_flow import table_entries
from vac.image.image import Image
from vac.lineage.control_dependence import ControlDependence
from vac.randomised.program import random_program


def depends_of(image: Image) -> dict[int, set[int]]:
    """By pc, the branches."""
    found = ControlDependence(image.code, [image.entry], [target for target, _ in table_entries(image)])
    by_class: dict[int, set[int]] = {}
    for pc in range(image.code_length):
        first, count = int(found.first[pc]), int(found.count[pc])
        for number in found.decided[first : first + count].tolist():
            by_class.setdefault(number, set()).add(pc)
    return {pc: by_class.get(int(found.classes[pc]), set()) for pc in range(image.code_length)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a: k1\nb: bzs d\nc: nop\nd: halt", {"a": "", "b": "", "c": "b", "d": ""}),
        ("a: bnz l0, c\nb: jmp d\nc: nop\nd: halt", {"a": "", "b": "a", "c": "a", "d": ""}),
        ("a: nop\nb: djnz l0, a\nc: halt", {"a": "b", "b": "b", "c": ""}),
        ("a: nop\nb: bnz l0, d\nc: nop\nd: djnz l1, a\ne: halt", {"a": "d", "b": "d", "c": "b", "d": "d", "e": ""}),
        ("a: bnz l0, c\nb: halt\nc: nop\nd: jmp d", {"a": "", "b": "a", "c": "a", "d": "a"}),
        ("a: call f, 0\nb: halt\nf: bnz l0, h\ng: ret\nh: ret", {"a": "", "b": "", "f": "", "g": "f", "h": "f"}),
    ],
)
def test_by_hand(source: str, expected: dict[str, str]) -> None:
    assembly = assemble_with_listing(source)
    places, depends = assembly.symbols, depends_of(assembly.image)
    assert {name: depends[places[name]] for name in expected} == {
        name: {places[branch] for branch in branches} for name, branches in expected.items()
    }


@pytest.mark.parametrize("seed", range(12))
def test_random_programs(seed: int) -> None:
    image = random_program(seed, 60).image
    found, expected = depends_of(image), decided_by(image)
    assert any(expected.values())
    assert {pc: found[pc] for pc in expected} == expected
