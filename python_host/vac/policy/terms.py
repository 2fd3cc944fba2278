"""Conditions as tables: a disjunction of terms, each a conjunction of label masks and ranges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from .errors import PolicyError
from .vocabulary import LONG_MAX, LONG_MIN

MAX_TERMS = 256
"""Of one condition. `(a || b) && (c || d)` takes four; more than this is refused."""


@dataclass(frozen=True, slots=True)
class Term:
    """Holds where all of `required` and none of `excluded` is in the label set, and each number lies in its range.

    ranges: (index in vocabulary.FIELDS, least, most), by index.
    """

    required: int = 0
    excluded: int = 0
    ranges: tuple[tuple[int, int, int], ...] = ()

    def holds(self, labels: int, numbers: tuple[int, ...]) -> bool:
        return (
            labels & self.required == self.required
            and not labels & self.excluded
            and all(least <= numbers[index] <= most for index, least, most in self.ranges)
        )

    def and_(self, other: Term) -> Term | None:
        """None where both can never hold."""
        required, excluded = self.required | other.required, self.excluded | other.excluded
        ranges = {index: (least, most) for index, least, most in self.ranges}
        for index, least, most in other.ranges:
            before = ranges.get(index, (LONG_MIN, LONG_MAX))
            ranges[index] = max(before[0], least), min(before[1], most)
        if required & excluded or any(least > most for least, most in ranges.values()):
            return None
        return Term(required, excluded, tuple((index, *bounds) for index, bounds in sorted(ranges.items())))


Terms = tuple[Term, ...]
ALWAYS: Terms = (Term(),)
NEVER: Terms = ()


def any_of(parts: Iterable[Terms]) -> Terms:
    """Raises PolicyError beyond MAX_TERMS."""
    found = dict.fromkeys(term for part in parts for term in part)
    if Term() in found:
        return ALWAYS
    return _bounded(tuple(found))


class Effort:
    """What compiling may cost in all, in pairs of terms: a policy set that takes longer is refused."""

    def __init__(self, pairs: int = 1 << 18) -> None:
        self._left = pairs

    def spend(self, pairs: int) -> None:
        """Raises PolicyError."""
        self._left -= pairs
        if self._left < 0:
            raise PolicyError("too involved to be compiled; write fewer and simpler conditions")


def all_of(parts: Iterable[Terms], effort: Effort) -> Terms:
    """Raises PolicyError beyond MAX_TERMS, and where the effort is spent."""
    return reduce(lambda left, right: _both(left, right, effort), parts, ALWAYS)


def _both(left: Terms, right: Terms, effort: Effort) -> Terms:
    effort.spend(len(left) * len(right))
    return any_of((term,) for a in left for b in right if (term := a.and_(b)) is not None)


def _bounded(terms: Terms) -> Terms:
    if len(terms) > MAX_TERMS:
        raise PolicyError(f"too involved: more than {MAX_TERMS} terms; split it into several policies")
    return terms


def labels_with(mask: int) -> Terms:
    """All of these labels."""
    return (Term(required=mask),)


def labels_without(mask: int) -> Terms:
    """None of these labels."""
    return (Term(excluded=mask),)


def in_range(index: int, least: int, most: int) -> Terms:
    return (Term(ranges=((index, least, most),)),) if least <= most else NEVER


def compared(index: int, operator: str, value: int) -> Terms:
    """A number against a constant. operator: == != < <= > >=."""
    if operator == "!=":
        return any_of((in_range(index, LONG_MIN, value - 1), in_range(index, value + 1, LONG_MAX)))
    least = {"==": value, ">=": value, ">": value + 1}.get(operator, LONG_MIN)
    most = {"==": value, "<=": value, "<": value - 1}.get(operator, LONG_MAX)
    return in_range(index, least, most)
