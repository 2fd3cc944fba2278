"""Benchmarks: what VAC costs and how fast it is, beside other cores and engines, measured in one run."""
