"""A picture of an interesting span of a waveform."""

from __future__ import annotations

from pathlib import Path

from vac.image.image import Image

from .decoding import is_compact
from .microprogram_diagram import MicroprogramDiagram
from .pipeline_diagram import PipelineDiagram
from .trace import Trace


def draw(trace: Trace, image: Image, title: str, png: Path, svg: Path, first: int | None = None) -> None:
    """Draws the cycles from `first` of the trace; without it, those around the first page fault of a load or store, or
    the beginning where there is none."""
    kind = MicroprogramDiagram if is_compact(trace) else PipelineDiagram
    kind(trace, image, title, first).save(png, svg)
