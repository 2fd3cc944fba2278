"""`vac verify`: is it whole, who signed it, and may it run without run-time checks?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
) -> None:
    """Say whether PROGRAM is verified: every reached place is an instruction and every stack depth is known.

    Of a package every byte is checked first: manifest, image, root, signatures. Exits 0 when all is well, 1 when the
    code is not verified (the reasons follow), 2 when something is damaged or missing, a signature is wrong, or too few
    of the keys that are trusted have signed.
    """
    if is_package(image):
        package = open_package(image, parent or [])
        everybody = signers(package, trust or [], threshold)
        typer.echo(f"{image}: whole, root {package.root.hex()}")
        for signer in everybody:
            trusted = f"trusted as {signer.trusted_as}" if signer.trusted_as else "not among the trusted keys"
            typer.echo(f"  signed by {signer.key_id}, {trusted}")
        if not everybody:
            typer.echo("  signed by nobody")
        program = package.image
    elif trust:
        fail(f"{image} is no package, so nobody has signed it")
    else:
        program = load_image(image, parent or [])
    verdict = verify_image(program)
    if functions:
        for function in verdict.functions:
            typer.echo(_function_line(function))
    if verdict.is_verified:
        typer.echo(f"{image}: verified. {_size(verdict)}; {_depths(verdict)}")
        return
    typer.echo(f"{image}: not verified")
    for reason in verdict.reasons:
        typer.echo(f"  {reason}")
    raise typer.Exit(1)


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
