"""A named group of signals: pipeline registers whose fields stay separate signals.

A packed struct would be one wide vector, which simulators handle slowly and waveforms show as one number. Groups of
fields that go on unchanged are the exception.
"""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Signal, Value
from amaranth.hdl._ast import Assign, ShapeLike
from amaranth.lib import data


class Bundle:
    """Signals `{name}_{field}`, as attributes and items named by their fields.

    words: fields that are kept together, in a signal of their own for each group, since they travel together: a
    simulator then moves them in one step. A group should have 64 bits at most.
    """

    def __init__(self, fields: Mapping[str, ShapeLike], name: str, words: Mapping[str, Sequence[str]] = {}) -> None:
        layouts = {
            word: data.StructLayout({field: fields[field] for field in members}) for word, members in words.items()
        }
        self._words = {word: Signal(layout, name=f"{name}_{word}") for word, layout in layouts.items()}
        inside = {field: self._words[word][field] for word, members in words.items() for field in members}
        self._signals = {
            field: inside[field] if field in inside else Signal(shape, name=f"{name}_{field}")
            for field, shape in fields.items()
        }
        self._moved = {**self._words, **{field: self._signals[field] for field in fields if field not in inside}}

    def __getattr__(self, field: str) -> Signal:
        try:
            return self.__dict__["_signals"][field]
        except KeyError:
            raise AttributeError(field) from None

    def __getitem__(self, field: str) -> Signal:
        return self._signals[field]

    def group(self, name: str) -> data.View:
        """A group of fields."""
        return self._words[name]

    def take(self, view: data.View) -> list[Assign]:
        """Assignments of every field here from the field of the same name in a struct."""
        words = [
            signal.eq(Cat(Value.cast(view[field]) for field in signal.shape().members))
            for signal in self._words.values()
        ]
        return words + [signal.eq(view[name]) for name, signal in self._moved.items() if name not in self._words]

    def eq(self, other: "Bundle") -> list[Assign]:
        """Assignments of every field of `other` to the field of the same name here."""
        if self._words.keys() == other._words.keys():
            return [signal.eq(other._moved[name]) for name, signal in self._moved.items()]
        return [signal.eq(other[field]) for field, signal in self._signals.items()]
