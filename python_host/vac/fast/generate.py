"""C texts derived from the instruction table: types, tables and handlers of the fast engine."""

from __future__ import annotations

from enum import IntEnum

from ..isa import digest, limits, sqi
from ..isa.alu import DIVIDING, AluFunction, Condition
from ..isa.beam import BEAM_FIELDS, BeamFlag
from ..isa.encoding import LENGTH_BY_GROUP, FieldKind
from ..isa.instruction import Destination, Instruction, Source, Unit
from ..isa.ports import SYSTEM_CALLS, CoreRegister
from ..isa.table import INSTRUCTIONS, SUBOPERATION_FIELD, SUBOPERATION_OPCODES
from ..isa.traps import Trap
from .operations import CONDITION_EXPRESSIONS, FUNCTION_EXPRESSIONS
from .variants import VARIANTS_PER_ROW, APlace, BPlace, DPlace, Variant, variant_index, variants

_KINDS = tuple(FieldKind)
_FIRST_SERIAL = 2
"""Before it come the exact step and the way over to compiled code."""


def _enumeration(prefix: str, names: list[tuple[str, int]]) -> str:
    body = ", ".join(f"{prefix}_{name} = {value}" for name, value in names)
    return f"enum {{ {body} }};\n"


def _numbered(prefix: str, members: type[IntEnum]) -> str:
    return _enumeration(prefix, [(member.name, int(member)) for member in members])


def _ordinals(prefix: str, names: list[str]) -> str:
    return _enumeration(prefix, [(name, index) for index, name in enumerate(names)])


def header() -> str:
    """`vac_tables.h`: constants, row type and arithmetic."""
    constants = {
        "CODE_SLOT": limits.CODE_SLOT,
        "ISA_VERSION": limits.ISA_VERSION,
        "RETURN_STACK_CELLS": limits.RETURN_STACK_CELLS,
        "DISPLACEMENT_MASK": limits.DISPLACEMENT_MASK,
        "POINTER_DISPLACEMENT_BITS": limits.POINTER_DISPLACEMENT_BITS,
        "CODE_MASK": limits.MAX_CODE_BYTES - 1,
        "CODE_ADDRESS_BITS": limits.CODE_ADDRESS_BITS,
        "LABEL_BITS": limits.LABEL_BITS,
        "STACK_OPERAND": limits.STACK_OPERAND,
        "TABLE_WINDOW": limits.TABLE_WINDOW,
        "SQI_FULL": sqi.FULL,
        "SQI_ENTROPY_SHIFT": sqi.ENTROPY_SHIFT,
        "SQI_COHERENCE_SHIFT": sqi.COHERENCE_SHIFT,
        "SQI_REFUSAL_SHIFT": sqi.REFUSAL_SHIFT,
        "SQI_SMOOTHING_SHIFT": sqi.SMOOTHING_SHIFT,
        "DIGEST_POLYNOMIAL": digest.DIGEST_POLYNOMIAL,
        "ROWS": len(INSTRUCTIONS),
        "VARIANTS_PER_ROW": VARIANTS_PER_ROW,
        "B_PLACES": len(BPlace),
        "D_PLACES": len(DPlace),
        "SYSTEM_CALLS": len(SYSTEM_CALLS),
        "SUBOPERATION_LOW": SUBOPERATION_FIELD.low,
    }
    low = 0
    for name, width in BEAM_FIELDS:
        constants[f"BEAM_{name.upper()}_LOW"] = low % 64
        low += width
    functions = "".join(
        f"    case FUNCTION_{function.name}: return {FUNCTION_EXPRESSIONS[function]};\n" for function in AluFunction
    )
    conditions = "".join(
        f"    case CONDITION_{condition.name}: return {CONDITION_EXPRESSIONS[condition]};\n" for condition in Condition
    )
    return "".join(
        [
            "/* Generated from the instruction table. */\n",
            "#ifndef VAC_TABLES_H\n#define VAC_TABLES_H\n#include <stdint.h>\n",
            *(f"#define {name} {value}u\n" for name, value in constants.items()),
            _ordinals("UNIT", [unit.name for unit in Unit]),
            _ordinals("SOURCE", [source.name for source in Source]),
            _ordinals("DESTINATION", [destination.name for destination in Destination]),
            _ordinals("FIELD", [kind.name for kind in _KINDS]),
            _numbered("FUNCTION", AluFunction),
            _numbered("CONDITION", Condition),
            _numbered("TRAP", Trap),
            _numbered("REGISTER", CoreRegister),
            _enumeration("BEAM", [(flag.name or "", flag.value) for flag in BeamFlag]),
            _numbered("A", APlace),
            _numbered("B", BPlace),
            _numbered("D", DPlace),
            "typedef struct { uint8_t low, width, is_signed; } table_field;\n"
            "typedef struct {\n"
            "    uint8_t opcode, length, unit, function, condition, a, b, destination;\n"
            "    uint8_t size_log2, is_signed, is_indexed, post_increments, divides;\n"
            "    uint16_t numbers; /* how many numbers field n may name; 0: all */\n"
            "    uint32_t constant;\n"
            f"    table_field fields[{len(_KINDS)}];\n"
            "} table_row;\n"
            "typedef struct { uint8_t arguments, takes_input, lets_output; } table_call;\n"
            "extern const table_row TABLE[];\n"
            "extern const table_call CALLS[];\n"
            "extern const uint8_t LENGTHS[8];\n"
            "/* Row plus one by opcode and sub-operation; 0: illegal. */\n"
            "extern const uint16_t ROW_OF[256][16];\n"
            "/* Handler by row and operand places; 0: the exact step. */\n"
            "extern const uint16_t VARIANTS[][VARIANTS_PER_ROW];\n"
            "static inline uint32_t saturate_half(int32_t value)\n"
            "{\n    return (uint32_t)(value < -0x8000 ? -0x8000 : value > 0x7FFF ? 0x7FFF : value) & 0xFFFF;\n}\n"
            "static inline uint32_t superpose(uint32_t a, uint32_t b)\n"
            "{\n    return saturate_half((int16_t)(a >> 16) + (int16_t)(b >> 16)) << 16 |\n"
            "           saturate_half((int16_t)a + (int16_t)b);\n}\n"
            "static inline uint32_t alu(uint32_t function, uint32_t a, uint32_t b)\n{\n    switch (function) {\n",
            functions,
            "    }\n    return 0;\n}\n"
            "static inline uint32_t holds(uint32_t condition, uint32_t a, uint32_t b)\n{\n    switch (condition) {\n",
            conditions,
            "    }\n    return 0;\n}\n#endif\n",
        ]
    )


def _row(row: Instruction) -> str:
    units, sources, destinations = list(Unit), list(Source), list(Destination)
    access = row.access
    numbers = {Unit.READ_REGISTER: len(CoreRegister), Unit.SYSTEM_CALL: len(SYSTEM_CALLS)}.get(row.unit, 0)
    fields = row.fields_by_kind
    cells = ", ".join(
        f"{{{fields[kind].low}, {fields[kind].width}, {int(kind.is_signed)}}}" if kind in fields else "{0, 0, 0}"
        for kind in _KINDS
    )
    values = [
        row.opcode, row.length, units.index(row.unit), int(row.function), int(row.condition), sources.index(row.a),
        sources.index(row.b), destinations.index(row.destination), access.size_log2 if access else 0,
        int(access.is_signed) if access else 0, int(row.is_indexed), int(row.post_increments),
        int(row.function in DIVIDING), numbers, row.constant,
    ]  # fmt: skip
    return f"    {{{', '.join(f'{value}u' for value in values)}, {{{cells}}}}}, /* {row.mnemonic} */\n"


def _handlers() -> tuple[dict[str, int], list[list[tuple[Variant, int]]]]:
    """Serial number by handler body; and the variants of each row with theirs."""
    serials: dict[str, int] = {}
    rows = [
        [(variant, serials.setdefault(variant.body, len(serials) + _FIRST_SERIAL)) for variant in variants(row)]
        for row in INSTRUCTIONS
    ]
    return serials, rows


def tables() -> str:
    """`vac_tables.c`: the rows and what they are looked up by."""
    calls = "".join(
        f"    {{{len(call.arguments)}, {int(call.takes_input)}, {int(call.lets_output)}}}, /* {call.name} */\n"
        for call in SYSTEM_CALLS
    )
    row_of = ""
    for index, row in enumerate(INSTRUCTIONS):
        suboperations = [row.suboperation] if row.opcode in SUBOPERATION_OPCODES else range(16)
        row_of += "    " + " ".join(f"[{row.opcode}][{number}] = {index + 1}," for number in suboperations) + "\n"
    _, handlers = _handlers()
    places = ""
    for index, found in enumerate(handlers):
        for variant, serial in found:
            places += f"    [{index}][{variant_index(variant.a, variant.b, variant.d)}] = {serial},\n"
    return (
        '/* Generated from the instruction table. */\n#include "vac_tables.h"\n'
        f"const table_row TABLE[] = {{\n{''.join(map(_row, INSTRUCTIONS))}}};\n"
        f"const table_call CALLS[] = {{\n{calls}}};\n"
        f"const uint8_t LENGTHS[8] = {{{', '.join(map(str, LENGTH_BY_GROUP))}}};\n"
        f"const uint16_t ROW_OF[256][16] = {{\n{row_of}}};\n"
        f"const uint16_t VARIANTS[{len(INSTRUCTIONS)}][VARIANTS_PER_ROW] = {{\n{places}}};\n"
    )


def handlers() -> str:
    """`vac_handlers.h`: one handler for each distinct body, and the list of all, whose first two belong to no row."""
    serials, _ = _handlers()
    text = "/* Generated from the instruction table. */\n"
    for body, serial in serials.items():
        text += f"HANDLER(handler_{serial}) {{ {body} }}\n"
    names = ", ".join(["exact", "compiled", *(f"handler_{serial}" for serial in serials.values())])
    return text + f"#define HANDLER_LIST {names}\n"


def generated_files() -> dict[str, str]:
    """Text by file name."""
    return {"vac_tables.h": header(), "vac_tables.c": tables(), "vac_handlers.h": handlers()}
