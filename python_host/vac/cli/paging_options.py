"""Options of commands that page the memory of machines. What does not fit together ends the command."""

from __future__ import annotations

from pathlib import Path
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
    from ..memory.address import DEFAULT_PAGE_BYTES
    from ..memory.errors import PagingError
    from ..memory.pager import DEFAULT_FRAMES, Pager
    from ..memory.policy import PolicyOptions
    from ..memory.tier_spec import TierSpecError, open_store, parse_size

    try:
        page_bytes = parse_size(page_size) if page_size else DEFAULT_PAGE_BYTES
        store = open_store(tiers or "ram", page_bytes)
    except TierSpecError as error:
        fail(f"--tiers or --page-size: {error}")
    except ValueError as error:
        fail(f"--page-size: {error}")
    except PagingError as error:
        fail(f"--tiers: {error}")
    except OSError as error:
        fail(f"--tiers: cannot open {str(error.filename or Path(tiers or ''))!r}: {error.strerror or error}")
    try:
        return Pager(store, frames or DEFAULT_FRAMES, None if prefetch else PolicyOptions(prefetch=None))
    except ValueError as error:
        store.close()
        fail(f"--frames: {error}")


def close_pager(pager: Pager) -> None:
    """Says what a tier has against it; no machine needs the pages any more."""
    from ..memory.errors import PagingError

    try:
        pager.close()
    except PagingError as error:
        typer.echo(f"closing the tiers: {error}", err=True)
