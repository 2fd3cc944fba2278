"""How much of the engines a machine gets beside others: by its own Symbolic Quality Index."""

from __future__ import annotations

from ..isa.sqi import FULL, Sqi

ONE = FULL
"""The weight 1, in the units of every weight here."""
MAX_WEIGHT = 4 * ONE


def weight_of(sqi: Sqi) -> int:
    """ONE (erratic) to MAX_WEIGHT (calm), linear in qscore. From architectural state alone."""
    return ONE + 3 * sqi.score
