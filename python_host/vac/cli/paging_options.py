"""Options of commands that page the memory of machines. What does not fit together ends the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .failure import fail

if TYPE_CHECKING:
    from ..memory.pager import Pager

Frames = Annotated[
    int | None,
    typer.Option(help="Page the memory: pages in RAM at a time, of all machines together.", metavar="N", min=1),
]
PageSize = Annotated[
    str | None, typer.Option(help="Size of a page, 4KiB to 4MiB; by default 64KiB.", metavar="SIZE")
]  # fmt: skip
Tiers = Annotated[
    str | None,
    typer.Option(
        help="Where pages go, fastest first: ram, lz4@64MiB, file:FOLDER@10GiB, s3:http://HOST:PORT/BUCKET; "
        "the last one without a size. By default ram.",
        metavar="TIER,...",
    ),
]
Prefetch = Annotated[bool, typer.Option(help="Whether pages are fetched ahead of their use.")]


def open_pager(frames: int | None, page_size: str | None, tiers: str | None, prefetch: bool) -> Pager | None:
    """The pager that was asked for; None where no option asks for one."""
    if frames is None and page_size is None and tiers is None:
        return None
    from ..memory.pager_spec import PagerSpecError
    from ..memory.pager_spec import open_pager as pager_of

    try:
        return pager_of(frames, page_size, tiers, prefetch)
    except PagerSpecError as error:
        fail(f"--{error.option.replace('_', '-')}: {error}")


def close_pager(pager: Pager) -> None:
    """Says what a tier has against it; no machine needs the pages any more."""
    from ..memory.errors import PagingError

    try:
        pager.close()
    except PagingError as error:
        typer.echo(f"closing the tiers: {error}", err=True)
