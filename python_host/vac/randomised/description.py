"""What a random program is made from: a few numbers, so that it can be told, rebuilt and made smaller."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from random import Random

LEVELS = 3
"""Functions stand in levels and call only deeper ones: no call chain is longer."""

FUNCTIONS_PER_LEVEL = 2
"""A power of two: data chooses among the functions of a level through the function table."""


@dataclass(frozen=True)
class Description:
    """seed: of everything that has no seed of its own (memory, windows, inputs, frames, the ending).
    main, functions: one seed for each item of a body; any of them may be left out and a valid program remains.
    traps: the program ends in a trap instead of `halt`. has_labels: as in the image.
    """

    seed: int
    main: tuple[int, ...]
    functions: tuple[tuple[int, ...], ...]
    traps: bool = False
    has_labels: bool = False

    @property
    def size(self) -> int:
        """Items in all."""
        return len(self.main) + sum(map(len, self.functions))

    def without_functions(self) -> Description:
        return replace(self, functions=tuple(() for _ in self.functions))

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Description:
        """Inverse of `to_json`. Raises ValueError or KeyError or TypeError for anything else."""
        fields = json.loads(text)
        functions = tuple(tuple(items) for items in fields["functions"])
        return Description(fields["seed"], tuple(fields["main"]), functions, fields["traps"], fields["has_labels"])


_SIZES = (10, 40, 120, 120, 400)
"""From a few dozen instructions to a few thousand."""


def describe(seed: int, size: int | None = None) -> Description:
    """The random program of this seed. size: items in `main`, of some three instructions each; by default random."""
    rng = Random(seed)
    if size is None:
        size = rng.choice(_SIZES)
    count = LEVELS * FUNCTIONS_PER_LEVEL

    def items(number: int) -> tuple[int, ...]:
        return tuple(rng.getrandbits(32) for _ in range(number))

    return Description(
        seed=rng.getrandbits(32),
        main=items(size),
        functions=tuple(items(rng.randrange(2, max(3, size // 8))) for _ in range(count)),
        traps=rng.random() < 0.4,
        has_labels=rng.random() < 0.5,
    )
