"""`vac prove` and `vac verify-proof`: what a machine held at a tick, against a state root."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..isa.limits import LEAF_BITS, LEAF_BYTES
from .debug_target import ENGINE, INPUT, PROGRAM, REPLAY, SEED, STORAGE, move_to, open_session
from .failure import fail, write_whole

if TYPE_CHECKING:
    from ..host.session import Host
    from ..image.image import Image
    from ..proof.state_proof import StateProof

REFUSED = 1
"""Exit code where a proof does not hold."""


def prove(
    program: PROGRAM,
    at: Annotated[
        int | None, typer.Option("--at", help="Before the instruction at this tick; by default at the end.", min=0)
    ] = None,
    leaf: Annotated[
        str | None,
        typer.Option(help="Prove this leaf of memory: shard slot and leaf number.", metavar="SLOT:NUMBER"),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Prove the leaf that holds this byte: shard slot and offset.", metavar="SLOT:OFFSET"),
    ] = None,
    stacks: Annotated[bool, typer.Option("--stacks", help="Prove both stacks.")] = False,
    registers: Annotated[
        bool, typer.Option("--registers", help="Prove the registers; every proof does, with the tick among them.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; by default standard output.", metavar="OUT")
    ] = None,
    input_file: INPUT = None,
    storage: STORAGE = None,
    replay: REPLAY = None,
    seed: SEED = None,
    engine: ENGINE = "fast",
) -> None:
    """Write a proof of what PROGRAM's machine held at a tick, for `vac verify-proof`; its root goes to standard error.

    Exits 0, 130 when interrupted, 2 for bad input.
    """
    from ..checkpoint.errors import CheckpointError
    from ..history.errors import HistoryError
    from ..host.input_log import ReplayError
    from ..proof.prove import prove as proof_of

    if leaf and address:
        fail("a proof is about one leaf: --leaf or --address, not both")
    place = _place("--leaf", leaf, 0) if leaf else _place("--address", address, LEAF_BITS) if address else None
    history = open_session(program, input_file, storage, replay, None, seed, engine).history
    try:
        move_to(history, at, program)
        proof = proof_of(history.point(), stacks=stacks, leaf=place)
    except (HistoryError, ReplayError, CheckpointError) as error:
        fail(f"{program}: {error}")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if output:
        write_whole(output, proof.to_bytes())
    else:
        typer.echo(proof.to_bytes(), nl=False)
    typer.echo(f"root {proof.root().hex()}", err=True)


def prove_live(host: Host, image: Image, ticks: Sequence[int], leaf: str | None) -> None:
    """Runs a host, which has not run yet, on to each of these ticks and writes what it holds there, stacks included,
    to `proof-TICK.json`. Stops where the run does."""
    from ..history.history import History
    from ..proof.prove import prove as proof_of

    place = _place("--proof-leaf", leaf, 0) if leaf else None
    # Only the host runs; the history keeps where it came to.
    history = History.following(host, image, "golden")
    try:
        for tick in sorted(set(ticks)):
            history.seek(tick)
            if history.tick != tick:
                typer.echo(f"no proof at tick {tick:,}: the run ends at tick {history.tick:,}", err=True)
                return
            proof, path = proof_of(history.point(), stacks=True, leaf=place), Path(f"proof-{tick:020d}.json")
            write_whole(path, proof.to_bytes())
            typer.echo(f"tick {tick:,}: wrote {path}, root {proof.root().hex()}", err=True)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _place(option: str, text: str, shift: int) -> tuple[int, int]:
    match = re.fullmatch(r"(0x[0-9a-fA-F]+|[0-9]+):(0x[0-9a-fA-F]+|[0-9]+)", text)
    slot, number = (int(part, 0) for part in match.groups()) if match else (0, 1 << 32)
    if slot > 0xFF or number >> shift >= 1 << 32 - LEAF_BITS:
        fail(f"{option} is {text!r}; it takes two numbers, a slot from 0 to 255 and what it has below 4 GiB")
    return slot, number >> shift


def verify_proof(
    proof: Annotated[Path, typer.Argument(help="File of `vac prove`.", metavar="PROOF")],
    root: Annotated[str, typer.Option(help="The state root that you trust: 64 hexadecimal digits.", metavar="HEX")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what is proven as one JSON object.")] = False,
) -> None:
    """Check PROOF against a state root, and print what it proves. Nothing is run.

    Exits 0 when it holds, 1 when it does not, 2 when it cannot be read or the root is none.
    """
    from ..proof.errors import ProofError
    from ..proof.state_proof import check_proof

    if not re.fullmatch(r"[0-9a-fA-F]{64}", root):
        fail(f"--root is {root!r}; a state root has 64 hexadecimal digits")
    try:
        content = proof.read_bytes()
    except OSError as error:
        fail(f"cannot read {str(proof)!r}: {error.strerror or error}")
    try:
        proven = check_proof(content, bytes.fromhex(root))
    except ProofError as error:
        fail(f"{proof}: refused: {error}", REFUSED)
    typer.echo(json.dumps(_fields(proven)) if as_json else _in_words(proven))


def _fields(proof: StateProof) -> dict[str, Any]:
    return json.loads(proof.to_bytes())


def _in_words(proof: StateProof) -> str:
    state = proof.state
    lines = [
        f"proven: at tick {state.tick} the machine is {state.status.name.lower()}"
        f"{f', trap {state.trap.name}' if state.trap else ''}",
        f"registers  pc {state.pc:#x}, {state.sp} cells on the data stack, frame at {state.fp}, "
        f"last input at tick {state.cone_in}, last output at tick {state.cone_out}",
    ]
    if proof.stacks is None:
        lines.append("stack      " + (" ".join(f"{cell:#x}" for cell in state.data_stack) or "empty"))
        lines.append("returns    " + (" ".join(f"{cell:#x}" for cell in state.return_stack) or "empty"))
    if not isinstance(proof.memory, bytes):
        leaf = proof.memory.leaf
        start = proof.memory.number << LEAF_BITS
        used = len(leaf.data.rstrip(b"\0"))
        lines.append(
            f"memory     slot {proof.memory.slot}, offsets {start:#x} to {start + LEAF_BYTES - 1:#x}: "
            + (f"{used} bytes up to the last that is not zero" if used else "all zeros")
        )
        shown = range(0, min(used, 64), 16)
        lines += [f"  {start + index:08x}  {leaf.data[index : index + 16].hex(' ')}" for index in shown]
    return "\n".join(lines)
