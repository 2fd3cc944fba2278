"""`vac beams`: keep the beams of runs, and ask them what happened."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .export_policy import export_gates, tell_withheld
from .failure import fail, load_image, written_whole
from .redaction import read_redactor, tell_report

if TYPE_CHECKING:
    from ..beams.record import Events
    from ..beams.segments.segment_store import SegmentStore
    from ..beams.store import BeamStore, Progress

beams = typer.Typer(
    help="Keep the beams of runs, and ask them what happened.\n\n"
    "Exit codes: 0 done, 1 `verify` found damage, 2 bad input or a failing store, 130 interrupted.",
    no_args_is_help=True,
)

DAMAGED, INTERRUPTED = 1, 130
_CHUNK_BEAMS = 1 << 20
_QUIET_SECONDS = 2.0

Store = Annotated[
    str,
    typer.Option(
        "--store", "-s", envvar="VAC_BEAM_STORE", help="Folder, file.jsonl, sqlite:///FILE or postgresql://…",
        metavar="STORE",
    ),
]  # fmt: skip
Run = Annotated[str, typer.Option("--run", "-r", help="Name of the run.")]
AnyRun = Annotated[str | None, typer.Option("--run", "-r", help="Name of the run; every run where it is left out.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="Events at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, an object a line, instead of a table.")]
_STORE = "beams"


@beams.command()
def ingest(
    beam_file: Annotated[Path, typer.Argument(help="Beams as `vac run --beams` writes them.", metavar="BEAMFILE")],
    run: Run,
    store: Store = _STORE,
    first_tick: Annotated[int, typer.Option(min=0, help="Tick of the file's first beam.")] = 0,
    go_on: Annotated[bool, typer.Option("--continue", help="Leave out what the run has already.")] = False,
    container: Annotated[str, typer.Option(help="Container that a new run belongs to.")] = "",
    stage: Annotated[str, typer.Option(help="What retired the instructions: cpu, fpga, …")] = "cpu",
    image: Annotated[Path | None, typer.Option(help="Image of the run: with --log, exact cells by replay.")] = None,
    log: Annotated[Path | None, typer.Option(help="Input log of the run.")] = None,
) -> None:
    """Take the beams of a run into the store; each million is safe once it is taken."""
    from ..beams.errors import BadQuery
    from ..isa.beam import BEAM_BYTES

    if (image is None) != (log is None) or (image and first_tick):
        fail("exact cells need both --image and --log, and the beams from the first tick on")
    with _failures():
        # Before a store is made where there is none.
        try:
            size = beam_file.stat().st_size
            file = beam_file.open("rb")
        except OSError as error:
            fail(f"cannot read {str(beam_file)!r}: {error.strerror or error}")
        if size % BEAM_BYTES:
            raise BadQuery(f"{beam_file} has {size} bytes, not a whole number of beams of {BEAM_BYTES}")
    with _failures(), file, _opened(store, writable=True) as opened:
        count = size // BEAM_BYTES
        cells = _traced(image, log, beam_file) if image and log else None
        opened.add_run(run, container)
        skipped = min(max(opened.run(run).next_tick - first_tick, 0), count) if go_on else 0
        with _progress(f"ingest {beam_file}") as progress:
            file.seek(skipped * BEAM_BYTES)
            for start in range(skipped, count, _CHUNK_BEAMS):
                part = file.read(_CHUNK_BEAMS * BEAM_BYTES)
                own = None if cells is None else cells[start : start + _CHUNK_BEAMS]
                opened.ingest(run, first_tick + start, part, stage=stage, cells=own)
                opened.commit()
                progress(min(start + _CHUNK_BEAMS, count), count)
        opened.commit()
        left_out = f", {skipped:,} were there" if skipped else ""
        typer.echo(f"{run}: {count - skipped:,} beams taken{left_out}; the run has {opened.run(run).events:,} events")


@beams.command()
def runs(store: Store = _STORE, as_json: AsJson = False) -> None:
    """List the runs of a store."""
    with _failures(), _opened(store) as opened:
        rows = [
            (info.name, info.container, info.started.isoformat(), info.events, info.next_tick, info.joins)
            for info in opened.runs()
        ]
        _show_rows(["run", "container", "started", "events", "next_tick", "joins"], rows, as_json)


@beams.command()
def query(
    run: Run,
    store: Store = _STORE,
    first: Annotated[int, typer.Option(min=0, help="First tick.")] = 0,
    end: Annotated[int | None, typer.Option(help="Tick to stop before.")] = None,
    value: Annotated[str | None, typer.Option(help="Only beams that carried this value; the newest ones.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show the events of a range of ticks, or all that carried a value."""
    with _failures(), _opened(store) as opened:
        if value is None:
            _show(opened, run, opened.range(run, first, end, limit), as_json)
        else:
            _show(opened, run, opened.lineage_of_value(run, _number(value), limit), as_json)


@beams.command()
def lineage(
    cell: Annotated[str, typer.Argument(help="Such as mem:1:0x40, mem:?:0x40, site:0x12, dev:0x0 or a sheet's cell.")],
    run: AnyRun = None,
    store: Store = _STORE,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show the newest events of a cell, oldest first."""
    with _failures(), _opened(store) as opened:
        for name in _names(opened, run):
            _show(opened, name, opened.lineage(name, cell, limit), as_json)


@beams.command()
def ghost(
    eid: Annotated[str, typer.Argument(help="An EID, as `vac beams eids` lists them.")],
    store: Store = _STORE,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Show the newest events of an entangled set, oldest first."""
    with _failures(), _opened(store) as opened:
        for name in dict.fromkeys(event.sheet_run_id for event in opened.ghost_replay_for_eid(eid, 1)):
            _show(opened, name, opened.ghost(eid, limit, name), as_json)


@beams.command()
def eids(
    run: Run,
    store: Store = _STORE,
    newest: Annotated[int | None, typer.Option(min=0, help="Only those of the last joins.")] = 50,
) -> None:
    """List the EIDs of a run, a line each, oldest first."""
    with _failures(), _opened(store) as opened:
        for eid in opened.eids(run, newest):
            typer.echo(eid)


@beams.command()
def entanglement(
    run: Run,
    store: Store = _STORE,
    newest: Annotated[int | None, typer.Option(min=0, help="Only the sets of the last joins.")] = 16,
    as_json: AsJson = False,
) -> None:
    """Show which cells hold values of which entangled set."""
    with _failures(), _opened(store) as opened:
        with _progress(f"entanglement of {run}") as progress:
            found = opened.entanglement_map(run, newest, progress)
        if as_json:
            typer.echo(found.to_json())
            return
        rows = [(eid, len(cells), " ".join(cells[:8]) + (" …" if len(cells) > 8 else "")) for eid, cells in
                found.links.items()]  # fmt: skip
        _show_rows(["eid", "cells", ""], rows, as_json=False)


@beams.command()
def counts(run: Run, store: Store = _STORE, as_json: AsJson = False) -> None:
    """Count the events of a run by opcode or glyph."""
    with _failures(), _opened(store) as opened:
        found = opened.counts(run)
        if as_json:
            typer.echo(json.dumps(found, ensure_ascii=False))
        else:
            _show_rows(["token", "events"], list(found.items()), as_json=False)


@beams.command()
def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT over beams, runs and joins, in DuckDB's SQL.")],
    store: Store = _STORE,
    limit: Limit = 1000,
    as_json: AsJson = False,
) -> None:
    """Ask a folder of segments in SQL."""
    from ..beams.sql_view import query as answer

    with _failures(), _opened(store) as opened:
        found = answer(_segments(opened), statement, limit)
        _show_rows(found.columns, found.rows, as_json)
        if found.is_cut:
            typer.echo(f"more than {limit} rows; --limit shows more", err=True)


@beams.command()
def seal(run: AnyRun = None, store: Store = _STORE) -> None:
    """Compress the segments of a folder into columns."""
    with _failures(), _opened(store, writable=True) as opened:
        folder = _segments(opened)
        for name in _names(folder, run):
            with _progress(f"seal {name}") as progress:
                sealed = folder.seal(name, progress)
            typer.echo(f"{name}: {sealed:,} events sealed")


@beams.command()
def export(
    jsonl: Annotated[Path, typer.Option("--jsonl", help="File of JSON lines to write.", metavar="OUT")],
    run: AnyRun = None,
    store: Store = _STORE,
    redact: Annotated[Path | None, typer.Option(help="Redaction policy, JSON.", metavar="POLICY")] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Where the report of what was taken out goes; else standard error.", metavar="OUT"),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Policies in Cedar, asked `export` of each event.", metavar="FILE")
    ] = None,
    package: Annotated[Path | None, typer.Option(help="Package whose policy is asked.", metavar="PACKAGE")] = None,
    label: Annotated[list[str] | None, typer.Option(help="NAME=BIT: names a label for --policy.")] = None,
    quota_class: Annotated[str | None, typer.Option("--class", help="Quota class that the policy is told.")] = None,
) -> None:
    """Write events as JSON lines; the file is a store of its own. What a policy keeps back is left out, and said."""
    from ..beams.export import export_jsonl
    from ..host.guard import DenialLog

    if report and not redact:
        fail("--report needs --redact")
    with _failures():
        redactor, denials = read_redactor(redact) if redact else None, DenialLog()
        gate_of = export_gates(policy, package, label or [], quota_class, denials)
        with _opened(store) as opened:
            names = _names(opened, run)
            with written_whole(jsonl) as file, _progress(f"export to {jsonl}") as progress:
                written = export_jsonl(opened, names, file, redactor, progress, gate_of)
    typer.echo(f"{jsonl}: {written:,} events")
    tell_withheld(denials)
    if redactor:
        tell_report(redactor, report)


@beams.command()
def verify(store: Store = _STORE) -> None:
    """Read everything in a folder of segments and compare it with its checksums. Exits 1 where something is damaged."""
    with _failures(), _opened(store) as opened:
        folder = _segments(opened)
        with _progress(f"verify {store}") as progress:
            damages = folder.verify(progress)
        for damage in damages:
            typer.echo(damage)
        if damages:
            raise typer.Exit(DAMAGED)
        typer.echo(f"{store}: {sum(info.events for info in folder.runs()):,} events, all as they were written")


# ---- what the commands share -----------------------------------------------------------------------------------------


@contextmanager
def _failures() -> Iterator[None]:
    from ..beams.errors import BeamStoreError

    try:
        yield
    except BeamStoreError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        fail(f"this store needs {error.name}; install it with: pip install 'vac[store]'")
    except KeyboardInterrupt:
        fail("interrupted; what was committed is kept", INTERRUPTED)


@contextmanager
def _opened(name: str, writable: bool = False) -> Iterator[BeamStore]:
    from ..beams.opening import open_store

    with open_store(name, writable) as store:
        for repair in getattr(store, "repairs", ()):
            typer.echo(repair, err=True)
        yield store


def _names(store: BeamStore, run: str | None) -> list[str]:
    """The run that was named, or all of them."""
    return [info.name for info in store.runs()] if run is None else [run]


def _segments(store: BeamStore) -> SegmentStore:
    from ..beams.segments.segment_store import SegmentStore

    if not isinstance(store, SegmentStore):
        fail("this works on folders of segments only; a database has its own ways")
    return store


def _traced(image: Path, log: Path, beam_file: Path) -> Any:
    from ..beams.tracing import trace_cells
    from ..host.input_log import InputLog, InputLogError, ReplayError

    loaded = load_image(image)
    try:
        recorded = InputLog.from_text(log.read_text())
        with _progress("replay for exact cells") as progress:
            return trace_cells(loaded, recorded, beam_file.read_bytes(), progress)
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read {str(log)!r}: {error}")
    except (InputLogError, ReplayError) as error:
        fail(f"{log}: {error}")


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        fail(f"{text!r} is no number")


@contextmanager
def _progress(title: str) -> Iterator[Progress]:
    """A bar on a terminal, once it takes longer than two seconds."""
    if not sys.stderr.isatty():
        yield lambda done, whole: None
        return
    import time

    from rich.console import Console
    from rich.progress import Progress as Bar

    began = time.monotonic()
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, visible=False)

        def advance(done: int, whole: int) -> None:
            bar.update(task, completed=done, total=whole, visible=time.monotonic() - began > _QUIET_SECONDS)

        yield advance


def _show(store: BeamStore, run: str, events: Events, as_json: bool) -> None:
    if as_json:
        for line in store.lines(run, events):
            typer.echo(line)
        return
    rows = [
        (event.tick, event.cell_id, event.token, _result(event.result), event.stage, event.eid or "")
        for event in store.beam_events(run, events)
    ]
    _show_rows(["tick", "cell", "token", "result", "stage", "eid"], rows, as_json=False, title=run)


def _result(result: dict[str, Any]) -> str:
    if {"pc", "value", "labels", "flags"} <= result.keys():
        labels = f" labels {result['labels']:#06x}" if result["labels"] else ""
        return f"pc {result['pc']:#x} value {result['value']:#x}{labels}"
    return json.dumps(result, ensure_ascii=False)


def _show_rows(columns: list[str], rows: list[Any], as_json: bool, title: str | None = None) -> None:
    if as_json:
        for row in rows:
            typer.echo(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, default=str))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left", box=box.SIMPLE)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell_text(value)) for value in row))
    # Piped output has no width of its own.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _cell_text(value: object) -> str:
    return f"{value:,}" if type(value) is int else str(value)
