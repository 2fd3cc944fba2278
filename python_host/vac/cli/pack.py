"""`vac pack`: a program and what it may reach, as a package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from . import package_options
from .failure import fail
from .package_file import is_package, package_errors, working
from .run import load_program

_HERE = "by default PROGRAM with the suffix .vac"


def pack(
    program: Annotated[Path, typer.Argument(help="Image, or assembly source, which is assembled first.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help=f"NAME.vac for one file, else a folder for several; {_HERE}.", metavar="OUT"
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the package; by default that of OUT.")] = None,
    cap: Annotated[
        list[str] | None, typer.Option(help="Capability to grant; repeatable; `default` for the usual ones.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="ADDRESS=KIND[,OPTION=VALUE...]; by default one for each capability of a device."),
    ] = None,
    quota: Annotated[list[str] | None, typer.Option(help="NAME=NUMBER, such as max_ticks=1_000_000.")] = None,
    quota_class: Annotated[
        str | None, typer.Option(help="What policies are told of the machine; by default standard.")
    ] = None,
    seed: Annotated[
        list[str] | None, typer.Option(help="Seed of `entropy_probe`, or NAME=N for another generator.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="NAME=BIT: names an information-flow label.")] = None,
    mark: Annotated[
        list[str] | None, typer.Option(help="LABEL=SLOT[:OFFSET:LENGTH]: memory labelled from the start.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="Policies in Cedar.", metavar="FILE")] = None,
    author: Annotated[str | None, typer.Option(help="Who made it.")] = None,
    created: Annotated[
        str | None, typer.Option(help="2026-01-31T12:00:00Z; by default $SOURCE_DATE_EPOCH, else 1970.", metavar="TIME")
    ] = None,
    parent: Annotated[
        list[Path] | None,
        typer.Option(help="Image of a package to stand on: what it holds is not stored again. Then its own parents."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Make a package of PROGRAM: manifest, image, and nothing that depends on when or where it is made.

    Exits 0 when it is written, 2 for bad input.
    """
    from ..package.image_source import Folder, Named, find_chain, read_file
    from ..package.manifest import ARCHIVE_SUFFIX
    from ..package.pack import Description, name_from, pack, write_archive, write_files

    if is_package(program):
        fail(f"{program} is a package already; give its image, or the source")
    bits = package_options.label_bits(label or [])
    image = package_options.with_marks(load_program(program)[0], mark or [], bits)
    target = output or program.with_suffix(ARCHIVE_SUFFIX)
    is_archive = target.suffix == ARCHIVE_SUFFIX
    description = Description(
        name=name or name_from(target if is_archive else program),
        caps=package_options.capabilities(cap or []),
        devices=package_options.devices(device or []),
        quotas=package_options.quotas(quota or []),
        quota_class=quota_class,
        labels=bits,
        seeds=package_options.seeds(seed or []),
        policy=package_options.policy(policy),
        author=author,
        created=package_options.created(created),
    )
    parents = parent or []
    chain = []
    if parents:
        with package_errors(parents[0]):
            sources = [Named(tuple(parents[1:])), Folder(parents[0].parent)]
            chain = find_chain(parents[0].name, read_file(parents[0]), sources)
    with package_errors(target, "write"), working(f"packing {program}"):
        package = pack(image, description, chain)
        if is_archive:
            write_archive(package, target)
            written = [target]
        else:
            if (target / package.manifest.image.file).resolve() == program.resolve():
                fail(f"the package's image would overwrite {program}; choose another folder with -o, or --name")
            target.mkdir(parents=True, exist_ok=True)
            written = write_files(package, target)
    for warning in package_options.unreached(package.manifest):
        typer.echo(f"warning: {warning}", err=True)
    pages, stored = len(package.loaded.pages), package.loaded.head.stored_leaves
    report = {
        "files": [str(path) for path in written],
        "id": package.manifest.id,
        "root": package.root.hex(),
        "leaves": pages,
        "stored_leaves": stored,
    }
    if as_json:
        typer.echo(json.dumps(report))
        return
    typer.echo(f"{package.manifest.name}: {pages} leaves, {stored} of them stored, root {package.root.hex()}")
    for path in written:
        typer.echo(f"  {path}")
