"""What policies can speak of: entities, actions, and the facts of a request.

| in a policy | what it is |
|---|---|
| `VM::"name"` | the machine that asks, the principal |
| `principal.quota_class` | a name; the principal is `in QuotaClass::"name"` as well |
| `Action::"read"` and so on | a member of `vac.host.guard.Action`; the groups below are actions to be `in` |
| `Device::"console"`, `Shard::"7"` | what it asks for, the resource |
| `context.labels` | names of the labels of what goes out, a set |
| `context.length`, `.permissions`, `.register`, `.tick` | numbers, 0 where they do not apply |
| `context.sqi.coherence`, `.entropy`, `.drift`, `.score` | the quality registers, Q0.16: 0 to 65535 |
"""

from __future__ import annotations

from collections.abc import Mapping

from ..host.guard import Action, Facts
from ..isa.limits import LABEL_BITS
from .errors import PolicyError

ENTITY_TYPES = frozenset({"VM", "QuotaClass", "Action", "Device", "Shard"})
GROUPS: dict[str, frozenset[Action]] = {
    "syscall": frozenset(Action) - {Action.IN, Action.OUT, Action.INGEST, Action.EXPORT},
    "inflow": frozenset({Action.READ, Action.IN, Action.INGEST}),
    "outflow": frozenset({Action.WRITE, Action.OUT, Action.BEAM_EMIT, Action.EXPORT}),
}
NUMBERS = ("length", "permissions", "register", "tick")
SQI_NUMBERS = ("coherence", "entropy", "drift", "score")
FIELDS = (*NUMBERS, *(f"sqi.{name}" for name in SQI_NUMBERS))
LONG_MIN, LONG_MAX = -(1 << 63), (1 << 63) - 1


def numbers_of(facts: Facts) -> tuple[int, ...]:
    """In the order of FIELDS. Raises OverflowError where one is beyond Cedar's numbers of 64 bits with sign."""
    sqi = facts.sqi
    numbers = (
        facts.length, facts.permissions, facts.register, facts.tick,
        sqi.coherence, sqi.entropy, sqi.drift, sqi.score,
    )  # fmt: skip
    if any(not 0 <= number <= LONG_MAX for number in numbers):
        raise OverflowError("a number of the request has more than 63 bits")
    return numbers


class LabelNames:
    """Names of the 16 labels. A label that the manifest does not name is called l0 to l15, by its bit.

    Raises PolicyError when a bit is out of range.
    """

    def __init__(self, named: Mapping[str, int]) -> None:
        for name, bit in named.items():
            if not 0 <= bit < LABEL_BITS:
                raise PolicyError(f"label {name!r} has bit {bit}; there are {LABEL_BITS}, counted from 0")
        bits = set(named.values())
        self.bits = dict(named)
        for bit in range(LABEL_BITS):
            if bit not in bits:
                self.bits.setdefault(f"l{bit}", bit)

    def mask(self, name: str) -> int:
        """The label as a bit. Raises PolicyError."""
        if name not in self.bits:
            raise PolicyError(f"there is no label {name!r}; there are {', '.join(sorted(self.bits))}")
        return 1 << self.bits[name]

    def names(self, labels: int) -> list[str]:
        """Of a label set, sorted."""
        return sorted(name for name, bit in self.bits.items() if labels >> bit & 1)
