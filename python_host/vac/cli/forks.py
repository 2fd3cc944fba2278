"""`vac fork`, `vac runs`, `vac export`, `vac import`: recordings and their other futures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..engines.registry import ENGINES
from .console_output import ConsoleOutput
from .export_policy import export_gate, tell_withheld
from .failure import fail, written_whole
from .package_options import QuotaWords, changed_quota
from .paging_options import Frames, PageSize, Prefetch, Tiers
from .progress import progress
from .record import NEVER, exit_code, in_words, machine_of, open_input, paged, recording_errors, run_recorder
from .redaction import read_redactor, tell_report

if TYPE_CHECKING:
    from ..recording.recording import Recording


def fork(
    recording: Annotated[Path, typer.Argument(help="Recording to fork from.", metavar="RUN")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new one.", metavar="NEW")],
    at: Annotated[int, typer.Option("--at", help="The tick from which on it is another run.", min=0)],
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Console input from there on; by default standard input.")
    ] = None,
    patch: Annotated[
        list[str] | None, typer.Option(help="Bytes that memory has from there on.", metavar="SLOT:OFFSET=HEX")
    ] = None,
    storage: Annotated[Path | None, typer.Option(help="The bytes of device 0x30, read-only.", metavar="FILE")] = None,
    name: Annotated[str | None, typer.Option(help="Of the new run.")] = None,
    ticks: Annotated[int, typer.Option(help="Stop at this tick.", min=0, max=NEVER)] = NEVER,
    engine: Annotated[str, typer.Option(help=f"One of: {', '.join(ENGINES)}.")] = "fast",
    quota: QuotaWords = None,
    frames: Frames = None,
    page_size: PageSize = None,
    tiers: Tiers = None,
    prefetch: Prefetch = True,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Run on from a tick of a recording with other input, or other memory, and record that.

    Exits as `vac record` does.
    """
    from ..recording.program import Program
    from ..recording.recording import Recording
    from ..recording.start import fork_recording

    patches, console = [_patch(text) for text in patch or []], ConsoleOutput()
    with recording_errors(), open_input(input_file) as source, paged(frames, page_size, tiers, prefetch) as pager:
        parent = Recording(recording)
        given = Program.from_recording(parent)
        given.source, given.sink, given.pager = source, console, pager
        given.storage = storage or given.storage
        given.quota = changed_quota(quota or [], asdict(given.limits))
        recorder = fork_recording(parent, at, output, given, lambda: machine_of(engine), patches, name)
        report = run_recorder(recorder, ticks)
    typer.echo(json.dumps(report) if as_json else in_words(report), err=True)
    console.check()
    raise typer.Exit(exit_code(report["reason"]))


def _patch(text: str) -> tuple[int, int, bytes]:
    try:
        place, data = text.split("=")
        slot, offset = place.split(":")
        return int(slot, 0), int(offset, 0), bytes.fromhex(data)
    except ValueError:
        fail(f"--patch {text!r}: SLOT:OFFSET=HEX is expected, as in 1:0x40=ff00")


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds recordings.")] = Path("."),
    prune: Annotated[
        str | None, typer.Option(help="Remove the run of this folder or id, and all that were forked from it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the recordings in a folder, forks under what they were forked from.

    Exits 0, 2 where there is no such folder or run, or one is damaged.
    """
    from ..recording.family import family, flattened
    from ..recording.family import prune as remove

    if not folder.is_dir():
        fail(f"{str(folder)!r} is no folder")
    with recording_errors():
        found = list(flattened(family(folder)))
        if prune is not None:
            chosen = [kin for kin in found if prune in (kin.recording.about.id, kin.recording.folder.name)]
            if len(chosen) != 1:
                fail(f"{len(chosen)} runs in {folder} are called {prune!r}")
            for path in remove(chosen[0]):
                typer.echo(f"removed {path}")
            return
        for kin in found:
            about = kin.recording.about
            fields: dict[str, Any] = {
                "folder": str(kin.recording.folder),
                "id": about.id,
                "name": about.name,
                "created": about.created,
                "ticks": about.end.tick if about.end else kin.recording.known_tick,
                "end": about.end.reason if about.end else None,
                "root": about.end.root if about.end else None,
                "parent": about.parent and about.parent.run,
                "forked_at": about.parent and about.parent.moment,
            }
            typer.echo(json.dumps(fields) if as_json else _line(fields, kin.depth))


def _line(fields: dict[str, Any], depth: int) -> str:
    origin = "" if fields["parent"] is None else f"  from tick {fields['forked_at']:,}"
    end = fields["end"] or "no end"
    return f"{'  ' * depth}{fields['folder']}  {fields['name'] or '-'}{origin}  {fields['ticks']:,} ticks, {end}"


def export(
    recording: Annotated[Path, typer.Argument(help="Recording.", metavar="RUN")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write: FILE.vacrun, or an account, FILE.jsonl.", metavar="FILE"),
    ],
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="With all checkpoints, not the first alone.")
    ] = False,
    redact: Annotated[
        Path | None, typer.Option(help="Redaction policy, JSON; for an account only.", metavar="POLICY")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Where the report of what was taken out goes; else standard error.", metavar="OUT"),
    ] = None,
) -> None:
    """Write a recording as one file, or an account of what came in and went out, which can be redacted.

    A FILE.vacrun can be imported and replayed; the same recording always gives the same bytes. A FILE.jsonl holds
    events, a store that `vac beams` opens; with --redact what the policy names is taken out of it, and reported.
    What the policy of a package keeps back from `export` is left out of it, and said.
    Exits 0 when it is written, 2 for bad input.
    """
    from ..recording.bundle import export_recording
    from ..recording.recording import Recording

    is_account = output.suffix == ".jsonl"
    if redact and not is_account:
        fail("a recording without all of its input cannot be replayed: with --redact name a file that ends in .jsonl")
    if report and not redact:
        fail("--report needs --redact")
    if checkpoints and is_account:
        fail("--checkpoints: an account has none")
    with recording_errors():
        opened = Recording(recording)
        if is_account:
            _export_account(opened, output, redact, report)
        else:
            typer.echo(f"{output}: {export_recording(opened, output, checkpoints):,} bytes")


def _export_account(recording: Recording, output: Path, redact: Path | None, report: Path | None) -> None:
    from ..host.guard import DenialLog
    from ..recording.account import write_account
    from ..recording.program import Program

    redactor, denials = read_redactor(redact) if redact else None, DenialLog()
    package = Program.from_recording(recording).package
    gate = export_gate(package.manifest, recording.about.id, denials) if package else None
    with written_whole(output) as file, progress("ticks", recording.known_tick) as show:
        written = write_account(recording, machine_of("fast"), file, redactor, gate, lambda tick, last: show(tick))
    typer.echo(f"{output}: {written:,} events")
    tell_withheld(denials)
    if redactor:
        tell_report(redactor, report)


def import_(
    file: Annotated[Path, typer.Argument(help="File that `vac export` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the recording.", metavar="RUN")],
) -> None:
    """Make a recording from such a file; `vac replay` proves it. Exits 2 where that file is damaged."""
    from ..recording.bundle import import_recording

    with recording_errors():
        recording = import_recording(file, output)
    typer.echo(f"{output}: {recording.known_tick:,} ticks, {len(recording.entries):,} inputs")
