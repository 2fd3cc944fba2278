"""A window that ends where the address space ends, narrowed to nothing at its very end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vac.assembler.assemble import assemble
from vac.fast.machine import FastMachine
from vac.golden.model import GoldenMachine
from vac.image.image import Window
from vac.machine.protocol import Machine

SOURCE = ".frame 1\nlit 4096\nlit 0\nwnar 3, 0\nhalt\n"


@pytest.mark.parametrize("make", [GoldenMachine, FastMachine])
def test_the_base_behind_the_last_byte_is_zero(make: type[Machine]) -> None:
    image = replace(assemble(SOURCE), windows=((0, Window(1, (1 << 32) - 4096, 4096, 3)),))
    machine = make()
    machine.load(image)
    machine.run(10)
    assert machine.state().windows[3] == Window(1, 0, 0, 3)
