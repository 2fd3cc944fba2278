"""A group of packages that send each other messages: four in a ring over the net, two over QWave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from vac.cli import app

ROUNDS = 6
RING = """
# Sends its number to the next one, waits for that of the one before, and mixes the two.
.memory 8192
.frame 4
.local left, sum, inner, three
        lit {peer}; out 0x42
        let left, {rounds}
        let three, 3
        li sum, {number}
again:  let inner, {pause}
spin:   djnz inner, spin
        k0; get sum; st32 s, s
        lit 0x40; k0; k4; sys 1; drop
        in 0x46; drop
        in 0x43; drop
        lit 0x40; k8; k4; sys 0; drop
        k8; ld32 s, s
        get three; mul; get left; add; set sum
        st32a sum, 4096
        djnz left, again
        get sum; emit
        get sum; out 0
        halt
"""
PUBLISHER = """
# Publishes under its topic, and reads what the other one has published.
.memory 4096
.frame 2
.local left, inner
        lit {topic}; out 0x21
        lit {other}; out 0x22
        let left, {rounds}
again:  k0; get left; st32 s, s
        lit 0x20; k0; k8; sys 1; emit
        let inner, {pause}
spin:   djnz inner, spin
        in 0x2a; drop
        lit 0x20; lit 64; lit 8; sys 0; drop
        lit 64; ld32 s, s; emit
        djnz left, again
        halt
"""
NAMES = [*(f"ring{number}" for number in range(4)), "left", "right"]


def vac(*arguments: object, code: int = 0) -> str:
    """What the command says."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, (arguments, done.output, done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output


def packed(folder: Path, rounds: int = ROUNDS) -> list[Path]:
    """The packages of the group, in the order of their numbers."""
    usual = ("--cap", "console", "--cap", "clock", "--device", "0x00=console", "--device", "0x10=clock")
    paths: list[Path] = []
    for number, name in enumerate(NAMES):
        if number < 4:
            peer = (number + 1) % 4
            text = RING.format(peer=peer, number=number, rounds=rounds, pause=40 + 90 * number)
            devices: tuple[Any, ...] = ("--cap", "net", "--device", f"0x40=net,peers={peer}")
        else:
            text = PUBLISHER.format(topic=number, other=9 - number, rounds=rounds, pause=55 * number)
            devices = ("--cap", "qwave", "--device", "0x20=qwave,topics=4 5")
        (folder / f"{name}.vasm").write_text(text)
        paths.append(folder / f"{name}.vac")
        vac("pack", folder / f"{name}.vasm", "-o", paths[-1], *usual, *devices)
    return paths


def sums(rounds: int = ROUNDS) -> list[int]:
    """What the machines of the ring come to."""
    numbers = list(range(4))
    for left in range(rounds, 0, -1):
        numbers = [(3 * numbers[number - 1] + left) & 0xFFFF_FFFF for number in range(4)]
    return numbers
