"""Names of a run: texts that records hold the numbers of."""

from __future__ import annotations

from typing import Literal, get_args

from .errors import StoreDamaged, StoreFull

Kind = Literal["cell", "token", "stage", "eid"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Name = tuple[Kind, int, str]
"""Kind, number and text."""

_MOST: dict[Kind, int] = {"cell": 1 << 32, "token": 1 << 32, "stage": (1 << 16) - 256, "eid": 1 << 31}


class Names:
    """Texts by kind, numbered from 0 in the order in which they came."""

    def __init__(self) -> None:
        self._texts: dict[Kind, list[str]] = {kind: [] for kind in KINDS}
        self._numbers: dict[Kind, dict[str, int]] = {kind: {} for kind in KINDS}

    def find(self, kind: Kind, text: str) -> int | None:
        return self._numbers[kind].get(text)

    def text(self, kind: Kind, number: int) -> str:
        """Raises StoreDamaged for a number that was never given."""
        texts = self._texts[kind]
        if number >= len(texts):
            raise StoreDamaged(f"{kind} {number} has no name: the run has {len(texts)}")
        return texts[number]

    def add(self, kind: Kind, text: str) -> int:
        """Number of the text, a new one where it has none. Raises StoreFull when no number is left."""
        known = self._numbers[kind].get(text)
        if known is not None:
            return known
        number = len(self._texts[kind])
        if number >= _MOST[kind]:
            raise StoreFull(f"a run cannot have more than {_MOST[kind]} names of kind {kind}")
        self._texts[kind].append(text)
        self._numbers[kind][text] = number
        return number

    def all(self) -> list[Name]:
        """Kind, number and text of every name."""
        return self.since(dict.fromkeys(KINDS, 0))

    def mark(self) -> dict[Kind, int]:
        """How many there are of each kind."""
        return {kind: len(texts) for kind, texts in self._texts.items()}

    def since(self, mark: dict[Kind, int]) -> list[Name]:
        """The names that came after a mark."""
        return [
            (kind, number, text)
            for kind in KINDS
            for number, text in enumerate(self._texts[kind][mark[kind] :], start=mark[kind])
        ]

    def cut(self, mark: dict[Kind, int]) -> None:
        """Forgets the names that came after a mark."""
        for kind, number, text in self.since(mark):
            del self._numbers[kind][text]
            del self._texts[kind][number:]
