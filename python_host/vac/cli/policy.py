"""`vac policy`: is a policy well-formed, and what does it say to a request?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failure import fail
from .package_options import number, pairs

if TYPE_CHECKING:
    from ..host.guard import Action, Facts, Resource
    from ..policy.soul_law import SoulLaw

ALLOWED, DENIED = 0, 1
_NAMED_DEVICES = ("console", "clock", "qwave", "storage", "net")
_RESOURCE_OF = {
    "alloc": "memory",
    "sleep": "clock",
    "beam_emit": "beams",
    "entropy_probe": "entropy",
    "ingest": "qwave",
    "export": "export",
}


def policy(
    file: Annotated[Path, typer.Argument(help="Policies in Cedar.")],
    ask: Annotated[
        str | None,
        typer.Option(help="ACTION or ACTION:RESOURCE, such as write:net, map:7, alloc.", metavar="REQUEST"),
    ] = None,
    vm: Annotated[str, typer.Option(help="Name of the machine that asks.")] = "vm0",
    quota_class: Annotated[str, typer.Option("--class", help="Its quota class.")] = "standard",
    label: Annotated[list[str] | None, typer.Option(help="NAME=BIT: names an information-flow label.")] = None,
    carrying: Annotated[list[str] | None, typer.Option(help="Label of what goes out; repeatable.")] = None,
    fact: Annotated[
        list[str] | None,
        typer.Option(help="NAME=NUMBER: length, permissions, register, tick, coherence, entropy, drift."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object, with the tables.")] = False,
) -> None:
    """Check the policies in FILE and compile them; with --ask, say what they decide, and Cedar's own engine with them.

    Exits 0 when they are well-formed and allow it, 1 when they deny it, 2 for bad input.
    """
    from ..policy.errors import PolicyError
    from ..policy.referee import cedar_decides
    from ..policy.soul_law import SoulLaw

    bits = {name: number(text, "--label") for name, text in pairs(label or [], "--label").items()}
    try:
        law = SoulLaw.load(file, bits)
        action, resource = _request(ask) if ask else (None, None)
        device = resource.name if resource and resource.kind == "Device" else "console"
        shards = [int(resource.name)] if resource and resource.kind == "Shard" else []
        devices = dict.fromkeys([*_NAMED_DEVICES, device])
        tables = law.tables(vm, quota_class=quota_class, devices=devices, shards=shards)
        report: dict[str, Any] = {"file": str(file), "policies": [each.name for each in law.policies]}
        if action and resource:
            known = _facts(law, carrying or [], fact or [])
            denied_by = tables.decide(action, resource, lambda: known)
            allowed, reasons = cedar_decides(law, vm, action, resource, known, quota_class)
            report |= {"allowed": denied_by is None, "denied_by": denied_by}
            report["cedar"] = {"allowed": allowed, "policies": reasons}
    except PolicyError as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot read {str(file)!r}: {error.strerror or error}")
    if as_json:
        typer.echo(json.dumps(report | {"tables": tables.to_json()}))
    else:
        typer.echo(f"{file}: {len(law.policies)} policies, well-formed")
        if ask:
            denied_by = report["denied_by"]
            typer.echo(f"{ask}: {'allowed' if denied_by is None else f'denied: {denied_by}'}")
    raise typer.Exit(ALLOWED if report.get("allowed", True) else DENIED)


def _request(ask: str) -> tuple[Action, Resource]:
    from ..host.guard import Action, Resource

    word, _, name = ask.partition(":")
    if word not in list(Action):
        fail(f"--ask {ask!r}: there is no action {word!r}; there are {', '.join(Action)}")
    if word == Action.MAP:
        return Action.MAP, Resource("Shard", str(number(name, "--ask")))
    if word in _RESOURCE_OF and name in ("", _RESOURCE_OF[word]):
        return Action(word), Resource("Device", _RESOURCE_OF[word])
    if not name or word in _RESOURCE_OF:
        wanted = _RESOURCE_OF.get(word, "console")
        fail(f"--ask {ask!r}: write {word}:{wanted}")
    return Action(word), Resource("Device", name)


def _facts(law: SoulLaw, carrying: Sequence[str], words: Sequence[str]) -> Facts:
    from ..host.guard import Facts
    from ..isa.sqi import Sqi

    labels = 0
    for name in carrying:
        labels |= law.labels.mask(name)
    values = {name: number(text, "--fact") for name, text in pairs(words, "--fact").items()}
    quality = {name: values.pop(name) for name in ("coherence", "entropy", "drift") if name in values}
    if unknown := values.keys() - {"length", "permissions", "register", "tick"}:
        fail(f"--fact: there is no number {min(unknown)!r}")
    if any(not 0 <= value < 1 << 63 for value in [*values.values(), *quality.values()]):
        fail("--fact: numbers are 0 to 2**63 - 1")
    return Facts(labels, Sqi(**quality), **values)
