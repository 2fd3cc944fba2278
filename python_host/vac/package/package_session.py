"""A package on a machine: what its manifest grants, and nothing else, stands behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..devices.console import Console
from ..devices.device import Device
from ..devices.message_bus import BusError
from ..devices.registry import DeviceContext, DeviceKindError, create_device
from ..host.address_space import Shard
from ..host.capabilities import CAPABILITY_OF_DEVICE, Capability, CapabilityError, capabilities_of
from ..host.guard import Guard, device_name
from ..host.session import Host
from ..isa import ports
from ..machine.protocol import Machine
from ..scheduler.quota import Quota
from .errors import GrantError
from .manifest import Manifest
from .package import Package

ENTROPY_SEED = "entropy"
"""Name of the seed of `entropy_probe`."""
_ALWAYS_THERE = (ports.Device.CONSOLE, ports.Device.CLOCK)
"""What stands at these addresses is of this kind, and every host has one; it is reached only when it is granted."""


def granted(manifest: Manifest) -> Capability:
    """The capabilities that a manifest grants; that of a device only where something is at its address.

    Raises GrantError for a capability or a seed that this host does not have.
    """
    try:
        capabilities = capabilities_of(manifest.caps)
    except CapabilityError as error:
        raise GrantError(f"{manifest.name}: {error}") from error
    mapped = {int(address, 16) for address in manifest.devices}
    for device, capability in CAPABILITY_OF_DEVICE.items():
        if device not in mapped:
            capabilities &= ~capability
    unknown = sorted(manifest.seeds.keys() - {ENTROPY_SEED})
    if unknown:
        raise GrantError(f"{manifest.name}: there is no generator {unknown[0]!r} to seed; there is {ENTROPY_SEED!r}")
    return capabilities


def create_devices(manifest: Manifest, context: DeviceContext) -> dict[int, Device]:
    """What the device map says, by first address, as far as the capabilities reach.

    Raises GrantError for a kind or an option that does not exist, and where something was not given that it needs.
    """
    capabilities = granted(manifest)
    devices: dict[int, Device] = {}
    for text, spec in sorted(manifest.devices.items()):
        address = int(text, 16)
        named = next((device for device in CAPABILITY_OF_DEVICE if device == address), None)
        if named is not None and CAPABILITY_OF_DEVICE[named] not in capabilities:
            continue
        if named is not None and named in _ALWAYS_THERE and spec.kind != named.name.lower():
            raise GrantError(f"{manifest.name}: {named.name.lower()} is at {text}, and nothing else can be")
        try:
            devices[address] = create_device(spec.kind, spec.options, context)
        except (DeviceKindError, BusError, ValueError) as error:
            raise GrantError(f"{manifest.name}: device {spec.kind} at {text}: {error}") from error
    return devices


def create_guard(
    manifest: Manifest, devices: Iterable[int], shards: Iterable[int], quota_class: str | None
) -> Guard | None:
    """What decides by the manifest's policy, None without one. devices: first addresses of those that the run has.
    quota_class: in place of the manifest's.

    Raises GrantError for a policy that cannot be compiled.
    """
    if manifest.policy is None:
        return None
    from ..policy.errors import PolicyError  # the parser of policies takes its time
    from ..policy.soul_law import DEFAULT_QUOTA_CLASS, SoulLaw

    try:
        law = SoulLaw.parse(manifest.policy, manifest.labels, "policy")
        names = [device_name(address) for address in devices]
        quota_class = quota_class or manifest.quota_class or DEFAULT_QUOTA_CLASS
        return law.tables(manifest.name, quota_class=quota_class, devices=names, shards=shards)
    except PolicyError as error:
        raise GrantError(f"{manifest.name}: {error}") from error


def quota(manifest: Manifest) -> Quota:
    """The manifest's quotas as the scheduler takes them."""
    return Quota(**manifest.quotas.model_dump())


def create_host(
    package: Package,
    machine: Machine,
    *,
    context: DeviceContext | None = None,
    seed: int | None = None,
    shards: Sequence[Shard] = (),
    guard: Guard | None = None,
    quota_class: str | None = None,
    **options: Any,
) -> Host:
    """A host that runs the package on this machine from its first tick.

    context: what this run gives to the devices of the map: console, files, busses. shards: what `map` can reach.
    seed: in place of the manifest's. guard: in place of the manifest's policy. quota_class: in place of
    the manifest's. options: go to `Host` as they are.
    Raises GrantError where the manifest and this host do not fit, or something is given that it does not grant.
    """
    manifest = package.manifest
    context = context or DeviceContext()
    capabilities = granted(manifest)
    for what, given, capability in (
        ("shards are", shards, Capability.MAP),
        ("files are", context.files, Capability.STORAGE),
    ):
        if given and capability not in capabilities:
            wanted = str(capability.name).lower()
            raise GrantError(f"{manifest.name}: {what} given to it, but it does not grant {wanted}")
    devices = create_devices(manifest, context)
    if guard is None:
        guard = create_guard(manifest, devices, [shard.number for shard in shards], quota_class)
    console = devices.pop(ports.Device.CONSOLE, None)
    devices.pop(ports.Device.CLOCK, None)
    try:
        return Host(
            machine,
            package.image,
            console=console if isinstance(console, Console) else None,
            devices=devices,
            seed=manifest.seeds.get(ENTROPY_SEED, 0) if seed is None else seed,
            granted=capabilities,
            guard=guard,
            shards=shards,
            **options,
        )
    except ValueError as error:
        raise GrantError(f"{manifest.name}: {error}") from error
