"""What is typed at the boot monitor to load a program, check it and start it (`firmware/monitor/monitor.vasm`)."""

from __future__ import annotations

import zlib

from vac.image.image import Image, Segment
from vac.isa.limits import CODE_SLOT

MEMORY_SLOT = 1
MEMORY_BYTES = 65536
"""Behind window 0: the loaded program's memory."""
PROGRAM_BYTES = 16384
PROGRAM_POINTER = 0x1000_0000
"""Window 1: the code area."""
FRAMES = 128
"""The monitor calls a program with fewer locals than this."""


class UnfitProgram(Exception):
    """The image needs something that the monitor cannot give it; the message says what."""


def _refuse(image: Image) -> None:
    if image.has_labels:
        raise UnfitProgram("it declares labels, and the monitor's image has none")
    if image.table_entries:
        raise UnfitProgram("it has a function table; call its functions directly")
    if image.code_length > PROGRAM_BYTES:
        raise UnfitProgram(f"it has {image.code_length} bytes of code; the code area has {PROGRAM_BYTES}")
    if image.frame >= FRAMES:
        raise UnfitProgram(f"its outermost frame has {image.frame} locals; fewer than {FRAMES} are possible")
    for index, window in image.windows:
        if (index, window.slot, window.base) != (0, MEMORY_SLOT, 0) or window.length > MEMORY_BYTES:
            raise UnfitProgram(f"it wants window {index}: {window}; there is window 0, up to {MEMORY_BYTES} bytes")
    for segment in image.segments:
        if segment.slot not in (CODE_SLOT, MEMORY_SLOT):
            raise UnfitProgram(f"it has contents in slot {segment.slot}")


def _pointer(segment: Segment) -> int:
    return segment.offset + (PROGRAM_POINTER if segment.slot == CODE_SLOT else 0)


def monitor_script(image: Image, *, starts: bool = True) -> bytes:
    """Bytes for the monitor's console: loads the image, and starts it unless told not to.

    The program ends with `ret` to come back to the monitor, or with `halt`. Raises UnfitProgram.
    """
    _refuse(image)
    typed = b""
    for segment in image.segments:
        data = segment.data
        if data:
            typed += b"l %x %x %x\n" % (_pointer(segment), len(data), zlib.crc32(data)) + data
        blank = segment.length - len(data)
        if blank and segment.slot == MEMORY_SLOT:
            typed += b"f %x %x 0\n" % (_pointer(segment) + len(data), blank)
    if starts:
        typed += b"g %x %x\n" % (image.entry, image.frame)
    return typed
