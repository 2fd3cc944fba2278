"""The state root: the same on every engine and residency, different for every difference."""

from __future__ import annotations

import random
from dataclasses import fields, replace

from vac.commitment.memory_tree import MemoryTree
from vac.commitment.state_root import StateCommitment, state_root
from vac.fast.machine import FastMachine, Trace
from vac.golden.model import GoldenMachine
from vac.image.image import Window
from vac.isa.sqi import Sqi
from vac.isa.traps import Trap
from vac.machine.protocol import Machine
from vac.machine.state import State, Status
from vac.randomised.restless import restless_image


def _whole_root(machine: Machine) -> bytes:
    tree = MemoryTree()
    tree.put_all((key, machine.read_leaf(*key)) for key in machine.leaves())
    return state_root(machine.state(), tree.root())


def test_every_engine_and_the_incremental_way_agree() -> None:
    for seed in range(12):
        image = restless_image(seed, has_labels=seed % 3 == 2)
        golden, plain, digesting = GoldenMachine(), FastMachine(Trace.NOTHING), FastMachine(Trace.DIGEST)
        machines = (golden, plain, digesting)
        commitments = [StateCommitment() for _ in machines]
        for machine in machines:
            machine.load(image)
        seen: set[bytes] = set()
        for tick in (0, 1, 50, 200, 1000):
            for machine in machines:
                machine.run(tick)
            roots = {taken.take(machine) for taken, machine in zip(commitments, machines, strict=True)}
            assert roots == {_whole_root(machine) for machine in machines}
            assert len(roots) == 1
            seen |= roots
        assert len(seen) > 1


def test_eviction_does_not_show() -> None:
    image = restless_image(3)
    machine, commitment = FastMachine(), StateCommitment()
    machine.load(image)
    machine.run(100)
    expected = _whole_root(machine)
    for key in machine.leaves():
        commitment.put(*key, machine.evict(*key))
    assert commitment.take(machine) == expected


def test_every_part_of_the_state_counts() -> None:
    base = State(sp=3, rp=20, fp=4)
    memory = bytes(32)
    changes = {
        "pc": 1, "tick": 1, "status": Status.HALTED, "trap": Trap.BOUNDS, "sp": 2, "rp": 21, "fp": 5, "code_length": 9,
        "has_labels": True, "cone_in": 1 << 40, "cone_out": 1 << 40, "joins": 1, "sqi": Sqi(coherence=1),
        "cells": [0] * 2 + [1] + [0] * 253, "labels": [0] * 255 + [1],
        "windows": [Window()] * 16 + [Window(0, 0, 4, 1)],
    }  # fmt: skip
    assert set(changes) == {item.name for item in fields(State)} - {"digest"}
    roots = {state_root(replace(base, **{name: value}), memory) for name, value in changes.items()}
    for item in fields(Sqi):
        roots.add(state_root(replace(base, sqi=replace(Sqi(), **{item.name: 7})), memory))
    roots |= {state_root(base, memory), state_root(base, b"\1" * 32)}
    assert len(roots) == len(changes) + len(fields(Sqi)) + 2


def test_dead_cells_and_digest_do_not_count() -> None:
    draw = random.Random(1)
    base = State(sp=3, rp=20, fp=4)
    dead = list(base.cells)
    dead[3:64] = [draw.getrandbits(32) for _ in range(61)]
    other = replace(base, cells=dead, digest=None)
    assert state_root(base, bytes(32)) == state_root(other, bytes(32))
