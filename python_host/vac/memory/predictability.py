"""How predictable a machine's paging is: the pager's own SQI, unsigned Q0.16.

It is measured from what the pager sees, whereas the machine's SQI registers count architectural events. Those cannot
know of pages, because they are the same with and without paging; and these cannot be seen by a program.
"""

from __future__ import annotations

ONE = (1 << 16) - 1
_BECOMES_STREAM = round(0.8 * ONE)
_STAYS_STREAM = round(0.6 * ONE)
_STEP_BITS = 4
_LEAST_TRIGGERS = 32
_RETURNS_STEP_BITS = 5


class Predictability:
    """One machine's score, and the class that follows from it. score: 0 to 65535, a moving share of triggers (misses,
    and first uses of pages fetched ahead) that a strided run foretold."""

    __slots__ = ("_returns", "_triggers", "is_stream", "score")

    def __init__(self) -> None:
        self.score = 0
        self.is_stream = False
        self._triggers = 0
        self._returns = 0

    def trigger(self, was_foretold: bool) -> None:
        """Takes one trigger into the score."""
        self.score += ((ONE if was_foretold else 0) - self.score) >> _STEP_BITS
        self._triggers += 1
        if self.is_stream:
            self.is_stream = self.score >= _STAYS_STREAM and self._returns < ONE // 2
        else:
            self.is_stream = (
                self._triggers >= _LEAST_TRIGGERS and self.score >= _BECOMES_STREAM and self._returns < ONE // 4
            )

    @property
    def goes_round(self) -> bool:
        """Whether what was dropped behind the stream mostly comes back soon."""
        return self._returns >= ONE // 2

    def dropped_page_returned(self, has_returned: bool) -> None:
        """Whether a page that comes in was dropped behind the stream not long ago. A stream that goes round in a small
        circle is better kept than read again and again: it counts as cached."""
        self._returns += ((ONE if has_returned else 0) - self._returns) >> _RETURNS_STEP_BITS
