"""A program that asks its host for everything there is, and recordings of it."""

from __future__ import annotations

from pathlib import Path

from vac.assembler.assemble import assemble
from vac.engines.registry import create_machine
from vac.image.image import Image
from vac.machine.protocol import Machine
from vac.recording.program import Program
from vac.recording.recorder import Recorder
from vac.recording.recording import Recording
from vac.recording.start import start_recording

BUSY = """
.memory 8192
.frame 6
        lit 3; lit32 8192; sys 2; drop          # memory into window 3
        let     l4, 0x30000000
again:  lit 0; lit32 100; lit 5; sys 0          # up to five bytes to 100
        set0
        bz      l0, end
        sys 6; st32p l4, s                      # entropy into the granted memory
        lit 7; sys 4; drop                      # sleep
        in 0x10; st32p l4, s                    # virtual time
        li      l2, 40
spin:   addi    l3, l3, 3
        xor3    l3, l3, l2
        djnz    l2, spin
        st32a   l3, 4096
        lit 0; lit32 100; get0; sys 1; drop     # and out again
        jmp     again
end:    get3
        halt
"""
LARGE = """
.memory 0x80000
.frame 4
again:  lit 0; lit32 100; lit 2; sys 0          # up to two bytes to 100
        bz      s, end
        lit32 100; ld32 s, s; set3
        li      l1, 0
        li      l2, 100
fill:   addw    l1, l1, 4096                    # into each of a hundred pages what was there, and some more
        ld32    l0, l1
        add3    l0, l0, l3
        add3    l0, l0, l2
        st32    l1, l0
        djnz    l2, fill
        lit 0; lit32 100; lit 1; sys 1; drop
        jmp     again
end:    halt
"""
TEXT = bytes(range(65, 91)) + b"0123456789 and so on, to the end."
SEGMENT_TICKS = 256


def busy_image() -> Image:
    return assemble(BUSY)


def program(text: bytes = TEXT, image: Image | None = None, output: bytearray | None = None) -> Program:
    sink = output.extend if output is not None else None
    return Program(image or busy_image(), source=text, sink=sink, seed=5)


def fresh(engine: str = "fast") -> Machine:
    return create_machine(engine, keeps_beams=False)


def recorded(folder: Path, text: bytes = TEXT, engine: str = "fast", image: Image | None = None) -> Recording:
    recorder = start_recording(folder, program(text, image), lambda: fresh(engine), engine, SEGMENT_TICKS)
    return finished(recorder)


def finished(recorder: Recorder, until: int = 1_000_000) -> Recording:
    recorder.finish(recorder.run(until))
    return Recording(recorder.recording.folder)
