"""A copy of a state that shares nothing with it that can change."""

from __future__ import annotations

from dataclasses import replace

from ..machine.state import State


def copy_of(state: State) -> State:
    return replace(
        state, cells=[*state.cells], labels=[*state.labels], windows=[*state.windows], sqi=replace(state.sqi)
    )
