"""Checkpoints: a machine at a tick, kept at the cost of what changed since the one before."""
