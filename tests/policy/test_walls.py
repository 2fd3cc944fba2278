"""A machine tries each thing that it was not given: all is denied, with a record, and nothing has changed."""

import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from vac.assembler.assemble import assemble
from vac.devices.console import Console
from vac.devices.device import BaseDevice, Reply
from vac.devices.key_value import KeyValueStorage
from vac.devices.message_bus import MessageBus
from vac.devices.net import Net
from vac.devices.qwave import QWave
from vac.devices.storage import Storage
from vac.engines.registry import create_machine
from vac.host.address_space import Shard
from vac.host.capabilities import DEFAULT, Capability, CapabilityError, capabilities_of
from vac.host.guard import Action, Facts, Resource
from vac.host.session import Host
from vac.isa.ports import REFUSED
from vac.isa.traps import Trap
from vac.machine.protocol import StopReason
from vac.policy.soul_law import SoulLaw

ADDRESSES = {"console": 0x00, "clock": 0x10, "qwave": 0x20, "storage": 0x30, "net": 0x40, "device:0x50": 0x50}
CALLS = {
    "alloc": "k1; lit 64; sys 2",
    "map": "lit 3; lit 7; k0; k0; k0; lit 8; k1; sys 3",
    "sleep": "lit 9; sys 4",
    "beam_emit": "k0; k8; sys 5",
    "entropy_probe": "sys 6",
}
REQUESTS = {
    **{f"in {name}": f"in {address:#x}" for name, address in ADDRESSES.items()},
    **{f"out {name}": f"lit 65; out {address + 2:#x}" for name, address in ADDRESSES.items()},
    **{f"read {name}": f"lit {address:#x}; k0; k8; sys 0" for name, address in ADDRESSES.items()},
    **{f"write {name}": f"lit {address:#x}; k0; k8; sys 1" for name, address in ADDRESSES.items()},
    "out console": "lit 65; out 0",
    **CALLS,
}
NOWHERE = [
    "in 0x60",
    "k1; out 0xF0",
    "lit 0x60; k0; k8; sys 0",
    "lit 0x33; k0; k8; sys 1",
    "liw s, 0x12345; k0; k8; sys 1",
]


class Lamp(BaseDevice):
    """Counts everything that reaches it."""

    def __init__(self) -> None:
        self.touched = 0

    def read_register(self, register: int, tick: int) -> Reply:
        self.touched += 1
        return Reply(1)

    def write_register(self, register: int, value: int, tick: int) -> Reply:
        self.touched += 1
        return Reply()

    def read(self, length: int) -> bytes:
        self.touched += 1
        return b"lamp"

    def write(self, data: bytes) -> int:
        self.touched += 1
        return len(data)

    def save(self) -> dict[str, Any]:
        return {"touched": self.touched}


def everything() -> dict[str, Any]:
    """A host's options with all there is to reach."""
    return {
        "devices": {
            0x20: QWave(MessageBus(), 0),
            0x30: KeyValueStorage(items={bytes(4): b"value"}),
            0x40: Net(MessageBus(), 0, peers=[0]),
            0x50: Lamp(),
        },
        "shards": [Shard(7, bytes(64))],
        "console": Console(b"input"),
    }


def host_for(source: str, **options: Any) -> Host:
    return Host(create_machine("golden"), assemble(f".memory 4096\n{source}; halt"), **everything() | options)


def assert_denied(host: Host, policy: str) -> None:
    before = json.dumps({name: part for name, part in host.save().items() if name != "answered"})
    before_windows = list(host.machine.state().windows)
    assert host.run(1000).reason is StopReason.TRAPPED
    state = host.machine.state()
    assert state.trap is Trap.DENIED
    (denial,) = host.denial_log.records
    assert (denial.tick, denial.pc, denial.policy) == (state.tick, state.pc, policy)
    assert host.denial_log.counts[denial.action, denial.resource] == 1
    after = json.dumps({name: part for name, part in host.save().items() if name != "answered"})
    assert after == before and state.windows == before_windows and not host.payloads
    assert host.memory.read(1, 0, 8) == bytes(8)


@pytest.mark.parametrize("request_name", REQUESTS)
def test_everything_works_when_given(request_name: str) -> None:
    assert host_for(REQUESTS[request_name]).run(1000).reason is StopReason.HALTED


@pytest.mark.parametrize("request_name", REQUESTS)
def test_what_the_policy_does_not_permit_is_denied(request_name: str) -> None:
    tables = SoulLaw.parse("").tables("boot", devices=ADDRESSES, shards=[7])
    assert_denied(host_for(REQUESTS[request_name], guard=tables), "no policy permits it")


@pytest.mark.parametrize("request_name", REQUESTS)
def test_exactly_what_is_forbidden_is_denied(request_name: str) -> None:
    action, _, name = request_name.partition(" ")
    resource = f' == Device::"{name}"' if name else ""
    text = f"""permit(principal, action, resource);
        @id("not-this") forbid(principal == VM::"boot", action == Action::"{action}", resource{resource});"""
    tables = SoulLaw.parse(text).tables("boot", devices=ADDRESSES, shards=[7])
    for other, source in REQUESTS.items():
        if other == request_name:
            assert_denied(host_for(source, guard=tables), "not-this")
        else:
            assert host_for(source, guard=tables).run(1000).reason is StopReason.HALTED, other


@pytest.mark.parametrize("request_name", [name for name in REQUESTS if "device:" not in name])
def test_what_no_capability_grants_is_denied(request_name: str) -> None:
    host = Host(
        create_machine("golden"), assemble(f".memory 4096\n{REQUESTS[request_name]}; halt"), granted=Capability(0)
    )
    assert_denied(host, "not granted")


@pytest.mark.parametrize("source", NOWHERE)
def test_what_is_not_there_is_denied(source: str) -> None:
    assert_denied(host_for(source), "not granted")


def test_windows_cannot_be_widened() -> None:
    shards = [Shard(7, bytes(64))]
    law = SoulLaw.parse(
        """permit(principal, action == Action::"map", resource) when { context.permissions == 1 };
        @id("read-only") forbid(principal, action == Action::"map", resource) when { context.permissions > 1 };"""
    )
    tables = law.tables("boot", shards=[7])
    writable = "lit 3; lit 7; k0; k0; k0; lit 8; lit 3; sys 3"
    assert_denied(host_for(writable, shards=shards, guard=tables), "read-only")
    refused = host_for(writable, shards=shards)
    refused.run(100)
    assert refused.machine.state().data_stack == [REFUSED]
    foreign = "lit 3; lit 8; k0; k0; k0; lit 8; k1; sys 3"
    assert_denied(host_for(foreign, shards=shards, guard=tables), "no policy permits it")


@pytest.mark.parametrize(
    ("source", "trap"),
    [
        ("k0; lit 64; wnar 3, 0; k0; lit 128; wnar 3, 3", Trap.BOUNDS),
        ("k0; liw s, 8192; wnar 3, 0", Trap.BOUNDS),
        ("k0; k8; wnar 3, 9", Trap.PERMISSION),
        ("lit32 0x90000000; ld32 s, s", Trap.PERMISSION),
        ("lit32 0x00001000; ld32 s, s", Trap.BOUNDS),
        ("k0; lit32 0x90000000; k8; sys 1", Trap.PERMISSION),
    ],
)
def test_memory_that_was_not_given_cannot_be_named(source: str, trap: Trap) -> None:
    host = host_for(source)
    assert host.run(100).reason is StopReason.TRAPPED and host.machine.state().trap is trap


# ---- labels and quality ------------------------------------------------------------------------------------------

LABELLED = """
.labels
.memory 16384
        lit 5; lit 6; join; set0                # carries label 0
        liw s, 8192; lit 77; st32 s, s          # another leaf, without labels
        k0; get0; st32 s, s                     # the first leaf is labelled now
        {request}
        halt
"""
LAW = SoulLaw.parse(
    """
    permit(principal, action, resource);
    @id("secrets-stay") forbid(principal, action in Action::"outflow", resource)
        when { context.labels.contains("secret") } unless { resource == Device::"storage" };
    """,
    {"secret": 0},
)


@pytest.mark.parametrize(
    ("request_source", "is_denied"),
    [
        ("get0; out 0", True),
        ("lit 65; out 0", False),
        ("k0; k0; k4; sys 1", True),
        ("k0; liw s, 8192; k4; sys 1", False),
        ("k0; liw s, 4094; k4; sys 1", True),
        ("k0; liw s, 4096; liw s, 4200; sys 1", False),
        ("k0; liw s, 8192; get0; sys 1", True),
        ("lit 0x30; k0; k4; sys 1", False),
        ("k0; k4; sys 5", True),
        ("liw s, 8192; k4; sys 5", False),
        ("lit 0x40; liw s, 8192; get0; sys 1", True),
    ],
)
@pytest.mark.parametrize("engine", ["golden", "fast"])
def test_labelled_data_is_held_back(engine: str, request_source: str, is_denied: bool) -> None:
    output = bytearray()
    source = LABELLED.format(request=request_source)
    options: dict[str, Any] = everything() | {"console": Console(b"", output.extend)}
    host = Host(create_machine(engine), assemble(source), guard=LAW.tables("boot", devices=ADDRESSES), **options)
    host.run(1000)
    if is_denied:
        assert host.machine.state().trap is Trap.DENIED and not output and not host.payloads
        assert host.denial_log.records[0].policy == "secrets-stay"
    else:
        assert host.machine.state().trap is Trap.NONE


def test_a_window_over_two_leaves_has_the_labels_of_both() -> None:
    source = LABELLED.format(request="k0; liw s, 4000; liw s, 4200; sys 1")
    law = SoulLaw.parse(LAW.text, {"secret": 0})
    host = Host(create_machine("golden"), assemble(source), guard=law.tables("boot"))
    assert host.run(1000).reason is StopReason.TRAPPED


def test_quality_decides() -> None:
    law = SoulLaw.parse("permit(principal, action, resource) when { context.sqi.coherence > 60000 };")
    refusals = "in 0x0F; drop; " * 300
    for source, is_allowed in (("lit 65; out 0", True), (refusals + "lit 65; out 0", False)):
        host = Host(create_machine("golden"), assemble(source + "; halt"), guard=law.tables("boot"))
        reason = host.run(10_000).reason
        assert (reason is StopReason.HALTED) is is_allowed, host.machine.state().sqi


# ---- vetoes, errors, records -------------------------------------------------------------------------------------


def test_a_vetoed_packet_does_not_come_in() -> None:
    bus = MessageBus(1)
    law = SoulLaw.parse(
        """permit(principal, action, resource);
        @id("no-drafts") forbid(principal, action == Action::"ingest", resource)
            when { context.labels.contains("draft") };""",
        {"draft": 3},
    )
    sender, qwave = bus.join(1), QWave(bus, 0, [5])
    for labels, data in ((1 << 3, b"draft"), (0, b"final"), (1 << 3 | 1, b"other")):
        sender.send(None, 5, labels, data, 0)
    bus.note_time(1, 1 << 40)
    image = assemble(".memory 4096\nnop; nop; in 0x20; lit 0x20; k0; lit 64; sys 0; in 0x20; halt")
    host = Host(create_machine("golden"), image, devices={0x20: qwave}, guard=law.tables("boot", devices=["qwave"]))
    assert host.run(100).reason is StopReason.HALTED
    assert host.machine.state().data_stack == [1, 5, 0] and host.memory.read(1, 0, 5) == b"final"
    assert [(each.action, each.policy) for each in host.denial_log.records] == [("ingest", "no-drafts")] * 2
    assert host.denials[0] == "tick 2, pc 0x2: packet 0 of machine 1 denied: no-drafts"
    assert not host.may_ingest(8, 3, "collapsed beam 17") and host.may_ingest(1, 3, "collapsed beam 18")
    assert "collapsed beam 17 denied: no-drafts" in host.denials[2]


def test_export_is_asked_for() -> None:
    host = Host(create_machine("golden"), assemble("halt"), guard=LAW.tables("boot"))
    assert host.may_export(0, 10, "beams") and not host.may_export(1, 10, "beams")
    assert host.denial_log.counts["export", 'Device::"export"'] == 1


class Broken:
    def decide(self, action: Action, resource: Resource, facts: Callable[[], Facts]) -> str | None:
        raise RuntimeError("out of order")


def test_an_error_while_deciding_denies(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "vac.host"):
        assert_denied(host_for("lit 65; out 0", guard=Broken()), "error while deciding: RuntimeError: out of order")
    assert caplog.messages == ["tick 1, pc 0x2: out 0x00 denied: error while deciding: RuntimeError: out of order"]
    host = host_for("halt", guard=Broken())
    assert not host.may_ingest(0, 1, "beam")
    assert host.denial_log.by_kind() == {"capability": 0, "policy": 0, "device": 0, "error": 1}


def test_a_replay_is_denied_where_the_run_was() -> None:
    tables = LAW.tables("boot")
    source = LABELLED.format(request="get0; out 0")
    first = Host(create_machine("golden"), assemble(source), guard=tables)
    first.run(1000)
    again = Host(create_machine("golden"), assemble(source), replay=first.input_log)
    again.run(1000)
    assert again.machine.state().differences(first.machine.state()) == []


def test_a_denial_is_a_record() -> None:
    host = host_for("in 0x60")
    host.run(10)
    record = host.denial_log.records[0].to_json()
    assert record == {
        "type": "denial",
        "version": 1,
        "tick": 0,
        "pc": 0,
        "action": "in",
        "resource": 'Device::"device:0x60"',
        "request": "tick 0, pc 0x0: in 0x60",
        "policy": "not granted",
    }


def test_capabilities_by_name() -> None:
    names = {"console": True, "clock": True, "entropy": True, "memory": True, "payload": True, "net": False}
    assert capabilities_of(names) == DEFAULT
    assert capabilities_of({}) == Capability(0)
    for wrong in ("root", "CONSOLE"):
        with pytest.raises(CapabilityError, match="there is no capability"):
            capabilities_of({wrong: True})


def test_storage_stays_as_it_was_when_denied() -> None:
    file = io.BytesIO(b"0123")
    law = SoulLaw.parse('permit(principal, action == Action::"read", resource);')
    host = Host(
        create_machine("golden"),
        assemble(".memory 4096\nlit 0x30; k0; k2; sys 0; drop; lit 0x30; k0; k2; sys 1; halt"),
        storage=Storage(file, True),
        guard=law.tables("boot", devices=["storage"]),
    )
    assert host.run(100).reason is StopReason.TRAPPED
    assert file.getvalue() == b"0123" and host.memory.read(1, 0, 2) == b"01"
