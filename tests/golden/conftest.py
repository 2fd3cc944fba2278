"""Starts programs for the tests of what a machine does.

They hold for every engine: VAC_ENGINES=golden,fast runs them all on those.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from vac.assembler.assemble import assemble
from vac.engines.registry import create_machine
from vac.machine.protocol import Machine

_MACHINES: dict[str, list[Machine]] = {}
"""Machines by engine, used again by every test: some engines take a second to come up, and loading resets them."""


@pytest.fixture(params=os.environ.get("VAC_ENGINES", "golden").split(","))
def start(request: pytest.FixtureRequest) -> Callable[..., Machine]:
    """start(source, **image_fields): a machine that has loaded this program, with these fields of its image changed."""
    machines = _MACHINES.setdefault(request.param, [])
    free = iter(list(machines))

    def start_program(source: str, **image_fields: Any) -> Machine:
        machine = next(free, None)
        if machine is None:
            machine = create_machine(request.param)
            machines.append(machine)
        machine.load(replace(assemble(source), **image_fields))
        return machine

    return start_program
