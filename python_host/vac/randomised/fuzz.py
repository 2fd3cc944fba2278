"""Programs that no assembler would write: random bytes as code. Most trap soon; some run for ever."""

from __future__ import annotations

from random import Random

from ..image.image import Image, Segment, Window
from ..isa.limits import CODE_ADDRESS_BITS, CODE_SLOT, LEAF_BYTES
from ..isa.table import INSTRUCTIONS, SUBOPERATION_FIELD
from .program import Program

_VALID_SHARE = 0.97
"""Of instructions with a valid code where the bytes are not random altogether; operands are random either way."""


def fuzz_program(seed: int, code_bytes: int = 512) -> Program:
    """Random code behind random stacks of literals, with random windows and function table.

    Run it with a tick limit: nothing makes it end.
    """
    rng = Random(seed)
    code = bytearray()
    for _ in range(rng.randrange(12)):
        code += b"\xa0" + rng.choice((rng.randbytes(4), rng.randrange(4096).to_bytes(4, "little")))
    share = rng.choice((0.0, _VALID_SHARE, _VALID_SHARE, 1.0))
    while len(code) < code_bytes:
        code += _instruction(rng) if rng.random() < share else rng.randbytes(1)
    entries = rng.randrange(4)
    code += bytes(-len(code) % 4)
    table_base = len(code)
    for _ in range(entries):
        code += (rng.randrange(20) << CODE_ADDRESS_BITS | rng.randrange(code_bytes)).to_bytes(4, "little")
    windows = tuple((index, _window(rng)) for index in sorted(rng.sample(range(16), rng.randrange(1, 8))))
    image = Image(
        entry=0,
        frame=rng.choice((0, 4, 15, 15, 30)),
        code_length=len(code),
        segments=(Segment(CODE_SLOT, 0, len(code), bytes(code)), Segment(1, 0, LEAF_BYTES, rng.randbytes(LEAF_BYTES))),
        windows=windows,
        table_base=table_base,
        table_entries=entries,
        has_labels=rng.random() < 0.5,
        name=f"fuzz-{seed}",
    )
    return Program(image, rng.randbytes(20), rng.getrandbits(64), ())


def _instruction(rng: Random) -> bytes:
    row = rng.choice(INSTRUCTIONS)
    word = rng.getrandbits(32) << 8 | row.opcode
    if row.suboperation is not None:
        word &= ~SUBOPERATION_FIELD.insert(SUBOPERATION_FIELD.maximum)
        word |= SUBOPERATION_FIELD.insert(row.suboperation)
    return (word & ((1 << 8 * row.length) - 1)).to_bytes(row.length, "little")


def _window(rng: Random) -> Window:
    """Onto data, never writing code: what a program makes of its own code is for no engine to say."""
    return Window(1, 4 * rng.randrange(512), rng.choice((0, 1, 7, 64, 2048)), rng.randrange(4))
