"""Kept beams: stores that answer for a tick, a cell, a value or an entangled set of a run."""
