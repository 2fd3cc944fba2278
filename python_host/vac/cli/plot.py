"""`vac plot`: a picture of what `vac schedule` recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .failure import fail, write_whole

_FORMATS = ("png", "svg")


def plot(
    statistics: Annotated[Path, typer.Argument(help="File that `vac schedule --statistics` wrote.", metavar="FILE")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Picture, PNG or SVG by its suffix; by default FILE.png.", metavar="OUT"),
    ] = None,
    machines: Annotated[
        list[str] | None,
        typer.Option("--machine", help="A machine to draw; repeatable. By default the first ten.", metavar="NAME"),
    ] = None,
) -> None:
    """Draw stalls and SQI of machines over time. Exits 2 when FILE holds no statistics or OUT cannot be written."""
    from ..scheduler.statistics_file import StatisticsError, read_statistics

    path = output or statistics.with_suffix(".png")
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _FORMATS:
        fail(f"{str(path)!r}: pictures are .png or .svg")
    if path.resolve() == statistics.resolve():
        fail(f"the picture would overwrite {str(statistics)!r}; name another file with -o")
    try:
        found = read_statistics(statistics)
    except OSError as error:
        fail(f"cannot read {str(statistics)!r}: {error.strerror or error}")
    except StatisticsError as error:
        fail(str(error))
    if not found.samples or not found.machines:
        fail(f"{statistics} has no sample of any machine")

    from ..scheduler.picture import MOST_MACHINES, picture  # takes a while to load

    chosen = _chosen(found.machines, machines) if machines else list(range(len(found.machines)))
    if len(chosen) > MOST_MACHINES:
        if machines:
            fail(f"{len(chosen)} machines are too many for one picture; name {MOST_MACHINES} at most")
        chosen = chosen[:MOST_MACHINES]
    write_whole(path, picture(found, chosen, kind))
    typer.echo(f"{path}: {len(chosen)} of {len(found.machines)} machines, {len(found.samples)} samples")


def _chosen(names: list[str], wanted: list[str]) -> list[int]:
    for name in wanted:
        if name not in names:
            few = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
            fail(f"there is no machine {name!r}; there are {few}")
    return [names.index(name) for name in dict.fromkeys(wanted)]
