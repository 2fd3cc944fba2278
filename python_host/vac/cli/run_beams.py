"""Where `vac run` and `vac schedule` put the beams: a file, a beam store, or both."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..isa.beam import BEAM_BYTES
from .failure import fail, written_whole

if TYPE_CHECKING:
    from ..beams.store import BeamStore
    from ..host.session import Host
    from .run_session import TakeBeams

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        "-s",
        help="Keep the beams and the denials in this beam store, as `vac beams` names it.",
        metavar="STORE",
    ),
]

_COMMITTED_BEAMS = 1 << 20
"""Each so many are safe once they are taken."""
_COMMIT_SECONDS = 2.0
_STAGES = {"board": "fpga"}


class RunsKept:
    """Runs of one store that is being written; made by `beam_store`. name: of the store, for messages."""

    def __init__(self, store: BeamStore, name: str) -> None:
        self._store = store
        self._name = name
        self._waiting = 0
        self._committed = time.monotonic()

    def check_free(self, runs: Iterable[str]) -> None:
        """Ends the command where the store has beams of one of these runs. Raises BeamStoreError, also for a name that
        no run can have."""
        from ..beams.run_state import checked_run_name

        there = {info.name: info.next_tick for info in self._store.runs()}
        for run in runs:
            if there.get(checked_run_name(run)):
                self._refuse(run, there[run])

    def taker(self, run: str, host: Host, engine: str) -> TakeBeams:
        """What takes the beams of a run, which the store must not have yet, or have it up to where the host stands.
        Raises BeamStoreError, and so does what takes them."""
        from ..runtime.kept_beams import KeptBeams

        there = self._store.add_run(run).next_tick
        if there > host.machine.state().tick:
            self._refuse(run, there)
        kept = KeptBeams(self._store, host, run, _STAGES.get(engine, "cpu"))

        def take(first: int, records: bytes) -> None:
            kept.keep(first, records)
            self._waiting += len(records) // BEAM_BYTES
            if self._waiting >= _COMMITTED_BEAMS or time.monotonic() > self._committed + _COMMIT_SECONDS:
                self._store.commit()
                self._waiting, self._committed = 0, time.monotonic()

        return take

    def _refuse(self, run: str, next_tick: int) -> None:
        fail(f"{self._name}: run {run!r} is there up to tick {next_tick:,}; name another one with --run")


@contextmanager
def beam_store(name: str) -> Iterator[RunsKept]:
    """A store, for runs to be kept in. What was taken is kept whatever happens then; what the store refuses ends the
    command."""
    from ..beams.errors import BeamStoreError
    from ..beams.opening import open_store

    try:
        with open_store(name, writable=True) as store:
            try:
                yield RunsKept(store, name)
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
        outputs.append(stack.enter_context(beam_store(store)).taker(run, host, engine))

    def take(first: int, records: bytes) -> None:
        for output in outputs:
            output(first, records)

    return take if outputs else None
