"""What was denied, as the commands that run something tell it."""

from __future__ import annotations

from typing import Any


def denials_in_words(report: dict[str, Any]) -> list[str]:
    """A line for each denial, and one that counts them by kind where there are any."""
    lines = [f"denied  {denial}" for denial in report.get("denials", ())]
    if lines:
        counts = [f"{kind} {count:,}" for kind, count in report["denials_by_kind"].items() if count]
        lines.append("denials " + ", ".join(counts))
    return lines
