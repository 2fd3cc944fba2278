"""The instruction set: one row for each instruction, and nothing about instructions anywhere else.

Adding an instruction is one row here, its RTL where the row needs a new unit or function, and the row's example,
which is also its first test.
"""

from __future__ import annotations

from .alu import FUNCTIONS, Condition
from .alu import AluFunction as F
from .encoding import parse_format
from .instruction import Access, Destination, Example, Instruction, Source, Unit
from .limits import CELL_MASK

WAVE_OPCODES = range(0xE0, 0x100)
"""Reserved for the wave core; they trap as ILLEGAL until it is there."""

ALU_ROWS: tuple[tuple[F, str, str, str, int, int, int], ...] = (
    (F.ADD, "add", "", "sum modulo 2**32", 5, 7, 12),
    (F.SUB, "sub", "", "difference modulo 2**32", 5, 7, 0xFFFFFFFE),
    (F.AND, "and", "", "bitwise and", 12, 10, 8),
    (F.OR, "or", "", "bitwise or", 12, 10, 14),
    (F.XOR, "xor", "", "bitwise exclusive or", 12, 10, 6),
    (F.SHL, "shl", "", "A shifted left by the low five bits of B", 3, 33, 6),
    (F.SHRU, "shru", "", "A shifted right by the low five bits of B, zeros coming in", 0x80000000, 31, 1),
    (F.SHRS, "shrs", "", "A shifted right by the low five bits of B, copies of the sign coming in", 0x80000000, 31, CELL_MASK),
    (F.MUL, "mul", "", "low half of the product", 0x10001, 0x10001, 0x20001),
    (F.MULHU, "mulhu", "", "high half of the unsigned product", CELL_MASK, CELL_MASK, 0xFFFFFFFE),
    (F.MULHS, "mulhs", "", "high half of the signed product", CELL_MASK, 2, CELL_MASK),
    (F.EQ, "eq", "", "1 where A equals B, else 0", 7, 7, 1),
    (F.NE, "ne", "", "1 where A differs from B, else 0", 7, 7, 0),
    (F.LTU, "ltu", "", "1 where A is below B, unsigned, else 0", 1, CELL_MASK, 1),
    (F.LTS, "lts", "", "1 where A is below B, signed, else 0", 1, CELL_MASK, 0),
    (F.SUPERPOSE, "sup", "⊕", "superposition of two complex Q1.15 cells: both halves added with saturation",
     0x7FFF0001, 0x00010002, 0x7FFF0003),
)  # fmt: skip
"""Function, mnemonic, glyph, meaning, and an example: A, B and the result."""

DIVIDE_ROWS = (
    (F.DIVU, "divu", "unsigned quotient", 0xFFFFFFFF, 16, 0x0FFFFFFF),
    (F.DIVS, "divs", "signed quotient rounded towards zero; -2**31 / -1 wraps", 0xFFFFFFF9, 2, 0xFFFFFFFD),
    (F.REMU, "remu", "unsigned remainder", 0xFFFFFFFF, 16, 15),
    (F.REMS, "rems", "signed remainder with the sign of A", 0xFFFFFFF9, 2, CELL_MASK),
)


def _stack_alu(
    opcode: int, function: F, mnemonic: str, doc: str, a: int, b: int, result: int, glyph: str = ""
) -> Instruction:
    return Instruction(
        opcode, mnemonic, "", Unit.ALU, f"( a b -- r ) r: {doc}.",
        Example(f"lit {a}; lit {b}; {mnemonic}", (result,)),
        function=function, a=Source.POP, b=Source.POP, destination=Destination.PUSH, glyph=glyph,
    )  # fmt: skip


def _unary(opcode: int, mnemonic: str, function: F, constant: int, doc: str, example: Example) -> Instruction:
    return Instruction(
        opcode, mnemonic, "", Unit.ALU, doc, example, function=function,
        a=Source.POP, b=Source.CONSTANT, destination=Destination.PUSH, constant=constant & CELL_MASK,
    )  # fmt: skip


def _one_byte() -> list[Instruction]:
    rows = [
        Instruction(0x01, "nop", "", Unit.NOP, "Does nothing for one tick.", Example("nop; lit 1", (1,))),
        Instruction(0x02, "halt", "", Unit.HALT, "Retires, then stops the machine.", Example("lit 3; halt; lit 4", (3,))),
        Instruction(
            0x03, "ret", "", Unit.RETURN,
            "Leaves the frame: pops locals and link, goes back behind the call. Traps RETURN_UNDERFLOW in the outermost frame.",
            Example("call double, 0; halt\ndouble: lit 8; ret", (8,)),
        ),
        Instruction(0x04, "dup", "", Unit.ALU, "( a -- a a )", Example("lit 4; dup", (4, 4)),
                    a=Source.PEEK, destination=Destination.PUSH),
        Instruction(0x05, "drop", "", Unit.ALU, "( a -- )", Example("lit 4; lit 5; drop", (4,)), a=Source.POP),
        Instruction(0x06, "swap", "", Unit.SWAP, "( a b -- b a )", Example("lit 4; lit 5; swap", (5, 4))),
        Instruction(0x07, "over", "", Unit.ALU, "( a b -- a b a )", Example("lit 4; lit 5; over", (4, 5, 4)),
                    a=Source.PEEK_SECOND, destination=Destination.PUSH),
        Instruction(0x08, "nip", "", Unit.ALU, "( a b -- b )", Example("lit 4; lit 5; nip", (5,)),
                    function=F.PASS_B, a=Source.POP, b=Source.POP, destination=Destination.PUSH),
        Instruction(
            0x09, "callt", "", Unit.TABLE_CALL,
            "( i -- ) Calls entry i of the function table, which holds target and frame size. Traps BOUNDS beyond the table.",
            Example("lit 1; callt; halt\n.function seven, 0\n.function nine, 2\nseven: lit 7; ret\nnine: lit 9; ret", (9,)),
            a=Source.POP,
        ),
        Instruction(
            0x0A, "jmpt", "", Unit.TABLE_JUMP,
            "( i -- ) Jumps to entry i of the function table; the frame stays. Traps BOUNDS beyond the table.",
            Example("lit 0; jmpt; lit 1\n.function on, 0\non: lit 2", (2,)), a=Source.POP,
        ),
        Instruction(0x0B, "emit", "", Unit.EMIT, "( a -- ) Emits a on the beam port; SQI drift measures how far emitted values move.",
                    Example("lit 9; emit", ()), a=Source.POP, glyph="→"),
        Instruction(
            0x0C, "join", "", Unit.JOIN,
            "( a b -- e ) Joins the label sets of a and b. e is the ordinal of the join, from 1; it carries the union and, in an "
            "image that declares labels, the label (e - 1) modulo 16 that names the join.",
            Example("lit 1; lit 2; join; lit 3; lit 4; join", (1, 2)),
            a=Source.POP, b=Source.POP, destination=Destination.PUSH, glyph="↔",
        ),
        _unary(0x0D, "not", F.XOR, -1, "( a -- r ) Bitwise complement.", Example("lit 5; not", (0xFFFFFFFA,))),
        _unary(0x0E, "neg", F.REVERSE_SUB, 0, "( a -- r ) Two's complement.", Example("lit 5; neg", (0xFFFFFFFB,))),
        _unary(0x0F, "eqz", F.EQ, 0, "( a -- r ) 1 where a is zero, else 0.", Example("lit 0; eqz", (1,))),
        _unary(0x24, "sx8", F.SIGN_EXTEND_8, 0, "( a -- r ) Low byte with its sign.", Example("lit 0x80; sx8", (0xFFFFFF80,))),
        _unary(0x25, "sx16", F.SIGN_EXTEND_16, 0, "( a -- r ) Low half with its sign.",
               Example("lit 0x8000; sx16", (0xFFFF8000,))),
    ]  # fmt: skip
    for function, name, glyph, doc, a, b, result in ALU_ROWS:
        rows.append(_stack_alu(0x10 + function, function, name, doc, a, b, result, glyph))
    for index, (function, name, doc, a, b, result) in enumerate(DIVIDE_ROWS):
        rows.append(_stack_alu(0x20 + index, function, name, f"{doc}. Traps DIVISION_BY_ZERO", a, b, result))
    for index, constant in enumerate((-1, 0, 1, 2, 4, 8)):
        name = f"k{constant}" if constant >= 0 else "km1"
        rows.append(
            Instruction(0x26 + index, name, "", Unit.ALU, f"( -- r ) The constant {constant}.",
                        Example(name, (constant & CELL_MASK,)), function=F.PASS_B,
                        b=Source.CONSTANT, destination=Destination.PUSH, constant=constant & CELL_MASK)
        )  # fmt: skip
    for index in range(8):
        rows.append(
            Instruction(0x30 + index, f"get{index}", "", Unit.ALU, f"( -- r ) Local {index}.",
                        Example(f"li l{index}, 6; get{index}", (6,)),
                        a=Source.LOCAL, destination=Destination.PUSH, constant=index)
        )  # fmt: skip
        rows.append(
            Instruction(0x38 + index, f"set{index}", "", Unit.ALU, f"( a -- ) Local {index} becomes a.",
                        Example(f"lit 6; set{index}; get{index}; get{index}", (6, 6)),
                        a=Source.POP, destination=Destination.LOCAL, constant=index)
        )  # fmt: skip
    return rows


ACCESSES = (
    ("ld32", Access(2)),
    ("ld16u", Access(1)),
    ("ld16s", Access(1, is_signed=True)),
    ("ld8u", Access(0)),
    ("ld8s", Access(0, is_signed=True)),
    ("st32", Access(2)),
    ("st16", Access(1)),
    ("st8", Access(0)),
)
_LOADED = {"ld32": 0x8081FF82, "ld16u": 0xFF82, "ld16s": 0xFFFFFF82, "ld8u": 0x82, "ld8s": 0xFFFFFF82}
_STORED = {"st32": 0x8081FF82, "st16": 0xFF82, "st8": 0x82}


def _memory(
    opcode: int, mnemonic: str, access: Access, layout: str, doc: str, example: Example, suboperation: int | None = None
) -> Instruction:
    """A load or store row; sources and destination follow from the letters of its format."""
    is_load = mnemonic.startswith("ld")
    has_address_operand = "a4" in layout or "p4" in layout
    return Instruction(
        opcode, mnemonic, layout, Unit.LOAD if is_load else Unit.STORE, doc, example,
        a=Source.NIBBLE if has_address_operand else Source.CONSTANT,
        b=Source.NIBBLE if "b4" in layout else Source.NONE,
        destination=Destination.NIBBLE if is_load else Destination.NONE,
        access=access, is_indexed=suboperation is not None, post_increments="p4" in layout, suboperation=suboperation,
    )  # fmt: skip


def _memory_rows() -> list[Instruction]:
    rows: list[Instruction] = []
    for index, (name, access) in enumerate(ACCESSES):
        bits, is_load = 8 * access.size, name.startswith("ld")
        extension = "" if access.size == 4 else (" with its sign" if access.is_signed else " zero-extended")
        reads, writes = f"Loads {bits} bits{extension} from", f"Stores the low {bits} bits of b to"
        verb = reads if is_load else writes
        prepare = "li l0, 16; lit32 0x8081FF82; st32 l0, s"
        if is_load:
            plain = Example(f"{prepare}; {name} s, l0", (_LOADED[name],))
            offset = Example(f"{prepare}; li l1, {16 - access.size}; {name}o s, l1, {access.size}", (_LOADED[name],))
            indexed = Example(f"{prepare}; k0; li l1, {16 // access.size}; {name}x s, s, l1", (_LOADED[name],))
        else:
            plain = Example(f"li l0, 16; lit32 0x8081FF82; {name} l0, s; ld32 s, l0", (_STORED[name],))
            offset = Example(
                f"k0; lit32 0x8081FF82; {name}o s, s, {4 * access.size}; li l0, {4 * access.size}; ld32 s, l0",
                (_STORED[name],),
            )
            indexed = None
        layout = "d4 a4" if is_load else "a4 b4"
        rows.append(_memory(0x50 + index, name, access, layout, f"{verb} address a.", plain))
        rows.append(_memory(0x70 + index, name + "o", access, f"{layout} x8", f"{verb} address a + x.", offset))
        if indexed:
            doc = f"{verb} address a + {access.size} b." if access.size > 1 else f"{verb} address a + b."
            rows.append(_memory(0x61, name + "x", access, "d4 a4 b4 k4", doc, indexed, suboperation=index))
    for index, name in enumerate(("ld32", "ld16u", "ld8u", "st32", "st16", "st8")):
        access = dict(ACCESSES)[name]
        bits = 8 * access.size
        if name.startswith("ld"):
            example = Example(
                f"li l0, 16; lit32 0x8081FF82; st32 l0, s; {name}p s, l0; get0", (_LOADED[name], 16 + access.size)
            )
            doc = f"Loads {bits} bits from address p, then adds {access.size} to the local p."
        else:
            example = Example(
                f"li l0, 16; lit32 0x8081FF82; {name}p l0, s; get0; k8; k8; add; set1; ld32 s, l1",
                (16 + access.size, _STORED[name]),
            )
            doc = f"Stores the low {bits} bits of b to address p, then adds {access.size} to the local p."
        layout = "d4 p4" if name.startswith("ld") else "p4 b4"
        doc += (
            " p names a local; 15 is illegal. Where d and p name the same local, it ends as the pointer."
            if name.startswith("ld")
            else " p names a local; 15 is illegal."
        )
        rows.append(_memory(0x58 + index, name + "p", access, layout, doc, example))
    for index, name in enumerate(("ld32", "ld8u", "st32", "st8")):
        access = dict(ACCESSES)[name]
        bits = 8 * access.size
        if name.startswith("ld"):
            doc = f"Loads {bits} bits from the fixed address x of window 0."
            example = Example(f"li l0, 64; lit32 0x8081FF82; st32 l0, s; {name}a s, 64", (_LOADED[name],))
        else:
            doc = f"Stores the low {bits} bits of b to the fixed address x of window 0."
            example = Example(f"lit32 0x8081FF82; {name}a s, 64; ld32a s, 64", (_STORED[name],))
        layout = "d4 x20" if name.startswith("ld") else "b4 x20"
        rows.append(_memory(0x86 + index, name + "a", access, layout, doc, example))
    return rows


CONDITION_NAMES = (
    ("eq", Condition.EQ, "a equals {b}"),
    ("ne", Condition.NE, "a differs from {b}"),
    ("ltu", Condition.LTU, "a is below {b}, unsigned"),
    ("lts", Condition.LTS, "a is below {b}, signed"),
    ("geu", Condition.GEU, "a is not below {b}, unsigned"),
    ("ges", Condition.GES, "a is not below {b}, signed"),
)
_TAKEN_OPERANDS = {"eq": (7, 7), "ne": (7, 8), "ltu": (7, 8), "lts": (-8, 7), "geu": (-8, 7), "ges": (7, -8)}


def _branch_rows() -> list[Instruction]:
    rows: list[Instruction] = []
    for index, (name, condition, meaning) in enumerate(CONDITION_NAMES):
        a, b = _TAKEN_OPERANDS[name]
        operands = f"lit {a}; lit {b}"
        rows.append(
            Instruction(0x78 + index, f"b{name}", "a4 b4 o8", Unit.BRANCH, f"Branches where {meaning.format(b='b')}.",
                        Example(f"{operands}; b{name} s, s, on; k1\non: k2", (2,)),
                        condition=condition, a=Source.NIBBLE, b=Source.NIBBLE)
        )  # fmt: skip
        rows.append(
            Instruction(0x90 + index, f"b{name}w", "a4 b4 o16", Unit.BRANCH, f"Branches far where {meaning.format(b='b')}.",
                        Example(f"{operands}; b{name}w s, s, on; k1\non: k2", (2,)),
                        condition=condition, a=Source.NIBBLE, b=Source.NIBBLE)
        )  # fmt: skip
        rows.append(
            Instruction(0x98 + index, f"b{name}i", "a4 o12 s8", Unit.BRANCH,
                        f"Branches where {meaning.format(b='s')}; s is sign-extended to a cell.",
                        Example(f"lit {a}; b{name}i s, on, {b}; k1\non: k2", (2,)),
                        condition=condition, a=Source.NIBBLE, b=Source.IMMEDIATE)
        )  # fmt: skip
    rows += [
        Instruction(0x44, "bzs", "o8", Unit.BRANCH, "( a -- ) Branches where a is zero.",
                    Example("k0; bzs on; k1\non: k2", (2,)), a=Source.POP, b=Source.CONSTANT),
        Instruction(0x45, "bnzs", "o8", Unit.BRANCH, "( a -- ) Branches where a is not zero.",
                    Example("k0; bnzs on; k1\non: k2", (1, 2)), condition=Condition.NE, a=Source.POP, b=Source.CONSTANT),
        Instruction(0x7E, "bz", "a4 o12", Unit.BRANCH, "Branches where a is zero.",
                    Example("li l0, 0; bz l0, on; k1\non: k2", (2,)), a=Source.NIBBLE, b=Source.CONSTANT),
        Instruction(0x7F, "bnz", "a4 o12", Unit.BRANCH, "Branches where a is not zero.",
                    Example("li l0, 3; bnz l0, on; k1\non: k2", (2,)),
                    condition=Condition.NE, a=Source.NIBBLE, b=Source.CONSTANT),
        Instruction(0x6D, "djnz", "p4 o12", Unit.BRANCH, "Takes one from p and branches where that leaves anything but zero.",
                    Example("li l0, 3\nagain: get0; djnz l0, again", (3, 2, 1)), function=F.SUB,
                    condition=Condition.NE, a=Source.NIBBLE, b=Source.CONSTANT, destination=Destination.POINTER, constant=1),
    ]  # fmt: skip
    for opcode, name, layout in ((0x43, "jmps", "o8"), (0x6F, "jmp", "o16"), (0x8A, "jmpf", "o24")):
        rows.append(Instruction(opcode, name, layout, Unit.JUMP, f"Jumps; the offset has {layout[1:]} bits.",
                                Example(f"k1; {name} on; k2\non: k4", (1, 4))))  # fmt: skip
    for opcode, name, layout in ((0x80, "call", "o16 f8"), (0xA1, "callf", "o24 f8")):
        rows.append(
            Instruction(opcode, name, layout, Unit.CALL,
                        "Calls with a new frame of f locals, whose cells keep what the return stack held there. "
                        "Traps RETURN_OVERFLOW when link and frame do not fit.",
                        Example(f"lit 5; {name} twice, 1; halt\ntwice: set0; get0; get0; add; ret", (10,)))
        )  # fmt: skip
    return rows


IMMEDIATE_ROWS = (
    (0x62, "addi", F.ADD, "s8", "a plus the constant", 5, -7),
    (0x63, "andi", F.AND, "u8", "a and the constant", 0x1FF, 0x0F),
    (0x64, "shli", F.SHL, "u8", "a shifted left", 3, 4),
    (0x65, "shrui", F.SHRU, "u8", "a shifted right, zeros coming in", 0x80, 4),
    (0x66, "shrsi", F.SHRS, "u8", "a shifted right, copies of the sign coming in", -128, 4),
    (0x67, "ori", F.OR, "u8", "a or the constant", 0x100, 0x0F),
    (0x68, "xori", F.XOR, "u8", "a exclusive-or the constant", 0x1FF, 0x0F),
    (0x69, "rsubi", F.REVERSE_SUB, "s8", "the constant minus a", 5, 3),
    (0x6A, "eqi", F.EQ, "s8", "1 where a equals the constant, else 0", -3, -3),
    (0x6B, "ltui", F.LTU, "s8", "1 where a is below the sign-extended constant, unsigned, else 0", 5, -3),
    (0x6C, "ltsi", F.LTS, "s8", "1 where a is below the constant, signed, else 0", 5, -3),
    (0x82, "addw", F.ADD, "s16", "a plus the constant", 5, -3000),
    (0x83, "andw", F.AND, "u16", "a and the constant", 0x1FFFF, 0xFF0F),
    (0x84, "orw", F.OR, "u16", "a or the constant", 0x10000, 0xFF0F),
    (0x85, "xorw", F.XOR, "u16", "a exclusive-or the constant", 0x1FFFF, 0xFF0F),
)


def _wide_alu_rows() -> list[Instruction]:
    rows: list[Instruction] = []
    for function, name, glyph, doc, a, b, result in ALU_ROWS:
        rows.append(
            Instruction(0x60, name + "3", "d4 a4 b4 k4", Unit.ALU, f"d becomes {doc.replace('A', 'a').replace('B', 'b')}.",
                        Example(f"lit {a}; lit {b}; set1; set0; {name}3 s, l0, l1", (result,)), function=function,
                        a=Source.NIBBLE, b=Source.NIBBLE, destination=Destination.NIBBLE, suboperation=int(function), glyph=glyph)
        )  # fmt: skip
    for opcode, name, function, immediate, doc, a, constant in IMMEDIATE_ROWS:
        result = FUNCTIONS[function](a & CELL_MASK, constant & CELL_MASK)
        rows.append(
            Instruction(opcode, name, f"d4 a4 {immediate}", Unit.ALU, f"d becomes {doc}.",
                        Example(f"lit {a}; set0; {name} s, l0, {constant}", (result,)), function=function,
                        a=Source.NIBBLE, b=Source.IMMEDIATE, destination=Destination.NIBBLE)
        )  # fmt: skip
    return rows


def _literal_rows() -> list[Instruction]:
    push = {"function": F.PASS_B, "b": Source.IMMEDIATE, "destination": Destination.PUSH}
    to_nibble = {"function": F.PASS_B, "b": Source.IMMEDIATE, "destination": Destination.NIBBLE}
    return [
        Instruction(0x40, "lit8", "s8", Unit.ALU, "( -- s ) A sign-extended literal.", Example("lit8 -3", (0xFFFFFFFD,)), **push),
        Instruction(0xA0, "lit32", "u32", Unit.ALU, "( -- u ) A literal.", Example("lit32 0x12345678", (0x12345678,)), **push),
        Instruction(0x6E, "li", "d4 s12", Unit.ALU, "d becomes a sign-extended literal.", Example("li s, -2048", (0xFFFFF800,)), **to_nibble),
        Instruction(0x81, "liw", "d4 s20", Unit.ALU, "d becomes a sign-extended literal.", Example("liw s, 500000", (500000,)), **to_nibble),
        Instruction(0x4E, "inc", "s8", Unit.ALU, "( a -- r ) Adds a sign-extended literal to the top.", Example("lit 5; inc -6", (CELL_MASK,)),
                    function=F.ADD, a=Source.POP, b=Source.IMMEDIATE, destination=Destination.PUSH),
        Instruction(0x41, "get", "l8", Unit.ALU, "( -- r ) Local l.", Example("li l9, 6; get 9", (6,)),
                    a=Source.LOCAL, destination=Destination.PUSH),
        Instruction(0x42, "set", "l8", Unit.ALU, "( a -- ) Local l becomes a.", Example("lit 6; set 9; get 9", (6,)),
                    a=Source.POP, destination=Destination.LOCAL),
    ]  # fmt: skip


def _system_rows() -> list[Instruction]:
    return [
        Instruction(0x46, "mark", "n8", Unit.MARK, "Milestone n in the beam stream.", Example("mark 7; k1", (1,)), glyph="✦"),
        Instruction(0x47, "rd", "n8", Unit.READ_REGISTER, "( -- r ) Core register n: tick, SQI, LightCone and others.",
                    Example("nop; nop; rd 0; rd 5", (2, 0xFFFF)), destination=Destination.PUSH),
        Instruction(0x48, "in", "n8", Unit.DEVICE_IN, "( -- r ) Reads device address n; the host answers.",
                    Example("in 1", (0,)), destination=Destination.PUSH),
        Instruction(0x49, "out", "n8", Unit.DEVICE_OUT, "( a -- ) Writes a to device address n; the host accepts.",
                    Example("lit 65; out 0", ()), a=Source.POP),
        Instruction(0x4A, "sys", "n8", Unit.SYSTEM_CALL, "( arguments -- r ) System call n; the host answers.",
                    Example("lit 5; sys 4", (0,)), destination=Destination.PUSH),
        Instruction(
            0x4B, "wnar", "w4 y4", Unit.WINDOW_NARROW,
            "( offset length -- ) Window w becomes the part of window y of that offset and length, with its permissions. Traps "
            "PERMISSION when y is empty, MISALIGNED when the offset is no multiple of four, BOUNDS when the part reaches beyond y.",
            Example("li l0, 32; lit 99; st32 l0, s; lit 32; lit 8; wnar 3, 0; lit32 0x30000000; ld32 s, s", (99,)),
            a=Source.POP, b=Source.POP,
        ),
        Instruction(0x4C, "wand", "w4 u4", Unit.WINDOW_RESTRICT,
                    "Window w keeps only the permissions in u (1 read, 2 write); with none it is empty.",
                    Example("lit 0; lit 16; wnar 3, 0; wand 3, 1; wlen s, 3", (16,))),
        Instruction(0x4D, "wlen", "d4 w4", Unit.WINDOW_LENGTH, "d becomes the length of window w in bytes; 0 when it is empty.",
                    Example("lit 4; lit 12; wnar 5, 0; wlen s, 5", (12,)), destination=Destination.NIBBLE),
    ]  # fmt: skip


INSTRUCTIONS: tuple[Instruction, ...] = tuple(
    sorted(
        _one_byte() + _literal_rows() + _wide_alu_rows() + _memory_rows() + _branch_rows() + _system_rows(),
        key=lambda row: (row.opcode, row.suboperation or 0),
    )
)
"""Every instruction, by opcode and sub-operation."""

BY_MNEMONIC: dict[str, Instruction] = {row.mnemonic: row for row in INSTRUCTIONS}

SUBOPERATION_OPCODES = frozenset(row.opcode for row in INSTRUCTIONS if row.suboperation is not None)
SUBOPERATION_FIELD = parse_format("d4 a4 b4 k4")[3]
"""Where the sub-operation stands in every format that has one."""

_BY_CODE = {(row.opcode, row.suboperation or 0): row for row in INSTRUCTIONS}


def lookup(word: int) -> Instruction | None:
    """The row that a 40-bit instruction word selects, or None when it is illegal.

    Only the encoding is judged here: numbers of registers and system calls, and the pointer nibble of
    post-increments, are operands.
    """
    opcode = word & 0xFF
    suboperation = SUBOPERATION_FIELD.extract(word) if opcode in SUBOPERATION_OPCODES else 0
    return _BY_CODE.get((opcode, suboperation))
