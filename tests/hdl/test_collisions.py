"""Memories whose cells never collide lose their bypass logic, and only those."""

from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib.memory import Memory

from vac_hdl.collisions import release_collisions

MASKED = "COLLISION_X_MASK 1'1"


def _design(attributes: Any, transparent: bool = False) -> str:
    m = Module()
    m.submodules.cells = memory = Memory(shape=8, depth=16, init=[], attrs=attributes)
    write = memory.write_port()
    read = memory.read_port(transparent_for=(write,) if transparent else ())
    ports = [write.addr, write.data, write.en, read.addr, read.data, read.en]
    return rtlil.convert(m, ports=ports, name="top")


def test_marked_memory_is_released():
    assert MASKED not in _design({"no_rw_check": 1})
    assert release_collisions(_design({"no_rw_check": 1})).count(MASKED) == 1
    assert release_collisions(_design({"no_rw_check": 1, "ram_style": "block"})).count(MASKED) == 1


def test_other_memories_stay():
    for design in (_design({}), _design({"ram_style": "block"}), _design({"no_rw_check": 1}, transparent=True)):
        assert release_collisions(design) == design
