"""A package on a machine: what its manifest grants, and nothing else, stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..devices.console import Console
from ..devices.storage import Storage
from ..host.address_space import Shard
from ..host.capabilities import CAPABILITY_OF_DEVICE, Capability
from ..host.input_log import InputLog
from ..host.session import Host
from ..isa.ports import Device
from ..machine.protocol import Machine
from ..memory.pager import Pager
from ..scheduler.quota import Quota
from .errors import GrantError
from .manifest import Manifest
from .package import Package

ENTROPY_SEED = "entropy"
"""Name of the seed of `entropy_probe`."""


def granted(manifest: Manifest) -> Capability:
    """The capabilities that a manifest grants; that of a device only where the device is in its map.

    Raises GrantError for a capability, device, kind or seed that this host does not have.
    """
    capabilities = Capability(0)
    for name, is_granted in manifest.caps.items():
        member = Capability.__members__.get(name.upper())
        if member is None or name != name.lower():
            known = ", ".join(str(capability.name).lower() for capability in Capability)
            raise GrantError(f"the manifest grants capability {name!r}, which this host does not have; it has {known}")
        if is_granted:
            capabilities |= member
    mapped = Capability(0)
    for address, spec in manifest.devices.items():
        device = _device(address, spec.kind)
        if spec.options:
            raise GrantError(f"device {spec.kind} at {address} has no option {next(iter(spec.options))!r}")
        mapped |= CAPABILITY_OF_DEVICE[device]
    for capability in CAPABILITY_OF_DEVICE.values():
        if capability not in mapped:
            capabilities &= ~capability
    unknown = sorted(manifest.seeds.keys() - {ENTROPY_SEED})
    if unknown:
        raise GrantError(f"the manifest has a seed for {unknown[0]!r}, which this host does not have")
    return capabilities


def _device(address: str, kind: str) -> Device:
    number = int(address, 16)
    for device in CAPABILITY_OF_DEVICE:
        if device == number and device.name.lower() == kind:
            return device
    there = ", ".join(f"{device.name.lower()} at {device:#04x}" for device in CAPABILITY_OF_DEVICE)
    raise GrantError(f"the manifest has device {kind} at {address}; this host has {there}")


def quota(manifest: Manifest) -> Quota:
    """The manifest's quotas as the scheduler takes them."""
    return Quota(**manifest.quotas.model_dump())


def create_host(
    package: Package,
    machine: Machine,
    *,
    console: Console | None = None,
    storage: Storage | None = None,
    shards: Sequence[Shard] = (),
    seed: int | None = None,
    replay: InputLog | None = None,
    pager: Pager | None = None,
    **options: Any,
) -> Host:
    """A host that runs the package on this machine from its first tick.

    console, storage, shards: what stands behind the devices and `map`. seed: in place of the manifest's. options: go to
    `Host` as they are. Raises GrantError where the manifest does not grant what is given here, or grants what this host
    does not have.
    """
    capabilities = granted(package.manifest)
    for given, capability in ((storage, Capability.STORAGE), (shards, Capability.MAP)):
        if given and capability not in capabilities:
            raise GrantError(
                f"package {package.manifest.name} does not grant {str(capability.name).lower()}, which was given to it"
            )
    return Host(
        machine,
        package.image,
        console=console,
        storage=storage,
        seed=package.manifest.seeds.get(ENTROPY_SEED, 0) if seed is None else seed,
        granted=capabilities,
        shards=shards,
        replay=replay,
        pager=pager,
        **options,
    )
