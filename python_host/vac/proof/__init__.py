"""Proofs that a machine was in some state at some tick: checked against a state root, without any machine."""
