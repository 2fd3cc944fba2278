"""`vac verify`: may this image run without run-time checks?"""

from pathlib import Path
from typing import Annotated

import typer

from ..image.verifier import Function, Verification
from ..image.verifier import verify as verify_image
from .failure import load_image


def verify(
    image: Annotated[Path, typer.Argument(help="Program image.", metavar="IMAGE")],
    functions: Annotated[bool, typer.Option("--functions", "-f", help="Also list every function.")] = False,
) -> None:
    """Say whether IMAGE is verified: every reached place is an instruction and every stack depth is known.

    Exits 0 when it is, 1 when it is not (the reasons follow), 2 when the image is damaged or missing.
    """
    verdict = verify_image(load_image(image))
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
