"""What `vac run` reports at the end."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..isa.sqi import FULL
from ..scheduler.quota import StopCause
from .denials import denials_in_words
from .run_session import RunSession, rate

if TYPE_CHECKING:
    from ..assembler.assemble import Assembly

HALTED, TRAPPED, TICK_LIMIT, INTERRUPTED = 0, 3, 4, 130
"""Exit codes, beside BAD_INPUT; 130 is the shell's own for an interrupt."""


def exit_code(session: RunSession) -> int:
    if session.cause is None:
        return INTERRUPTED if session.is_interrupted else TICK_LIMIT
    return {StopCause.HALTED: HALTED, StopCause.TRAPPED: TRAPPED}.get(session.cause, TICK_LIMIT)


def run_report(
    session: RunSession, engine: str, program: Path, assembly: Assembly | None, kept: Path | None
) -> dict[str, Any]:
    """As one JSON object."""
    state, code = session.state, exit_code(session)
    if session.cause is None:
        status = "interrupted" if code == INTERRUPTED else "tick limit reached"
    else:
        status = session.cause.value
    report: dict[str, Any] = {
        "program": str(program),
        "engine": engine,
        "status": status,
        "ticks": state.tick,
        "first_tick": session.first_tick,
        "pc": state.pc,
        "stack": state.data_stack,
        "digest": None if state.digest is None else f"{state.digest:016x}",
        "sqi": {
            "coherence": state.sqi.coherence,
            "entropy": state.sqi.entropy,
            "drift": state.sqi.drift,
            "score": state.sqi.score,
        },
        "seconds": round(session.seconds, 3),
    }
    if code == TRAPPED:
        report["trap"] = state.trap.name
        place = assembly.location(state.pc) if assembly else None
        if place:
            report["source"] = f"{place[0]}:{place[1]}"
    if session.cause is StopCause.PEERS:
        report["waits_for"] = str(session.host.waits_for)
    if kept:
        report["checkpoint"] = str(kept)
    if session.host.memory.paged:
        report["paging"] = asdict(session.host.memory.paged.statistics)
    report["denials_by_kind"] = session.host.denial_log.by_kind()
    if session.host.denials:
        report["denials"] = session.host.denials
    return report


def in_words(report: dict[str, Any]) -> str:
    """The same for people."""
    seconds, ticks = report["seconds"], report["ticks"]
    status = report["status"]
    if "trap" in report:
        status += f": {report['trap']} at pc {report['pc']:#x}"
        if "source" in report:
            status += f" ({report['source']})"
    elif status not in ("halted", "tick limit reached"):
        status += f" before pc {report['pc']:#x}; no instruction was cut short"
    speed = f", {rate((ticks - report['first_tick']) / seconds)}" if seconds >= 0.1 else ""
    sqi = ", ".join(f"{name} {value / FULL:.3f}" for name, value in report["sqi"].items())
    lines = [f"{report['program']}: {status}", f"ticks   {ticks:,} in {seconds:.3f} s on {report['engine']}{speed}"]
    if report["stack"]:
        lines.append("stack   " + " ".join(f"{cell:#x}" for cell in report["stack"][-8:]))
    lines += [f"digest  {report['digest'] or 'not computed'}", f"sqi     {sqi}"]
    if "paging" in report:
        counts = ("misses", "stalls", "hits", "fetched", "evictions", "write_backs")
        lines.append("paging  " + ", ".join(f"{name.replace('_', ' ')} {report['paging'][name]:,}" for name in counts))
    if "waits_for" in report:
        lines.append(f"waits   {report['waits_for']}")
    lines += denials_in_words(report)
    if "checkpoint" in report:
        lines.append(f"kept    {report['checkpoint']}")
    return "\n".join(lines)
