"""`vac beams export --policy` and `--package`: who says what may leave the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .failure import fail
from .package_file import open_package
from .package_options import label_bits

if TYPE_CHECKING:
    from ..host.guard import DenialLog
    from ..package.manifest import Manifest
    from ..policy.export_gate import ExportGate


def export_gates(
    policy: Path | None, package: Path | None, labels: Sequence[str], quota_class: str | None, denials: DenialLog
) -> Callable[[str], ExportGate] | None:
    """Makes the gate of a run by its name, which is also that of the machine; a package's machine has the package's.
    None where nothing is to be asked. Ends the command where these do not fit together, or the policy is none."""
    if policy is None and package is None:
        if labels or quota_class:
            fail("--label and --class are for --policy")
        return None
    if policy and package:
        fail("a package says its own policy: --policy or --package, not both")
    from ..policy.errors import PolicyError
    from ..policy.export_gate import ExportGate
    from ..policy.soul_law import DEFAULT_QUOTA_CLASS, SoulLaw

    try:
        if policy:
            law, machine = SoulLaw.load(policy, label_bits(labels)), None
        else:
            assert package
            if labels:
                fail("a package names its own labels: --label is for --policy")
            manifest = open_package(package).manifest
            if manifest.policy is None:
                fail(f"{package} has no policy")
            law, machine = SoulLaw.parse(manifest.policy, manifest.labels, str(package)), manifest.name
            quota_class = quota_class or manifest.quota_class
        law.tables("")
    except PolicyError as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot read {str(policy)!r}: {error.strerror or error}")
    name = quota_class or DEFAULT_QUOTA_CLASS
    return lambda run: ExportGate(run, law.tables(machine or run, quota_class=name), denials)


def export_gate(manifest: Manifest, run: str, denials: DenialLog) -> ExportGate | None:
    """Of the policy that a package has; None where it has none."""
    if manifest.policy is None:
        return None
    from ..policy.errors import PolicyError
    from ..policy.export_gate import ExportGate
    from ..policy.soul_law import DEFAULT_QUOTA_CLASS, SoulLaw

    try:
        law = SoulLaw.parse(manifest.policy, manifest.labels)
    except PolicyError as error:
        fail(str(error))
    return ExportGate(run, law.tables(manifest.name, quota_class=manifest.quota_class or DEFAULT_QUOTA_CLASS), denials)


def tell_withheld(denials: DenialLog) -> None:
    """On standard error, a line for each label set that a policy kept back."""
    for record in denials.records:
        typer.echo(f"withheld {record}", err=True)
