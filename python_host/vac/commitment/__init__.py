"""Commitments against an adversary: one hash that names all beams of a run, one that names a machine's whole state."""
