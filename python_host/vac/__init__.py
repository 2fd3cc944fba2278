"""VAC: a deterministic computer in four bit-identical forms, and the host that drives it."""
