"""The chapters on instructions: encoding, opcode map, and an entry for every row."""

from __future__ import annotations

from collections.abc import Iterator

from ..isa.encoding import LENGTH_BY_GROUP, FieldKind
from ..isa.instruction import Instruction, Unit
from ..isa.table import INSTRUCTIONS, WAVE_OPCODES
from .attribute_docs import attribute_docs
from .facts import bit_pattern, operands, syntax, traps_of


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def encoding() -> Iterator[str]:
    yield "## Encoding"
    yield ""
    yield (
        "An instruction is one opcode byte and up to four operand bytes. The top three bits of the opcode give the "
        "length. Read as a little-endian number, the opcode stands in bits 0 to 7 and the fields follow upwards, in "
        "the order in which a format lists them. The entries below show the bytes in memory order, each with its "
        "highest bit first; letters stand for field bits."
    )
    yield ""
    yield from table(
        ("opcodes", "bytes"),
        [(f"0x{32 * group:02x} to 0x{32 * group + 31:02x}", str(n)) for group, n in enumerate(LENGTH_BY_GROUP)],
    )
    yield ""
    docs = attribute_docs(FieldKind)
    used = {field.kind: set[int]() for row in INSTRUCTIONS for field in row.fields}
    for row in INSTRUCTIONS:
        for field in row.fields:
            used[field.kind].add(field.width)
    kinds = [kind for kind in FieldKind if kind in used]
    fallback = "A literal, {}."
    yield from table(
        ("field", "bits", "meaning"),
        [
            (
                f"`{kind.value}`",
                ", ".join(map(str, sorted(used[kind]))),
                docs.get(kind.name) or fallback.format("sign-extended" if kind.is_signed else "zero-extended"),
            )
            for kind in kinds
        ],
    )
    yield ""


def opcode_map() -> Iterator[str]:
    yield "## Opcode map"
    yield ""
    yield (
        "Rows give the high nibble of the opcode, columns the low one. ⋯ stands for sixteen sub-operations, W for "
        "the opcodes reserved for the wave core; an empty place traps ILLEGAL."
    )
    yield ""
    names: dict[int, str] = {}
    for row in INSTRUCTIONS:
        names[row.opcode] = "⋯" if row.suboperation is not None else f"`{row.mnemonic}`"
    rows = [
        (
            f"**{high:x}**",
            *(names.get(16 * high + low, "W" if 16 * high + low in WAVE_OPCODES else "") for low in range(16)),
        )
        for high in range(16)
    ]
    yield from table(("", *(f"{low:x}" for low in range(16))), rows)
    yield ""


def entries() -> Iterator[str]:
    docs = attribute_docs(Unit)
    for unit in Unit:
        rows = [row for row in INSTRUCTIONS if row.unit is unit]
        if not rows:
            continue
        yield f"## Instructions: {unit.value}"
        yield ""
        if unit.name in docs:
            yield f"`{docs[unit.name]}`"
            yield ""
        for row in rows:
            yield from _entry(row)


def _entry(row: Instruction) -> Iterator[str]:
    yield f"### {row.mnemonic}{f' {row.glyph}' if row.glyph else ''}"
    yield ""
    yield "```text"
    yield f"{syntax(row):<24}{bit_pattern(row)}"
    yield "```"
    yield ""
    yield row.doc.replace("|", "\\|")
    yield ""
    code = f"0x{row.opcode:02x}" + (f", sub-operation {row.suboperation}" if row.suboperation is not None else "")
    lines = [("opcode", f"{code}; {row.length} byte{'s' if row.length > 1 else ''}")]
    if row.format:
        lines.append(("format", f"`{row.format}`"))
    lines += operands(row)
    traps = traps_of(row)
    lines.append(("traps", ", ".join(trap.name for trap in traps) or "none"))
    program = "<br>".join(f"`{line.strip()}`" for line in row.example.source.splitlines())
    cells = " ".join(f"{cell:#x}" if cell > 9 else str(cell) for cell in row.example.stack)
    lines.append(("example", f"{program} leaves {cells or 'an empty stack'}"))
    yield from table(("", ""), lines)
    yield ""
