"""A machine's registers and stacks as JSON values."""

from __future__ import annotations

from typing import Any

from ..image.image import ImageError, Window
from ..isa.limits import CODE_ADDRESS_BITS, DATA_STACK_CELLS, RETURN_STACK_CELLS, WINDOWS
from ..isa.sqi import Sqi
from ..isa.traps import Trap
from ..machine.state import State, Status
from .errors import CheckpointError

_SQI = ("coherence", "entropy", "drift", "mispredictions", "distance", "refusals", "history", "last_emit")
_NARROW = {"pc": CODE_ADDRESS_BITS + 1, "sp": 8, "rp": 8, "fp": 8, "code_length": 32, "joins": 32}
_WIDE = ("tick", "cone_in", "cone_out")


def state_to_json(state: State) -> dict[str, Any]:
    """Cells as two lists, the live data stack and the return stack without the zeros at its end; label sets where there
    are any, by index of the stack RAM."""
    returns = state.cells[DATA_STACK_CELLS:]
    while returns and not returns[-1]:
        returns.pop()
    live = [*range(state.sp), *range(DATA_STACK_CELLS, len(state.cells))]
    return {
        **{name: getattr(state, name) for name in (*_NARROW, *_WIDE)},
        "status": state.status.name.lower(),
        "trap": state.trap.name,
        "data_stack": state.data_stack,
        "return_stack": returns,
        "labels": {str(index): state.labels[index] for index in live if state.labels[index]},
        "windows": [[w.slot, w.base, w.length, w.permissions] for w in state.windows],
        "has_labels": state.has_labels,
        "sqi": {name: getattr(state.sqi, name) for name in _SQI},
        "digest": None if state.digest is None else f"{state.digest:016x}",
    }


def state_from_json(fields: dict[str, Any]) -> State:
    """Inverse of `state_to_json`. Raises CheckpointError for anything that no machine can be in."""
    try:
        data, returns = fields["data_stack"], fields["return_stack"]
        if len(data) != fields["sp"] or len(data) > DATA_STACK_CELLS or len(returns) > RETURN_STACK_CELLS:
            raise ValueError("the stacks have other lengths than the registers say")
        cells = [*_numbers(data), *[0] * (DATA_STACK_CELLS - len(data))]
        cells += [*_numbers(returns), *[0] * (RETURN_STACK_CELLS - len(returns))]
        labels = [0] * len(cells)
        for index, value in fields["labels"].items():
            labels[int(index)] = _number(value, 16)
        windows = [Window(*_numbers(row, 64)) for row in fields["windows"]]
        if len(windows) != WINDOWS + 1:
            raise ValueError(f"{len(windows)} windows, not {WINDOWS + 1}")
        for window in windows:
            window.check()
        digest = fields["digest"]
        return State(
            **{name: _number(fields[name], bits) for name, bits in _NARROW.items()},
            **{name: _number(fields[name], 64) for name in _WIDE},
            status=Status[fields["status"].upper()],
            trap=Trap[fields["trap"]],
            cells=cells,
            labels=labels,
            windows=windows,
            has_labels=bool(fields["has_labels"]),
            sqi=Sqi(**{name: _number(fields["sqi"][name], 32) for name in _SQI}),
            digest=None if digest is None else _number(int(digest, 16), 64),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ImageError) as error:
        raise CheckpointError(f"the registers are damaged: {error}") from error


def _number(value: Any, bits: int = 32) -> int:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError(f"{value!r} is no number of {bits} bits")
    return value


def _numbers(values: Any, bits: int = 32) -> list[int]:
    return [_number(value, bits) for value in values]
