"""A named group of signals: pipeline registers whose fields stay separate signals.

A packed struct would be one wide vector, which simulators handle slowly and waveforms show as one number.
"""

from collections.abc import Mapping

from amaranth.hdl import Signal
from amaranth.hdl._ast import Assign, ShapeLike


class Bundle:
    """Signals `{name}_{field}`, as attributes and items named by their fields."""

    def __init__(self, fields: Mapping[str, ShapeLike], name: str) -> None:
        self._signals = {field: Signal(shape, name=f"{name}_{field}") for field, shape in fields.items()}

    def __getattr__(self, field: str) -> Signal:
        try:
            return self.__dict__["_signals"][field]
        except KeyError:
            raise AttributeError(field) from None

    def __getitem__(self, field: str) -> Signal:
        return self._signals[field]

    def eq(self, other: "Bundle") -> list[Assign]:
        """Assignments of every field of `other` to the field of the same name here."""
        return [signal.eq(other[field]) for field, signal in self._signals.items()]
