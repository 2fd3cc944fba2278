"""What a machine is started with, and the host that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..devices.console import ByteSource, Console
from ..devices.device import Device
from ..devices.message_bus import BusError, MessageBus
from ..devices.registry import DeviceContext, DeviceKindError, create_device
from ..host.address_space import Shard
from ..host.capabilities import DEFAULT, Capability, CapabilityError, capabilities_of
from ..host.guard import device_name
from ..host.session import ALLOCATION_LIMIT, Host
from ..isa.ports import Device as Address
from ..machine.protocol import Machine
from ..policy.errors import PolicyError
from ..scheduler.errors import QuotaError
from ..scheduler.quota import Quota
from .errors import InvalidOption
from .vac_image import VacImage

_QUOTAS = ("max_ticks", "max_resident_pages", "max_beams", "max_io_per_slice")
_KINDS = {"qwave": Address.QWAVE, "storage": Address.STORAGE, "net": Address.NET}
_DEFAULT_KINDS = {"storage": "key_value"}


@dataclass
class StartOptions:
    """caps: capabilities by name, as in a manifest; None for what a manifest grants, or the usual ones. For qwave,
    storage and net, `True` also makes the device; storage is then one of keys and values.

    quotas: max_ticks, max_resident_pages, max_beams, max_io_per_slice; None for no limit, or the manifest's. devices:
    more of them, or these in another make, by first address. policy: text in Cedar. labels: bit of each label by its
    name, for the policy. quota_class: what the policy is told; None for the manifest's, or standard.

    input: of the console. output: called with what the console shows; it is kept as well.
    """

    caps: Mapping[str, bool] | None = None
    quotas: Mapping[str, int | None] | None = None
    devices: Mapping[int, Device] = field(default_factory=dict)
    policy: str | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    quota_class: str | None = None
    input: ByteSource | bytes = b""
    output: Callable[[bytes], object] | None = None
    seed: int | None = None
    shards: Sequence[Shard] = ()
    allocation_limit: int = ALLOCATION_LIMIT

    def quota(self, image: VacImage) -> Quota:
        """Raises InvalidOption."""
        values = dict(self.quotas or {})
        if unknown := [name for name in values if name not in _QUOTAS]:
            raise InvalidOption(f"there is no quota {unknown[0]!r}; there are {', '.join(_QUOTAS)}")
        if image.package:
            values = image.package.manifest.quotas.model_dump() | values
        try:
            quota = Quota(**values)
            quota.check()
        except (QuotaError, TypeError) as error:
            raise InvalidOption(str(error)) from error
        return quota

    def host(
        self,
        image: VacImage,
        machine: Machine,
        vm_id: str,
        number: int,
        show: Callable[[bytes], object],
        busses: Mapping[str, MessageBus],
        run: str,
        **more: Any,
    ) -> Host:
        """Raises InvalidOption. more: goes to `Host` as it is."""
        context = DeviceContext(number, run, self.input, show, net=busses["net"], qwave=busses["qwave"])
        try:
            if image.package:
                return self._host_of_package(image, machine, context, vm_id, **more)
            granted = DEFAULT if self.caps is None else capabilities_of(self.caps)
            devices = dict(self.devices)
            for kind, address in _KINDS.items():
                if Capability[kind.upper()] in granted and address not in devices:
                    peers = {"peers": ",".join(str(n) for n in range(16) if n != number)} if kind == "net" else {}
                    devices[address] = create_device(_DEFAULT_KINDS.get(kind, kind), peers, context)
            denied = [each for each in devices if self.caps is not None and not self._is_granted(each, granted)]
            for address in denied:
                del devices[address]
            if self.shards and self.caps is not None and Capability.MAP not in granted:
                raise InvalidOption("shards are given, but `map` is not among the capabilities")
            guard = self._guard(vm_id, [Address.CONSOLE, Address.CLOCK, *devices])
            return Host(
                machine, image.image, console=Console(self.input, show), devices=devices, seed=self.seed or 0,
                granted=granted, guard=guard, shards=self.shards, allocation_limit=self.allocation_limit, **more,
            )  # fmt: skip
        except (CapabilityError, DeviceKindError, BusError, PolicyError, ValueError) as error:
            raise InvalidOption(f"{vm_id}: {error}") from error

    def _is_granted(self, address: int, granted: Capability) -> bool:
        name = device_name(address)
        return name.startswith("device:") or Capability[name.upper()] in granted

    def _guard(self, vm_id: str, addresses: Sequence[int]) -> Any:
        if self.policy is None:
            return None
        from ..policy.soul_law import DEFAULT_QUOTA_CLASS, SoulLaw

        law = SoulLaw.parse(self.policy, self.labels)
        names = [device_name(address) for address in addresses]
        shards = [shard.number for shard in self.shards]
        return law.tables(vm_id, quota_class=self.quota_class or DEFAULT_QUOTA_CLASS, devices=names, shards=shards)

    def _host_of_package(
        self, image: VacImage, machine: Machine, context: DeviceContext, vm_id: str, **more: Any
    ) -> Host:  # fmt: skip
        from ..package.errors import PackageError
        from ..package.package_session import create_host

        assert image.package
        if self.caps is not None or self.devices or self.policy is not None:
            raise InvalidOption(
                f"{vm_id}: its package says what it may reach; caps, devices and policy are not for that"
            )
        try:
            return create_host(
                image.package, machine, context=context, seed=self.seed, shards=self.shards,
                quota_class=self.quota_class, allocation_limit=self.allocation_limit, **more,
            )  # fmt: skip
        except PackageError as error:
            raise InvalidOption(str(error)) from error
