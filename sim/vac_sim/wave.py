"""`python -m vac_sim.wave`: draws the picture of the last run's waveform again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vac.image.image import Image, ImageError

from .picture import draw
from .span import PNG_NAME, SVG_NAME, VCD_NAME, picture_title
from .trace import TraceError, read_trace

IMAGE_NAME = "program.vacimg"


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when the picture was drawn, 2 when there is no waveform."""
    parser = argparse.ArgumentParser(prog="python -m vac_sim.wave", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/sim"), help="what `make sim` left")
    parser.add_argument("--from", dest="first", type=int, metavar="CYCLE", help="first cycle of the picture")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    try:
        image = Image.load(folder / IMAGE_NAME)
        trace = read_trace(folder / VCD_NAME)
        if options.first is not None and not 0 <= options.first < len(trace.edges) - 1:
            raise TraceError(f"the waveform has cycles 0 to {len(trace.edges) - 2}, not {options.first}")
        draw(trace, image, picture_title(image), folder / PNG_NAME, folder / SVG_NAME, options.first)
    except FileNotFoundError as error:
        print(f"wave: no {error.filename}; run `make sim` first", file=sys.stderr)
        return 2
    except (ImageError, TraceError, OSError) as error:
        print(f"wave: {error}", file=sys.stderr)
        return 2
    print(f"{folder / PNG_NAME}, {folder / SVG_NAME}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
