"""Whether kept beams may leave the host: action `export`, asked of a policy for each of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..host.guard import EXPORT, Action, Denial, DenialKind, DenialLog, Facts, Guard
from ..isa.beam import BEAM_BYTES
from ..isa.sqi import FULL, Sqi

WORST = Sqi(coherence=0, entropy=FULL, drift=FULL)
"""A kept beam does not say how good its machine was."""


@dataclass
class _Vetoed:
    tick: int
    pc: int
    kind: DenialKind
    events: int = 0


class ExportGate:
    """One run on its way out. An error while deciding denies.

    `close` records what was withheld: a denial for each label set and each policy that withheld something.
    """

    def __init__(self, run: str, guard: Guard, denials: DenialLog) -> None:
        self._run = run
        self._guard = guard
        self._denials = denials
        self._vetoed: dict[tuple[int, str], _Vetoed] = {}

    def permits(self, tick: int, pc: int, labels: int) -> bool:
        """Of one event. labels: its label set."""
        kind = DenialKind.POLICY
        try:
            policy = self._guard.decide(Action.EXPORT, EXPORT, lambda: Facts(labels, WORST, BEAM_BYTES, tick=tick))
        except Exception as error:
            policy = f"error while deciding: {type(error).__name__}: {error}"
            kind = DenialKind.ERROR
        if policy is None:
            return True
        self._vetoed.setdefault((labels, policy), _Vetoed(tick, pc, kind)).events += 1
        return False

    def close(self) -> None:
        for (labels, policy), vetoed in self._vetoed.items():
            request = f"tick {vetoed.tick}, pc {vetoed.pc:#x}: {vetoed.events:,} events of {self._run} with labels "
            self._denials.add(
                Denial(
                    vetoed.tick, vetoed.pc, Action.EXPORT, str(EXPORT), f"{request}{labels:#06x}", policy, vetoed.kind
                ),
                vetoed.events,
            )
        self._vetoed.clear()
