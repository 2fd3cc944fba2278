"""Waveform files for viewers: VCD, FST, and a save file that GTKWave opens with the signals already chosen."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pylibfst

from .decoding import CORE, STAGES, names_of
from .trace import Trace, Wave

_CODE_FIRST, _CODE_COUNT = 33, 94  # printable ASCII, as VCD wants identifiers
_FST_ENUM_TABLE = pylibfst.lib.FST_AT_ENUM if hasattr(pylibfst.lib, "FST_AT_ENUM") else None


def write_vcd(trace: Trace, path: Path) -> None:
    """Texts become signals of type `string`, an extension that GTKWave and Surfer read."""
    codes = {name: _code(index) for index, name in enumerate(sorted(trace.waves))}
    with path.open("w", encoding="ascii", errors="replace") as out:
        out.write("$timescale 1ns $end\n")
        scopes: list[str] = []
        for name in codes:
            *wanted, leaf = _parts(name)
            _move(out, scopes, wanted)
            wave = trace.waves[name]
            if wave.width == 0:
                out.write(f"$var string 1 {codes[name]} {leaf} $end\n")
            else:
                bits = f" [{wave.width - 1}:0]" if wave.width > 1 else ""
                out.write(f"$var wire {wave.width} {codes[name]} {leaf}{bits} $end\n")
        _move(out, scopes, [])
        out.write("$enddefinitions $end\n")
        for time, changes in groupby(_changes(trace), key=lambda change: change[0]):
            out.write(f"#{time - trace.start}\n")
            for _, name, value in changes:
                wave, code = trace.waves[name], codes[name]
                if wave.width == 0:
                    out.write(f"s{str(value).replace(' ', chr(92) + 'x20') or '-'} {code}\n")
                elif wave.width == 1:
                    out.write(f"{value}{code}\n")
                else:
                    out.write(f"b{value:b} {code}\n")


def write_fst(trace: Trace, path: Path) -> None:
    """As the VCD, much smaller; enumerated signals carry their names. Raises OSError when it cannot be written."""
    lib, ffi = pylibfst.lib, pylibfst.ffi
    writer: Any = lib.fstWriterCreate(str(path).encode(), 1)
    if writer == ffi.NULL:
        raise OSError(f"cannot write {path}")
    lib.fstWriterSetTimescaleFromString(writer, b"1ns")
    handles: dict[str, int] = {}
    scopes: list[str] = []
    for name in sorted(trace.waves):
        *wanted, leaf = _parts(name)
        while scopes != wanted[: len(scopes)]:
            lib.fstWriterSetUpscope(writer)
            scopes.pop()
        for scope in wanted[len(scopes) :]:
            lib.fstWriterSetScope(writer, lib.FST_ST_VCD_MODULE, scope.encode(), ffi.NULL)
            scopes.append(scope)
        wave = trace.waves[name]
        _refer_to_names(writer, name, wave)
        kind = lib.FST_VT_VCD_WIRE if wave.width else lib.FST_VT_GEN_STRING
        handles[name] = lib.fstWriterCreateVar(writer, kind, lib.FST_VD_IMPLICIT, wave.width, leaf.encode(), 0)
    last = -1
    for time, name, value in _changes(trace):
        if time != last:
            lib.fstWriterEmitTimeChange(writer, time - trace.start)
            last = time
        wave = trace.waves[name]
        if wave.width:
            lib.fstWriterEmitValueChange(writer, handles[name], f"{value:0{wave.width}b}".encode())
        else:
            content = str(value).encode("ascii", "replace")
            lib.fstWriterEmitVariableLengthValueChange(writer, handles[name], content, len(content))
    lib.fstWriterEmitTimeChange(writer, trace.end - trace.start)
    lib.fstWriterClose(writer)


def write_gtkwave_save(trace: Trace, wave_file: Path, path: Path) -> None:
    """Groups the signals that tell the story; the waveform is named relative to the save file."""
    hexadecimal, binary, text = "@22", "@28", "@820"
    lines = [f'[dumpfile] "{wave_file.name}"', "[timestart] 0", "[signals_width] 260", "*-6.0 0", "[sst_expanded] 1"]

    def group(title: str, entries: list[tuple[str, str]]) -> None:
        entries = [(style, name) for style, name in entries if name in trace.waves]
        if entries:
            lines.extend(["@200", f"-{title}"])
        for style, name in entries:
            wave = trace.waves[name]
            bits = f"[{wave.width - 1}:0]" if wave.width > 1 else ""
            lines.extend([style, f"{name}{bits}"])

    group(
        "run",
        [(binary, f"{CORE}.clk"), (text, "decoded.mode"), (text, "decoded.stop_code"), (hexadecimal, f"{CORE}.pc")],
    )
    group("pipeline", [(text, f"decoded.{stage}_instruction") for stage in STAGES])
    group("microprogram", [(text, "decoded.instruction"), (text, "decoded.micro.action"),
                           (text, "decoded.micro.function"), (text, "decoded.micro.y"), (hexadecimal, f"{CORE}.a"),
                           (hexadecimal, f"{CORE}.b"), (hexadecimal, f"{CORE}.result")])  # fmt: skip
    group("stacks", [(hexadecimal, f"{CORE}.{name}") for name in ("sp", "rp", "fp", "w_result")])
    group("memory", [(binary, f"{CORE}.data_bus__read"), (hexadecimal, f"{CORE}.data_bus__address"),
                     (hexadecimal, f"{CORE}.data_bus__read_data"), (hexadecimal, f"{CORE}.data_bus__write_mask"),
                     (hexadecimal, f"{CORE}.data_bus__write_data")])  # fmt: skip
    group("page fault", [(hexadecimal, f"{CORE}.{name}") for name in ("fault_slot", "fault_leaf", "fault_kind")])
    group("retired", [(binary, "vac_core.retire_valid"), (hexadecimal, "vac_core.retire__payload.beam.pc"),
                      (hexadecimal, "vac_core.retire__payload.beam.value"),
                      (hexadecimal, "vac_core.retire__payload.digest")])  # fmt: skip
    group("beam port", [(binary, "vac_core.beam_valid"), (binary, "vac_core.beam_ready"),
                        (hexadecimal, "vac_core.beams__payload.tick")])  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _refer_to_names(writer: Any, name: str, wave: Wave) -> None:
    names = names_of(name)
    if not names or not wave.width:
        return
    lib, ffi = pylibfst.lib, pylibfst.ffi
    labels = [ffi.new("char[]", label.encode()) for label in names.values()]
    bits = [ffi.new("char[]", f"{value:0{wave.width}b}".encode()) for value in names]
    title = name.rsplit(".", 1)[1].encode()
    table = lib.fstWriterCreateEnumTable(writer, title, len(names), wave.width, labels, bits)
    lib.fstWriterEmitEnumTableRef(writer, table)


def _parts(name: str) -> list[str]:
    """Scopes and signal. A struct's fields keep their dots: they are one name."""
    scope, _, rest = name.partition(".")
    if rest.startswith("core."):
        return [scope, "core", rest.removeprefix("core.")]
    return [scope, rest]


def _move(out: Any, scopes: list[str], wanted: list[str]) -> None:
    while scopes != wanted[: len(scopes)]:
        out.write("$upscope $end\n")
        scopes.pop()
    for scope in wanted[len(scopes) :]:
        out.write(f"$scope module {scope} $end\n")
        scopes.append(scope)


def _changes(trace: Trace) -> list[tuple[int, str, int | str]]:
    """Every change, by time; all values at the start first."""
    found: list[tuple[int, str, int | str]] = []
    for name, wave in trace.waves.items():
        found.append((trace.start, name, wave.at(trace.start)))
        found += [
            (time, name, value) for time, value in zip(wave.times, wave.values, strict=True) if time > trace.start
        ]
    found.sort(key=lambda change: change[0])
    return found


def _code(index: int) -> str:
    text = ""
    while True:
        text += chr(_CODE_FIRST + index % _CODE_COUNT)
        index //= _CODE_COUNT
        if not index:
            return text
