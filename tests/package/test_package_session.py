"""A machine that runs a package has what the manifest grants: devices, seeds, nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.package.programs import HELLO

from vac.assembler.assemble import assemble
from vac.devices.key_value import KeyValueStorage
from vac.devices.registry import DeviceContext
from vac.engines.registry import create_machine
from vac.host.address_space import Shard
from vac.image.image import Image
from vac.isa.traps import Trap
from vac.package.errors import GrantError, ManifestError
from vac.package.manifest import DeviceSpec, Quotas
from vac.package.pack import Description, pack
from vac.package.package import Package
from vac.package.package_session import create_host, quota


def package(source: str = HELLO, **described: Any) -> Package:
    return pack(assemble(source), Description("hello", **described))


def run(made: Package, engine: str = "golden", **given: Any) -> tuple[bytes, bytes, Trap]:
    """Console output, beams, trap."""
    out = bytearray()
    machine = create_machine(engine)
    create_host(made, machine, context=DeviceContext(console_sink=out.extend), **given).run(1000)
    return bytes(out), machine.drain_beams(), machine.state().trap


def test_every_engine_gives_the_same_beams() -> None:
    made = package(caps=("console", "entropy"), seeds={"entropy": 7})
    golden = run(made)
    assert golden[0] == b"Hi" and golden[2] is Trap.NONE
    assert run(made, "fast") == run(made, "jit") == golden
    assert run(made, seed=8)[1] != golden[1]
    unseeded = package(caps=("console", "entropy"))
    assert run(unseeded)[1] != golden[1] and run(unseeded, seed=7) == golden
    again = Package.from_members(dict(made.files), made.path)
    assert run(again) == golden


@pytest.mark.parametrize(
    ("source", "cap"),
    [
        ("in 0x01; halt", "console"),
        ("in 0x10; halt", "clock"),
        ("k1; sys 4; halt", "clock"),
        ("sys 6; halt", "entropy"),
        ("k1; lit 64; sys 2; halt", "memory"),
        ("k0; k0; sys 5; halt", "payload"),
    ],
)
def test_without_the_capability_it_is_denied(source: str, cap: str) -> None:
    others = tuple(name for name in ("console", "clock", "entropy", "memory", "payload") if name != cap)
    assert run(package(source, caps=others))[2] is Trap.DENIED
    assert run(package(source, caps=(cap,)))[2] is Trap.NONE


def test_devices_are_made_as_the_map_says() -> None:
    spec = DeviceSpec(kind="key_value", options={"quota": 4096})
    made = package("in 0x30; halt", caps=("storage",), devices={"0x30": spec, "0x50": spec})
    host = create_host(made, create_machine("golden"))
    assert isinstance(host.device(0x30), KeyValueStorage) and isinstance(host.device(0x50), KeyValueStorage)
    unreached = package("in 0x30; halt", devices={"0x30": spec})
    assert create_host(unreached, create_machine("golden")).device(0x30) is None
    assert run(unreached)[2] is Trap.DENIED
    assert run(package("in 0x01; halt", caps=("console",), devices={}))[2] is Trap.DENIED
    assert run(package("in 0x10; halt", caps=("clock",), devices={}))[2] is Trap.DENIED


@pytest.mark.parametrize(
    ("described", "given", "message"),
    [
        ({"caps": ("warp",)}, {}, "no capability 'warp'; there are console"),
        ({"seeds": {"waves": 1}}, {}, "no generator 'waves'"),
        ({"devices": {"0x50": DeviceSpec(kind="warp")}}, {}, "device warp at 0x50: there is no kind"),
        ({"devices": {"0x120": DeviceSpec(kind="key_value")}}, {}, "no device can be given at 0x120"),
        ({"devices": {"0x50": DeviceSpec(kind="key_value", options={"x": 1})}}, {}, "key_value has no option 'x'"),
        ({"caps": ("clock",), "devices": {"0x10": DeviceSpec(kind="key_value")}}, {}, "clock is at 0x10"),
        ({"caps": ("storage",)}, {}, "no file 'storage'"),
        ({}, {"shards": (Shard(1, b"x"),)}, "does not grant map"),
    ],
)
def test_what_does_not_fit_is_refused(described: dict[str, Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(GrantError, match=message):
        create_host(package(**described), create_machine("golden"), **given)


def test_the_policy_decides_within_the_capabilities() -> None:
    everything = "permit(principal, action, resource);"
    both = ("console", "entropy")
    assert run(package(caps=both, policy=everything))[2] is Trap.NONE
    assert run(package(caps=("console",), policy=everything))[2] is Trap.DENIED, "it cannot grant"
    assert run(package(caps=both, policy=""))[2] is Trap.DENIED, "what no policy permits is denied"
    silent = everything + '@id("silent") forbid(principal, action == Action::"out", resource == Device::"console");'
    host = create_host(package(caps=both, policy=silent), create_machine("golden"))
    host.run(1000)
    assert "silent" in host.denials[0]


def test_a_policy_that_is_none_is_not_packed() -> None:
    with pytest.raises(ManifestError, match="policy"):
        package(policy="permit everything")


def test_quotas_are_those_of_the_scheduler() -> None:
    limits = {"max_ticks": 5, "max_resident_pages": 6, "max_beams": 7, "max_io_per_slice": 8}
    found = quota(package(quotas=Quotas.make(**limits)).manifest)
    assert {name: getattr(found, name) for name in limits} == limits


def test_the_image_of_a_package_is_the_one_that_went_in() -> None:
    image: Image = assemble(HELLO)
    assert pack(image, Description("hello")).image == image
