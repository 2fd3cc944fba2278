"""`vac run`: a program on an engine, with the terminal as its console."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ..assembler.assemble import Assembly, assemble_with_listing
from ..assembler.diagnostics import AssemblyErrors
from ..devices.console import Console
from ..devices.registry import DeviceContext
from ..devices.storage import Storage
from ..engines.registry import ENGINES, EngineError, create_machine, serving_engine
from ..host.input_log import InputLog, InputLogError, ReplayError
from ..host.session import Host
from ..image.image import MAGIC, Image
from ..link.serial_port import DEFAULT_BAUD
from ..link.session import LinkError
from ..machine.protocol import MachineError
from ..memory.errors import PagingError
from ..scheduler.guarded_machine import GuardedMachine
from ..virtual_cpu.translation import SUFFIX as VIRTUAL_CPU_SUFFIX
from ..virtual_cpu.translation import translate
from .console_output import ConsoleOutput
from .failure import fail, load_image, write_whole
from .package_file import is_package, open_package, package_host
from .package_options import QuotaClass, QuotaWords, run_quota
from .paging_options import Frames, PageSize, Prefetch, Tiers, close_pager, open_pager
from .run_beams import Store, beam_outputs
from .run_checkpoint import keep as keep_here
from .run_checkpoint import place_at
from .run_report import TICK_LIMIT, exit_code, in_words, run_report
from .run_session import RunSession

NEVER = (1 << 64) - 1
Patience = Annotated[
    float | None,
    typer.Option(
        envvar="VAC_PATIENCE",
        help="Seconds that a board that does not answer is waited for; by default 1.5 at first, then 30.",
        min=0.1,
    ),
]


def run(
    program: Annotated[Path, typer.Argument(help="Package, image, assembly source, or VirtualCPU program (.vcpu).")],
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Console input; by default standard input.", metavar="FILE")
    ] = None,
    storage: Annotated[Path | None, typer.Option(help="The bytes of device 0x30, read-only.", metavar="FILE")] = None,
    ticks: Annotated[int, typer.Option(help="Stop after this many instructions.", min=0, max=NEVER)] = NEVER,
    engine: Annotated[str, typer.Option(help=f"One of: {', '.join(ENGINES)}.")] = "golden",
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the random generator of `entropy_probe`; by default the package's, or 0."),
    ] = None,
    beams: Annotated[
        Path | None, typer.Option(help="Write every beam, 16 bytes each, to this file.", metavar="OUT")
    ] = None,
    store: Store = None,
    run_name: Annotated[
        str | None, typer.Option("--run", "-r", help="Name of the run there; by default the program's.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write the input log, with which the run can be replayed.", metavar="OUT")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Give the answers of this input log instead of live ones.", metavar="LOG")
    ] = None,
    stop_at: Annotated[
        list[str] | None, typer.Option(help="Stop where this holds; `vac replay --help` says what can.", metavar="COND")
    ] = None,
    snapshot_at: Annotated[
        list[str] | None, typer.Option(help="Keep a checkpoint here each time this holds.", metavar="COND")
    ] = None,
    info_at: Annotated[
        list[str] | None, typer.Option(help="Print where the machine is each time this holds.", metavar="COND")
    ] = None,
    proof_at: Annotated[
        list[int] | None,
        typer.Option(help="Write a proof of registers and stacks at this tick to proof-TICK.json.", metavar="TICK"),
    ] = None,
    proof_leaf: Annotated[
        str | None, typer.Option(help="Leaf of memory to prove with them.", metavar="SLOT:NUMBER")
    ] = None,
    quota: QuotaWords = None,
    quota_class: QuotaClass = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep where the run ends as checkpoint PATH.dc.json.", metavar="PATH")
    ] = None,
    begin: Annotated[
        Path | None,
        typer.Option("--from", help="Go on at a checkpoint of this program, with the same input.", metavar="FILE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
    port: Annotated[
        str | None,
        typer.Option(envvar="VAC_PORT", help="Serial device of the engine `board`.", metavar="DEVICE"),
    ] = None,
    baud: Annotated[int, typer.Option(help="Rate of that serial line.")] = DEFAULT_BAUD,
    patience: Patience = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option("--key", help="Public key, or folder of them, one of which must have signed.", metavar="KEYS"),
    ] = None,
    frames: Frames = None,
    page_size: PageSize = None,
    tiers: Tiers = None,
    prefetch: Prefetch = True,
) -> None:
    """Run PROGRAM: console on standard input and output, report on standard error.

    A package reaches what its manifest grants, and stops at its quotas; anything else gets the usual devices.
    Exits 0 when it halted, 3 when it trapped, 4 at the tick limit, at a quota or where it was stopped, 130 when
    interrupted, 2 for bad input.
    """
    has_conditions = bool(stop_at or snapshot_at or info_at or proof_at)
    if has_conditions and (beams or store):
        fail("beams are written of a run that nothing stops: leave out --beams and --store, or the conditions")
    if proof_at and (stop_at or snapshot_at or info_at):
        fail("--proof-at goes with none of --stop-at, --snapshot-at, --info-at")
    if begin and (has_conditions or record or replay):
        fail("an input log goes from the first tick on: --from goes with no condition, --record or --replay")
    if run_name and not store:
        fail("--run names a run of a store: say --store as well")
    package = open_package(program, trusted=trust or []) if is_package(program) else None
    if trust and not package:
        fail(f"{program} is no package, so nobody has signed it")
    if quota_class and not package:
        fail(f"{program} is no package, so there is no policy that --quota-class could speak to")
    image, assembly = (package.image, None) if package else load_program(program)
    log = _input_log(replay) if replay else None
    limits = run_quota(quota or [], package)
    is_stopped, output = False, ConsoleOutput()
    with ExitStack() as files:
        source = files.enter_context(_open(input_file) if input_file else _standard_input())
        held = files.enter_context(_open(storage)) if storage else None
        try:
            machine = create_machine(
                engine, keeps_beams=bool(beams or store), port=port, baud=baud, patience_s=patience
            )
        except EngineError as error:
            fail(str(error))
        guarded = GuardedMachine(machine)
        if pager := open_pager(frames, page_size, tiers, prefetch):
            files.callback(close_pager, pager)
        try:
            if package:
                named = {"storage": (held, False)} if held else {}
                context = DeviceContext(console_source=source, console_sink=output, files=named)
                host = package_host(
                    package, guarded, context=context, seed=seed, replay=log, pager=pager, quota_class=quota_class
                )
            else:
                console, bytes_of = Console(source, output), Storage(held) if held else None
                host = Host(
                    guarded, image, console=console, storage=bytes_of, seed=seed or 0, replay=log, pager=pager
                )  # fmt: skip
            if begin:
                place_at(host, begin)
            name = run_name or (package.manifest.name if package else program.stem)
            outputs = beam_outputs(files, host, engine, beams, store, name)
            session = RunSession(host, guarded, ticks, limits, pager, outputs)
            if proof_at:
                from .proof import prove_live

                session.visit(
                    lambda most: prove_live(host, image, [tick for tick in proof_at if tick <= most], proof_leaf)
                )
            elif has_conditions:
                from .stops import visit_live

                conditions = (stop_at or [], snapshot_at or [], info_at or [])
                is_stopped = session.visit(
                    lambda most: visit_live(host, image, engine, conditions, assembly, most, as_json)
                )
            if not is_stopped:
                session.run()
            if session.error:
                fail(f"{program}: {session.error}")
            kept = keep_here(host, machine, keep) if keep else None
        except (ReplayError, MachineError, LinkError, PagingError) as error:
            fail(f"{program}: {error}")
    if record:
        write_whole(record, host.input_log.to_text().encode())
    if is_stopped:
        raise typer.Exit(TICK_LIMIT)
    report = run_report(session, serving_engine(engine), program, assembly, kept)
    typer.echo(json.dumps(report) if as_json else in_words(report), err=True)
    output.check()
    raise typer.Exit(exit_code(session))


def load_program(path: Path) -> tuple[Image, Assembly | None]:
    """The image in a file, a package's too, or the one that a source assembles to."""
    if is_package(path):
        return open_package(path).image, None
    try:
        content = path.read_bytes()
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error.strerror or error}")
    if path.suffix == ".vacimg" or content.startswith(MAGIC[:-1]):
        return load_image(path), None
    try:
        text = content.decode()
        is_virtual_cpu = path.suffix == VIRTUAL_CPU_SUFFIX
        assembly = translate(text, str(path)).assembly if is_virtual_cpu else assemble_with_listing(text, str(path))
    except UnicodeDecodeError:
        fail(f"{str(path)!r} is neither an image nor text in UTF-8")
    except AssemblyErrors as errors:
        fail(str(errors))
    return assembly.image, assembly


def _input_log(path: Path) -> InputLog:
    try:
        from ..recording.input_log_file import read_log

        return read_log(path)
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error}")
    except InputLogError as error:
        fail(str(error))


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error.strerror or error}")


def _standard_input() -> io.BufferedReader:
    return open(0, "rb", closefd=False)
