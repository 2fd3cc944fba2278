"""`vac verify`: is it whole, who signed it, and may it run without run-time checks?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..image.verifier import Function, Verification
from ..image.verifier import verify as verify_image
from .failure import fail, load_image
from .package_file import is_package, open_package, signers


def verify(
    image: Annotated[Path, typer.Argument(help="Package or program image.", metavar="PROGRAM")],
    functions: Annotated[bool, typer.Option("--functions", "-f", help="Also list every function.")] = False,
    trust: Annotated[
        list[Path] | None,
        typer.Option("--key", help="Public key, or folder of them, that is trusted; repeatable.", metavar="KEYS"),
    ] = None,
    threshold: Annotated[int, typer.Option(help="How many trusted keys must have signed.", min=1)] = 1,
    parent: Annotated[
        list[Path] | None, typer.Option(help="Image in which to look for parents, beside those there.", metavar="IMAGE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Say whether PROGRAM is verified: every reached place is an instruction and every stack depth is known.

    Of a package every byte is checked first: manifest, image, root, signatures. Exits 0 when all is well, 1 when the
    code is not verified (the reasons follow), 2 when something is damaged or missing, a signature is wrong, or too few
    of the keys that are trusted have signed.
    """
    report: dict[str, Any] = {"program": str(image)}
    if is_package(image):
        package = open_package(image, parent or [])
        everybody = signers(package, trust or [], threshold)
        report |= {"id": package.manifest.id, "root": package.root.hex()}
        report["signed_by"] = [{"key_id": each.key_id, "trusted_as": each.trusted_as} for each in everybody]
        program = package.image
    elif trust:
        fail(f"{image} is no package, so nobody has signed it")
    else:
        program = load_image(image, parent or [])
    verdict = verify_image(program)
    report |= {"verified": verdict.is_verified, "reasons": [str(reason) for reason in verdict.reasons]}
    report |= {"data_cells": verdict.data_cells, "return_cells": verdict.return_cells}
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _say(report, verdict, functions)
    if not verdict.is_verified:
        raise typer.Exit(1)


def _say(report: dict[str, Any], verdict: Verification, functions: bool) -> None:
    program = report["program"]
    if "root" in report:
        typer.echo(f"{program}: whole, root {report['root']}")
        for signer in report["signed_by"]:
            trusted = f"trusted as {signer['trusted_as']}" if signer["trusted_as"] else "not among the trusted keys"
            typer.echo(f"  signed by {signer['key_id']}, {trusted}")
        if not report["signed_by"]:
            typer.echo("  signed by nobody")
    if functions:
        for function in verdict.functions:
            typer.echo(_function_line(function))
    if verdict.is_verified:
        typer.echo(f"{program}: verified. {_size(verdict)}; {_depths(verdict)}")
        return
    typer.echo(f"{program}: not verified")
    for reason in report["reasons"]:
        typer.echo(f"  {reason}")


def _size(verdict: Verification) -> str:
    return f"{_count(len(verdict.instructions), 'instruction')} in {_count(len(verdict.functions), 'function')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _depths(verdict: Verification) -> str:
    if verdict.data_cells is None:
        return "calls recurse, so the machine still checks for overflow"
    return (
        f"at most {_count(verdict.data_cells, 'cell')} on the data stack and {verdict.return_cells} on the return stack"
    )


def _function_line(function: Function) -> str:
    key = function.key
    if key.is_outermost:
        return f"{key.entry:#08x}  frame {key.frame:3}  outermost"
    leaves = "never returns" if function.net is None else f"leaves {function.consumes + function.net}"
    return f"{key.entry:#08x}  frame {key.frame:3}  takes {function.consumes}, {leaves}"
