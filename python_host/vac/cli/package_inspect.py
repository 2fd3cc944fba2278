"""`vac inspect`: what a package or an image says of itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..image.image import MAGIC
from .failure import fail, load_image
from .package_file import is_package, open_package, package_errors, signers

if TYPE_CHECKING:
    from rich.table import Table

    from ..image.image import Image
    from ..package.page_table import LoadedImage

_PERMISSIONS = ("-", "r", "w", "rw")
_MOST_ROWS = 64


def inspect(
    path: Annotated[Path, typer.Argument(help="Package or program image.", metavar="PROGRAM")],
    pages: Annotated[
        bool, typer.Option("--pages", help="Also list every leaf: its hash, labels and where it is.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
    parent: Annotated[
        list[Path] | None, typer.Option(help="Image in which to look for parents, beside those there.", metavar="IMAGE")
    ] = None,
) -> None:
    """Show what PROGRAM says of itself. Exits 2 when it is damaged or missing."""
    report, loaded = _report(path, parent or [])
    if pages:
        if loaded is None:
            fail(f"{path} is an image of segments; only the page-table form lists leaves (`vac pack`)")
        report["pages"] = _pages(loaded)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        _print(report)


def _report(path: Path, parents: list[Path]) -> tuple[dict[str, Any], LoadedImage | None]:
    if is_package(path):
        package = open_package(path, parents)
        everybody = signers(package, [])
        files = {name: len(content) for name, content in sorted(package.files.items())}
        return {
            "package": str(path),
            "manifest": package.manifest.fields(),
            "image": _program(package.image) | _memory(package.loaded),
            "files": files,
            "signed_by": [signer.key_id for signer in everybody],
        }, package.loaded
    with package_errors(path), path.open("rb") as file:
        is_plain = file.read(len(MAGIC)) == MAGIC
    if is_plain:
        return {"image_file": str(path), "image": _program(load_image(path))}, None
    from ..package.image_source import load_paged_image

    with package_errors(path):
        loaded = load_paged_image(path, parents)
    return {"image_file": str(path), "image": _program(loaded.image) | _memory(loaded)}, loaded


def _program(image: Image) -> dict[str, Any]:
    return {
        "name": image.name,
        "isa_version": image.isa_version,
        "entry": image.entry,
        "frame": image.frame,
        "code_bytes": image.code_length,
        "function_table": image.table_entries,
        "has_labels": image.has_labels,
        "windows": [
            {"index": index, "slot": w.slot, "base": w.base, "length": w.length, "permissions": w.permissions}
            for index, w in image.windows
        ],
        "segments": [
            {"slot": s.slot, "offset": s.offset, "length": s.length, "labels": s.labels} for s in image.segments
        ],
    }


def _memory(loaded: LoadedImage) -> dict[str, Any]:
    head = loaded.head
    return {
        "root": loaded.root.hex(),
        "parent": head.parent.hex() if head.parent else None,
        "leaves": len(loaded.pages),
        "stored_leaves": head.stored_leaves,
        "blobs": [{"bytes": blob.size, "leaves": blob.leaves, "blake3": blob.hash.hex()} for blob in head.blobs],
    }


def _pages(loaded: LoadedImage) -> list[dict[str, Any]]:
    own = {(row.slot, row.number): row.place for row in loaded.head.pages}
    stored = loaded.head.stored_leaves
    return [
        {
            "slot": slot,
            "leaf": number,
            "hash": digest.hex(),
            "labels": loaded.leaves[digest][0],
            "place": place if (place := own.get((slot, number))) is not None and place < stored else None,
        }
        for (slot, number), digest in sorted(loaded.pages.items())
    ]


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    for table in _tables(report):
        console.print(table)


def _tables(report: dict[str, Any]) -> list[Table]:
    image, manifest = report["image"], report.get("manifest")
    tables = [_facts(str(report.get("package", report.get("image_file"))), manifest, image, report)]
    tables.append(
        _rows(
            "Windows",
            ("index", "slot", "base", "length", "permissions"),
            [
                (w["index"], w["slot"], f"{w['base']:#x}", f"{w['length']:,}", _PERMISSIONS[w["permissions"]])
                for w in image["windows"]
            ],
        )
    )
    tables.append(
        _rows(
            "Segments",
            ("slot", "offset", "bytes", "labels"),
            [(s["slot"], f"{s['offset']:#x}", f"{s['length']:,}", f"{s['labels']:#x}") for s in image["segments"]],
        )
    )
    if "pages" in report:
        rows = [
            (p["slot"], p["leaf"], f"{p['labels']:#x}", "parent" if p["place"] is None else p["place"], p["hash"])
            for p in report["pages"]
        ]
        tables.append(_rows("Leaves", ("slot", "leaf", "labels", "place", "hash"), rows, most=None))
    return [table for table in tables if table.row_count]


def _facts(
    title: str, manifest: dict[str, Any] | None, image: dict[str, Any], report: dict[str, Any]
) -> Table:  # fmt: skip
    from rich.markup import escape

    facts: dict[str, object] = {}
    if manifest:
        facts |= {
            "id": manifest["id"],
            "name": manifest["name"],
            "author": manifest["author"] or "–",
            "created": manifest["creation_time"],
            "signed by": ", ".join(report["signed_by"]) or "nobody",
            "capabilities": ", ".join(name for name, is_granted in manifest["caps"].items() if is_granted) or "none",
            "devices": ", ".join(f"{address} {spec['kind']}" for address, spec in manifest["devices"].items())
            or "none",
            "quotas": ", ".join(f"{k} {v:,}" for k, v in manifest["quotas"].items() if v is not None) or "none",
            "quota class": manifest.get("quota_class") or "standard",
            "labels": ", ".join(f"{name} (bit {bit})" for name, bit in manifest["labels"].items()) or "none",
            "seeds": ", ".join(f"{name} {seed}" for name, seed in manifest["seeds"].items()) or "none",
            "policy": "none"
            if manifest["policy"] is None
            else f"{len(manifest['policy'].splitlines())} lines of Cedar",
            "code": manifest["bytecode_hash"],
        }
    facts |= {"program": image["name"] or "–", "entry": f"{image['entry']:#x}, frame of {image['frame']} locals"}
    facts["code bytes"] = f"{image['code_bytes']:,}, {image['function_table']} entries in the function table"
    if "root" in image:
        facts |= {"root": image["root"], "parent": image["parent"] or "none"}
        size = sum(blob["bytes"] for blob in image["blobs"])
        facts["memory"] = f"{image['leaves']:,} leaves, {image['stored_leaves']:,} of them stored in {size:,} bytes"
    table = _rows(title, ("", ""), [(name, escape(str(value))) for name, value in facts.items()])
    table.show_header = False
    return table


def _rows(title: str, headings: tuple[str, ...], rows: list[tuple[Any, ...]], most: int | None = _MOST_ROWS) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows[:most]:
        table.add_row(*map(str, row))
    if most is not None and len(rows) > most:
        table.add_row(f"and {len(rows) - most:,} more", *[""] * (len(headings) - 1))
    return table
