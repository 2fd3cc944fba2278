"""Random programs for property tests: Hypothesis draws the items, and shrinks to few and simple ones.

Needs `hypothesis`, which only development installs bring.
"""

from __future__ import annotations

from hypothesis import strategies as st

from .description import FUNCTIONS_PER_LEVEL, LEVELS, Description
from .fuzz import fuzz_program
from .program import Program, build

_SEEDS = st.integers(0, (1 << 32) - 1)
_COUNT = LEVELS * FUNCTIONS_PER_LEVEL


def descriptions(most_items: int = 60) -> st.SearchStrategy[Description]:
    def bodies(most: int) -> st.SearchStrategy[tuple[int, ...]]:
        return st.lists(_SEEDS, max_size=most).map(tuple)

    return st.builds(
        Description,
        seed=_SEEDS,
        main=bodies(most_items),
        functions=st.tuples(*[bodies(max(1, most_items // 10))] * _COUNT),
        traps=st.booleans(),
        has_labels=st.booleans(),
    )


def programs(most_items: int = 60) -> st.SearchStrategy[Program]:
    """Programs that always end."""
    return descriptions(most_items).map(build)


def fuzz_programs(code_bytes: int = 256) -> st.SearchStrategy[Program]:
    """Programs of random bytes; run them with a tick limit."""
    return _SEEDS.map(lambda seed: fuzz_program(seed, code_bytes))
