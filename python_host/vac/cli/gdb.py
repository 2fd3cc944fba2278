"""`vac gdb`: a run behind GDB's remote serial protocol."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from .debug_target import ENGINE, INPUT, PROGRAM, REPLAY, SEED, SOURCE, STORAGE, open_session
from .failure import fail

INTERRUPTED = 130


def gdb(
    program: PROGRAM,
    input_file: INPUT = None,
    storage: STORAGE = None,
    replay: REPLAY = None,
    source: SOURCE = None,
    seed: SEED = None,
    engine: ENGINE = "fast",
    port: Annotated[
        int, typer.Option(help="TCP port; 0 takes any that is free and says which.", min=0, max=65535)
    ] = 1234,
    host: Annotated[
        str, typer.Option(help="Address to listen at. Whoever reaches it reads the whole run.")
    ] = "127.0.0.1",
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Speak on standard input and output, for `target remote | vac gdb …`.")
    ] = False,
    registers: Annotated[
        str,
        typer.Option(help="Registers to describe: vac, x86-64 (which stock gdb takes), or auto: as the client says."),
    ] = "auto",
) -> None:
    """Serve PROGRAM to a client of GDB's remote protocol, such as `gdb -ex 'target remote :1234'`.

    Serves one client after another until one kills the session. Exits 0 then, 130 when interrupted, 2 for bad input.
    """
    from ..gdb.registers import SHAPES
    from ..gdb.transport import Connection, listen, serve, serve_socket

    if registers not in (*SHAPES, "auto"):
        fail(f"--registers is {registers!r}; possible are {', '.join(SHAPES)}, auto")
    shape = None if registers == "auto" else registers
    session = open_session(program, input_file, storage, replay, source, seed, engine)
    try:
        if stdio:
            serve(session, Connection(0, os.dup(1)), shape)
            return
        try:
            listener = listen(host, port)
        except OSError as error:
            fail(f"cannot listen at {host}:{port}: {error.strerror or error}")
        with listener:
            typer.echo(f"{program}: listening at {host}:{listener.getsockname()[1]}", err=True)
            serve_socket(session, listener, shape, lambda text: typer.echo(text, err=True))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
