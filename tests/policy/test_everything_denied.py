"""Every request that the instruction set knows, in every place, by a machine that was given nothing, or that a policy
forbids it: made from the tables, so that what is added there is tried here."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from vac.assembler.assemble import assemble
from vac.devices.console import Console
from vac.devices.device import REGISTERS
from vac.engines.registry import create_machine
from vac.host.address_space import Shard
from vac.host.capabilities import CAPABILITY_OF_CALL, CAPABILITY_OF_DEVICE, DEFAULT, Capability
from vac.host.guard import Action, DenialLog, Facts, Resource, device_name
from vac.host.session import Host
from vac.isa.limits import LABEL_BITS, POINTER_DISPLACEMENT_BITS, WINDOWS
from vac.isa.ports import SYSTEM_CALL_BY_NAME, SYSTEM_CALLS, Device
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac.machine.protocol import StopReason
from vac.machine.state import Status
from vac.policy.export_gate import ExportGate
from vac.policy.soul_law import SoulLaw
from vac.policy.vocabulary import GROUPS

from .test_walls import Lamp, everything

ADDRESSES = range(0, 0x100, REGISTERS)
HERE = [int(Device.CONSOLE), int(Device.CLOCK), *everything()["devices"]]
ENGINES = ["golden", "fast"]
ON_DEVICE = ("read", "write")
ARGUMENTS = {"device": 0, "pointer": 0, "length": 8, "window": 3, "shard_low": 7, "permissions": 1, "ticks": 5}


def call(name: str, **given: int) -> str:
    """A system call with arguments that would do where it is allowed."""
    found = SYSTEM_CALL_BY_NAME[name]
    values = [given.get(argument, ARGUMENTS.get(argument, 0)) for argument in found.arguments]
    return "; ".join([*(f"lit32 {value:#x}" for value in values), f"sys {found.number}"])


def requests() -> Iterator[tuple[str, str, str, str]]:
    """Program, action, kind of resource and its name, of everything that can be asked for."""
    for address in ADDRESSES:
        name = device_name(address)
        for register in range(REGISTERS):
            yield f"in {address + register:#x}", "in", "Device", name
            yield f"k1; out {address + register:#x}", "out", "Device", name
        for action in ON_DEVICE:
            yield call(action, device=address), action, "Device", name
    others = {"alloc": "memory", "sleep": "clock", "beam_emit": "beams", "entropy_probe": "entropy"}
    assert set(others) | {*ON_DEVICE, "map"} == {each.name for each in SYSTEM_CALLS}
    for action, name in others.items():
        for window in range(WINDOWS + 1) if action == "alloc" else (0,):
            yield call(action, window=window), action, "Device", name
    for window, permissions in product(range(WINDOWS + 1), range(1, 4)):
        yield call("map", window=window, permissions=permissions), "map", "Shard", "7"


ALL = list(requests())


def denied(host: Host, program: str, action: str, resource: str, policy: str, caplog: pytest.LogCaptureFixture) -> None:
    """It traps DENIED; there are a record, a line and a count, and nothing else has changed."""
    before = {**host.save(), "answered": 0}
    windows = list(host.machine.state().windows)
    caplog.clear()
    assert host.run(1000).reason is StopReason.TRAPPED, program
    state = host.machine.state()
    assert state.trap is Trap.DENIED, program
    (record,) = host.denial_log.records
    assert (record.tick, record.pc, record.action, record.resource, record.policy) == (
        state.tick, state.pc, action, resource, policy,
    ), program  # fmt: skip
    assert caplog.messages == [str(record)] and dict(host.denial_log.counts) == {(action, resource): 1}
    assert {**host.save(), "answered": 0} == before and state.windows == windows and not host.payloads
    assert host.memory.read(1, 0, 64) == bytes(64)


def host_of(program: str, engine: str, **options: Any) -> Host:
    return Host(create_machine(engine), assemble(f".memory 4096\n{program}; halt"), **options)


def test_all_there_is_to_ask_for_is_asked_for() -> None:
    actions = {action for _, action, _, _ in ALL}
    assert actions == set(Action) - {Action.INGEST, Action.EXPORT}  # which no program asks for
    asking = {each.mnemonic for each in INSTRUCTIONS if each.mnemonic in ("in", "out", "sys")}
    assert asking == {"in", "out", "sys"}
    assert {each.lower() for each in Device.__members__} == {
        name for _, _, _, name in ALL if not name.startswith("device:")
    } - {"memory", "beams", "entropy", "7"}
    assert set(CAPABILITY_OF_CALL) == {each.name for each in SYSTEM_CALLS} - set(ON_DEVICE)
    assert {*CAPABILITY_OF_CALL.values(), *CAPABILITY_OF_DEVICE.values()} == set(Capability)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_machine_that_was_given_nothing_gets_nothing(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vac.host")
    for program, action, kind, name in ALL:
        host = host_of(program, engine, granted=Capability(0))
        denied(host, program, action, f'{kind}::"{name}"', "not granted", caplog)


@pytest.mark.parametrize("engine", ENGINES)
def test_each_capability_is_all_that_it_grants(engine: str) -> None:
    """With one capability, what another one is for is denied, and what it is for is not."""
    for granted in Capability:
        reached: set[str] = set()
        for program, action, _, name in ALL:
            host = host_of(program, engine, granted=granted, console=Console(b"input"))
            host.run(1000)
            if host.machine.state().trap is not Trap.DENIED:
                reached.add(f"{action} {name}" if name in ("console", "clock") and action != "sleep" else action)
        expected = {call for call, needed in CAPABILITY_OF_CALL.items() if needed is granted}
        if granted in (Capability.CONSOLE, Capability.CLOCK):
            name = str(granted.name).lower()
            expected |= {f"{action} {name}" for action in ("in", "out", *ON_DEVICE)}
        assert reached == expected, granted  # the other devices are not there, whatever is granted


@pytest.mark.parametrize("engine", ENGINES)
def test_a_machine_that_has_everything_asks_a_policy_for_each_thing(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vac.host")
    names = [device_name(address) for address in HERE]
    nothing = SoulLaw.parse("").tables("boot", devices=names, shards=[7])
    for program, action, kind, name in ALL:
        is_there = kind == "Shard" or name in names or name in ("memory", "beams", "entropy")
        policy = "no policy permits it" if is_there else "not granted"
        denied(host_of(program, engine, guard=nothing, **everything()), program, action, f'{kind}::"{name}"', policy,
               caplog)  # fmt: skip


def test_a_policy_forbids_exactly_what_it_names() -> None:
    """Each pair of action and resource: forbidden by itself, everything else goes on as without the policy."""
    names = [device_name(address) for address in HERE]
    pairs = {(action, kind, name) for _, action, kind, name in ALL if kind == "Shard" or name in names}
    pairs |= {(action, kind, name) for _, action, kind, name in ALL if name in ("memory", "beams", "entropy")}
    one_each = {(action, kind, name): program for program, action, kind, name in ALL}
    for action, kind, name in sorted(pairs):
        law = SoulLaw.parse(
            f"""permit(principal, action, resource);
            @id("not-this") forbid(principal, action == Action::"{action}", resource == {kind}::"{name}");"""
        ).tables("boot", devices=names, shards=[7])
        for other in sorted(pairs):
            host = host_of(one_each[other], "fast", guard=law, **everything())
            host.run(1000)
            assert (host.machine.state().trap is Trap.DENIED) is (other == (action, kind, name)), (other, action, name)


OPERANDS = {"d4": "s", "a4": "l0", "p4": "l0", "b4": "l1", "x8": "0", "x20": "64"}
ACCESSES = {
    each.mnemonic: f"{each.mnemonic} "
    + ", ".join(OPERANDS[field] for field in each.format.split() if field in OPERANDS)
    for each in INSTRUCTIONS
    if each.access
}
"""Every load and store, through a pointer in l0 where it takes one."""


@pytest.mark.parametrize("engine", ENGINES)
def test_no_window_that_was_not_given_can_be_used(engine: str) -> None:
    """Loads, stores and pointers of system calls through every window but the one that the image has."""
    by_pointer = [text for text in ACCESSES.values() if "l0" in text]
    for window in range(1 << 32 - POINTER_DISPLACEMENT_BITS):
        pointer = window << POINTER_DISPLACEMENT_BITS
        programs = [f"lit32 {pointer:#x}; set0; li l1, 0; {text}" for text in by_pointer]
        programs += [call(each.name, pointer=pointer) for each in SYSTEM_CALLS if "pointer" in each.arguments]
        for program in programs:
            host = host_of(program, engine, **everything())
            assert host.run(1000).reason is (StopReason.TRAPPED if window else StopReason.HALTED), program
            assert host.machine.state().trap is (Trap.PERMISSION if window else Trap.NONE), program
            assert not window or not host.payloads


@pytest.mark.parametrize("engine", ENGINES)
def test_without_memory_nothing_can_be_loaded_or_stored(engine: str) -> None:
    assert len(ACCESSES) > 20
    for text in ACCESSES.values():
        image = replace(assemble(f"li l0, 64; li l1, 0; {text}; halt"), windows=())
        host = Host(create_machine(engine), image)
        assert host.run(1000).reason is StopReason.TRAPPED and host.machine.state().trap is Trap.PERMISSION, text


@pytest.mark.parametrize("given", [0, 1, 2, 3])
def test_no_window_is_wider_than_its_shard(given: int) -> None:
    for wanted, length in product(range(4), (0, 1, 64, 65, 1 << 28)):
        host = host_of(
            call("map", permissions=wanted, length=length), "golden", shards=[Shard(7, bytes(64), permissions=given)]
        )
        host.run(1000)
        window = host.machine.state().windows[3]
        assert host.machine.state().status is Status.HALTED
        is_fit = 0 < length <= 64 and wanted and not wanted & ~given
        assert (window.permissions, window.length) == ((wanted, length) if is_fit else (0, 0))


# ---- labels ------------------------------------------------------------------------------------------------------

SINKS = {
    **{f"out {name}": f"get0; out {address + 2:#x}" for name, address in (("qwave", 0x20), ("net", 0x40))},
    "out console": "get0; out 0",
    "out clock": "get0; out 0x13",
    "out storage": "get0; out 0x33",
    "out device:0x50": "get0; out 0x50",
    **{f"write {device_name(address)}": call("write", device=address, length=4) for address in HERE},
    "beam_emit beams": call("beam_emit", length=4),
}


def test_every_way_out_is_a_sink() -> None:
    asked = {f"{action} {name}" for _, action, _, name in ALL if action in GROUPS["outflow"]}
    there = {device_name(address) for address in HERE} | {"beams"}
    assert {each for each in asked if each.partition(" ")[2] in there} == set(SINKS)
    assert GROUPS["outflow"] == {Action(each.partition(" ")[0]) for each in SINKS} | {Action.EXPORT}


@pytest.mark.parametrize("engine", ENGINES)
def test_labelled_data_is_stopped_at_every_sink_and_other_data_is_not(engine: str) -> None:
    law = SoulLaw.parse(
        """permit(principal, action, resource);
        @id("stays") forbid(principal, action in Action::"outflow", resource) when { context.labels.contains("l0") };"""
    ).tables("boot", devices=[device_name(address) for address in HERE])
    for name, program in SINKS.items():
        for is_labelled in (True, False):
            value = "lit 5; lit 6; join" if is_labelled else "k4"
            source = f".labels\n.memory 8192\n{value}; set0\nk0; get0; st32 s, s\n{program}; halt"
            host = Host(create_machine(engine), assemble(source), guard=law, **everything())
            host.run(1000)
            found = [record.policy for record in host.denial_log.records]
            assert found == (["stays"] if is_labelled else []), (name, is_labelled)


@pytest.mark.parametrize("bit", range(LABEL_BITS))
def test_every_label_is_told_from_the_others(bit: int) -> None:
    law = SoulLaw.parse(
        f"""permit(principal, action, resource);
        forbid(principal, action, resource) when {{ context.labels.contains("l{bit}") }};"""
    ).tables("boot")
    host = Host(create_machine("golden"), assemble("halt"), guard=law)
    for other in range(LABEL_BITS):
        assert host.may_export(1 << other, 1, "beams") is (other != bit)
        assert host.may_ingest(1 << other, 1, "packet") is (other != bit)
    log = DenialLog()
    gate = ExportGate("run", law, log)
    assert [gate.permits(7, 0x10, 1 << other) for other in range(LABEL_BITS)] == [
        other != bit for other in range(LABEL_BITS)
    ]
    gate.close()
    assert [str(record) for record in log.records] == [
        f"tick 7, pc 0x10: 1 events of run with labels {1 << bit:#06x} denied: policy1"
    ]


def test_denials_of_an_export_are_told_together(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def decide(self, action: Action, resource: Resource, facts: Callable[[], Facts]) -> str | None:
            raise RuntimeError("out of order")

    caplog.set_level(logging.INFO, "vac.host")
    log = DenialLog()
    gate = ExportGate("sort", Broken(), log)
    assert not any(gate.permits(tick, 0, tick % 2) for tick in range(1000))
    gate.close()
    gate.close()
    assert len(log.records) == len(caplog.messages) == 2 and sum(log.counts.values()) == 1000
    assert "500 events of sort" in caplog.messages[0] and "out of order" in caplog.messages[0]
    assert json.dumps([record.to_json() for record in log.records])


def test_the_usual_capabilities_are_all_but_those_that_something_is_given_for() -> None:
    assert DEFAULT == ~(Capability.QWAVE | Capability.STORAGE | Capability.NET | Capability.MAP)
    assert isinstance(everything()["devices"][0x50], Lamp)
