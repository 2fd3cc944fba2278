"""Peer cores: RISC-V softcores from PyPI, simulated and placed by the same tools as VAC's core."""
