"""What a policy is asked, and what is kept of each no."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from ..isa.ports import Device
from ..isa.sqi import Sqi

LOG = logging.getLogger("vac.host")

NOT_GRANTED = "not granted"


class DenialKind(StrEnum):
    """Who says no: what was not granted, the policy, a device (a peer that was not granted), or a policy that failed
    while it decided."""

    CAPABILITY = "capability"
    POLICY = "policy"
    DEVICE = "device"
    ERROR = "error"


class Action(StrEnum):
    """What a machine asks for, or, with the last two, what is done with its beams and those that are brought to it."""

    READ = "read"
    WRITE = "write"
    ALLOC = "alloc"
    MAP = "map"
    SLEEP = "sleep"
    BEAM_EMIT = "beam_emit"
    ENTROPY_PROBE = "entropy_probe"
    IN = "in"
    OUT = "out"
    INGEST = "ingest"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Resource:
    """kind: "Device" or "Shard". name: of a device as `device_name` gives it, or what stands for one (memory, entropy,
    beams, export); of a shard its number."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f'{self.kind}::"{self.name}"'


MEMORY = Resource("Device", "memory")
ENTROPY = Resource("Device", "entropy")
BEAMS = Resource("Device", "beams")
EXPORT = Resource("Device", "export")
CLOCK = Resource("Device", "clock")
QWAVE = Resource("Device", "qwave")


def device_name(address: int) -> str:
    """console, clock, qwave, storage or net; device:0x50 for one without a name of its own."""
    try:
        return Device(address).name.lower()
    except ValueError:
        return f"device:{address:#04x}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a request. labels: label set of what it lets out, its arguments included. length: bytes asked
    for. permissions: asked of `map`. register: of `in` and `out`, 0 to 15."""

    labels: int = 0
    sqi: Sqi = field(default_factory=Sqi)
    length: int = 0
    permissions: int = 0
    register: int = 0
    tick: int = 0


class Guard(Protocol):
    """A policy, ready to decide for one machine."""

    def decide(self, action: Action, resource: Resource, facts: Callable[[], Facts]) -> str | None:
        """None where the request is allowed, else what denies it: a policy's name, or a reason. Whatever it raises is a
        no as well. `facts` may cost something; it need not be called."""
        ...


class Denied(Exception):
    """The request traps DENIED. policy: what denies it."""

    def __init__(self, policy: str, kind: DenialKind) -> None:
        super().__init__(policy)
        self.policy = policy
        self.kind = kind


@dataclass(frozen=True)
class Denial:
    """A request that was denied, beside the beams. request: in words, with tick and pc."""

    tick: int
    pc: int
    action: str
    resource: str
    request: str
    policy: str
    kind: DenialKind = DenialKind.POLICY

    def __str__(self) -> str:
        return f"{self.request} denied: {self.policy}"

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "denial", "version": 1, "tick": self.tick, "pc": self.pc, "action": self.action,
            "resource": self.resource, "request": self.request, "policy": self.policy,
        }  # fmt: skip


class DenialLog:
    """records: in order. counts: denials by (action, resource), for metrics. kinds: by who said no."""

    def __init__(self) -> None:
        self.records: list[Denial] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.kinds: Counter[DenialKind] = Counter()

    def add(self, denial: Denial, count: int = 1) -> None:
        """count: things that were denied together."""
        self.records.append(denial)
        self.counts[denial.action, denial.resource] += count
        self.kinds[denial.kind] += count
        LOG.info("%s", denial)

    def by_kind(self) -> dict[str, int]:
        """Every kind by its name, those without a denial as well."""
        return {kind.value: self.kinds[kind] for kind in DenialKind}
