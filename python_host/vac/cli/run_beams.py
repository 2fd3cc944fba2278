"""Where `vac run` puts the beams: a file, a beam store, or both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..isa.beam import BEAM_BYTES
from .failure import fail, written_whole

if TYPE_CHECKING:
    from ..host.session import Host
    from .run_session import TakeBeams

_COMMITTED_BEAMS = 1 << 20
"""Each so many are safe once they are taken."""
_COMMIT_SECONDS = 2.0
_STAGES = {"board": "fpga"}


@contextmanager
def beam_store(name: str, run: str, host: Host, engine: str) -> Iterator[TakeBeams]:
    """A run of a store, which must not have it yet, or have it up to where the host stands. What was taken is kept
    whatever happens then."""
    from ..beams.errors import BeamStoreError
    from ..beams.opening import open_store
    from ..runtime.kept_beams import KeptBeams

    try:
        with open_store(name, writable=True) as store:
            first = host.machine.state().tick
            there = store.add_run(run).next_tick
            if there > first:
                fail(f"{name}: run {run!r} is there up to tick {there:,}; name another one with --run")
            kept, waiting = KeptBeams(store, host, run, _STAGES.get(engine, "cpu")), 0
            committed = time.monotonic()

            def take(first: int, records: bytes) -> None:
                nonlocal waiting, committed
                kept.keep(first, records)
                waiting += len(records) // BEAM_BYTES
                if waiting >= _COMMITTED_BEAMS or time.monotonic() > committed + _COMMIT_SECONDS:
                    store.commit()
                    waiting, committed = 0, time.monotonic()

            try:
                yield take
            finally:
                store.commit()
    except BeamStoreError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        fail(f"this store needs {error.name}; install it with: pip install 'vac[store]'")


def beam_outputs(
    stack: ExitStack, host: Host, engine: str, path: Path | None, store: str | None, run: str
) -> TakeBeams | None:
    """What takes the beams to all places that are named; None where there is none."""
    outputs: list[TakeBeams] = []
    if path:
        file = stack.enter_context(written_whole(path))
        outputs.append(lambda first, records: file.write(records))
    if store:
        outputs.append(stack.enter_context(beam_store(store, run, host, engine)))

    def take(first: int, records: bytes) -> None:
        for output in outputs:
            output(first, records)

    return take if outputs else None
