"""The micro-op: one line of the microprogram, one clock cycle of the core.

In each cycle the core reads one cell of the scratch RAM (it shows in the next cycle), computes one result from
accumulator A and one operand Y, may write the result to a cell, and does one action beside. Flags are kept for the
micro-ops that follow. The next micro-op's address is a field of this one; a condition sets its lowest bit.

A and B have the result in the next cycle. What else takes it takes it from a register, a cycle later: the scratch RAM,
pc, frame, digest and beam. The next micro-op can therefore not read the cell that this one writes.

The word of all zeros is the idle micro-op: the power-up value, and the content of every unused address. A sequencer
that strayed ends there, stopped.
"""

from dataclasses import dataclass

from amaranth.lib import data, enum

from .scratch_map import UPPER, UPPER_BITS

_UPPER_MASK = (1 << UPPER_BITS) - 1


class Operand(enum.Enum, shape=3):
    """Y."""

    HOST = 0
    """The host port's write data."""
    ZERO = 1
    CELL = 2
    """The cell that the micro-op before read."""
    B = 3
    LOADED = 4
    """The memory word read two micro-ops ago, aligned and extended as the instruction's access wants it."""
    IMMEDIATE = 5
    """What the micro-op before took from the instruction."""
    CONSTANT = 6
    PREPARED = 7
    """What the micro-op before prepared."""


class Prepared(enum.Enum, shape=4):
    """What a micro-op puts into a register for the next one, as things are while it runs. In a line's place for Y it
    stands for `Operand.PREPARED`; the assembler sees to it that the lines before prepare it."""

    PC = 0
    PRODUCT_LOW = 1
    """A * B as both were two micro-ops before the one that prepares."""
    PRODUCT_HIGH = 2
    HEADER = 3
    """Opcode and flags, as the beam has them."""
    DIGEST_LOW = 4
    DIGEST_HIGH = 5
    FIRST = 6
    """For the first line of a routine: of a shift, 1 << B or 1 << -B, as the decode table says; of others, pc."""
    POWER = 7
    """1 << n; n is the constant of the micro-op that prepares."""
    HISTORY_BIT = 8
    """1 << the entry of the branch history that pc has."""
    STACK_DEPTH = 9
    """Cells on the data stack before the instruction."""
    SLOT = 10
    LINK = 11
    """A call's: the cell that the micro-op before read, as an address of code, and the frame size in bits 24 to 31."""
    ACCESS_SIZE = 12
    """Bytes of the instruction's access."""


class Function(enum.Enum, shape=4):
    """Result of A and Y. Beside the sums, those that compare have flags from the adder, of A less Y."""

    PASS_Y = 0
    PASS_A = 1
    ADD = 2
    SUBTRACT = 3
    """A - Y"""
    REVERSE_SUBTRACT = 4
    """Y - A"""
    AND = 5
    OR = 6
    XOR = 7
    INCREMENT_Y = 8
    DECREMENT_Y = 9
    COMPARE_END = 10
    """A; flags of the access's last byte, which A is the first of, against Y."""
    COMPARE = 11
    """A; flags of A against Y."""
    SHIFT = 12
    """A, one bit to the left; B's top bit comes in."""
    OF_INSTRUCTION = 15
    """What the decode table says."""


class Read(enum.Enum, shape=3):
    """Which cell is read."""

    FIXED = 0
    """The micro-op's own."""
    B = 1
    """Operand B of the instruction; pops it where it is on the stack."""
    A = 2
    DESTINATION = 3
    """Reserves the cell of the result, which pushes where it is on the stack, and keeps its address."""
    WINDOW = 4
    """Word `cell` modulo 4 of the latched window."""
    LINK_FREE = 5
    """First cell behind the frame; keeps its address."""
    LINK = 6
    """The cell before the frame: its call link."""


class Write(enum.Enum, shape=2):
    """Which cell takes the result."""

    NONE = 0
    FIXED = 1
    KEPT = 2
    """The one whose address was kept."""
    DESTINATION = 3
    """That, where the instruction has a destination."""


class Action(enum.Enum, shape=6):
    """What happens beside."""

    IDLE = 0
    """The host has the scratch RAM and the frames."""
    NONE = 1
    FETCH = 2
    """Reads the code word at pc."""
    FETCH_NEXT = 3
    """Reads the one behind."""
    TAKE_INSTRUCTION = 4
    """The instruction register takes what the last two memory words hold from pc on; begins the instruction."""
    BEGIN = 5
    """Begins the instruction that the register holds: nothing popped, nothing wrong, no flags."""
    DECODE = 6
    DECODE_AGAIN = 7
    """Looks up the sub-operation or number."""
    SHIFT = 8
    """B, one bit to the left; keeps A's top bit. With the function of that name, A and B as one register."""
    DIVIDE_STEP = 9
    """A takes the result, and B a one, where the flags say that nothing was borrowed."""
    SET_COUNT = 10
    """The loop counter starts at 31."""
    COUNT = 11
    LOAD_PC = 12
    LOAD_STACK_DEPTH = 13
    LOAD_FRAME_BASE = 14
    LOAD_FRAME_SIZE = 15
    LOAD_FRAME_SIZE_HIGH = 16
    """From the result's top byte. These, and what else takes the result, are done a cycle later."""
    LOAD_BEAM_CONTROL = 17
    COMMIT = 18
    """LOAD_PC, and the stack depth becomes what pops and pushes left."""
    POINTER = 19
    """Latches the window that A names; A takes the result without these bits."""
    WINDOW_8 = 20
    """Latches the window of the nibble at bit 8."""
    WINDOW_12 = 21
    WINDOW_TABLE = 22
    SLOT = 23
    """Latches the shard slot of the cell, a window's grant."""
    SLOT_CODE = 24
    KEEP_FRAME = 25
    """Latches what the TLB says of A."""
    KEEP_CODE_FRAME = 26
    LOAD = 27
    STORE = 28
    BEAM_PC = 29
    """The result is the beam's first word, and goes into the digest; so on."""
    BEAM_HEADER = 30
    BEAM_VALUE = 31
    BEAM_AUX = 32
    BEAM_SHIP = 33
    """Ships the beam, with the cell as its tick."""
    RESET = 34
    """Clears the digest and forgets the code page's frame."""
    LOAD_DIGEST_LOW = 35
    LOAD_DIGEST_HIGH = 36
    FLAGS = 37
    """Sets the flags that the constant names."""
    KEEP_ADDRESS = 38
    """Keeps the address that is read."""
    KEEP_INSTRUCTION = 39
    """The next start does not fetch again."""
    RETIRED = 40
    """All of the instruction is in place (for lockstep)."""
    LINK = 41
    """The constant is where RETURN goes."""


class Condition(enum.Enum, shape=6):
    """Sets the lowest bit of the next micro-op's address."""

    START = 0
    NEVER = 1
    DISPATCH = 2
    """Goes where the decode table says; to the trap of the operands where something is wrong with them."""
    ZERO = 3
    """The last flagged result was 0."""
    CARRY = 4
    """A is below Y (SUBTRACT, COMPARE, COMPARE_END); Y is not below A (REVERSE_SUBTRACT)."""
    BELOW_SIGNED = 5
    """As CARRY for signed comparison; of an ADD, the exact sum was not negative."""
    LOW_BYTE_ZERO = 6
    HOLDS = 7
    """The instruction's branch condition."""
    DETAINED = 8
    """The host wants to stop, no room for a beam, or the code page's frame is not known."""
    HALT_REQUEST = 9
    NO_ROOM = 10
    CROSSES_PAGE = 11
    """The instruction goes on in the next page."""
    HAS_SUBOPERATION = 12
    MISPREDICTED = 13
    """ZERO says that the history bit is clear, and the branch was taken; or neither."""
    HAS_TAIL = 14
    RETURN = 15
    """Goes where the last LINK said."""
    BEAM_LOST = 16
    HALTED = 17
    CELL_BIT_0 = 18
    CELL_BIT_1 = 19
    MISALIGNED = 20
    TLB_HIT = 21
    WRITABLE = 22
    A_NEGATIVE = 23
    B_NEGATIVE = 24
    B_ODD = 25
    COUNTED = 26
    SHIFTED_OUT = 27
    KEPT = 28
    FRAME_WRONG = 29
    STACK_SHORT = 30
    ILLEGAL = 31
    PERMITTED = 32
    """The cell, a window's grant, permits the instruction's access."""
    IS_LOAD = 33


TAIL_POINTER = 0x100
"""Flag beside the beam's: the instruction has a post-increment to write."""
TAIL_BRANCH = 0x200
"""Flag beside the beam's: the instruction is a conditional branch."""
FLAG_BITS = 10

CONSTANT_BITS = 16
MICRO_ADDRESS_BITS = 9
IMMEDIATE_BITS = 5
_IMMEDIATE_LOW = CONSTANT_BITS - IMMEDIATE_BITS

MICRO_LAYOUT = data.StructLayout(
    {
        "next": MICRO_ADDRESS_BITS,
        "condition": Condition,
        "y": Operand,
        "function": Function,
        "to_a": 1,
        "to_b": 1,
        "flags": 1,
        "read": Read,
        "write": Write,
        "action": Action,
        "read_at": UPPER_BITS,
        "write_at": UPPER_BITS,
        "spare": CONSTANT_BITS - 2 * UPPER_BITS,
        "prepares": Prepared,
    }
)
"""to_a, to_b: A or B takes the result. flags: keeps the result's flags. read_at, write_at and spare together are the
constant, in a micro-op that has one. Their top IMMEDIATE_BITS say what the next micro-op has as IMMEDIATE: an index of
`immediate.KINDS` plus one, or 0 for the decode table's."""


@dataclass(frozen=True)
class MicroOp:
    """One line, with cells and constants as numbers. See MICRO_LAYOUT."""

    y: Operand | Prepared = Operand.ZERO
    function: Function = Function.PASS_A
    to_a: bool = False
    to_b: bool = False
    flags: bool = False
    read: Read = Read.FIXED
    read_cell: int = 0
    write: Write = Write.NONE
    write_cell: int = 0
    action: Action = Action.NONE
    immediate: int = 0
    constant: int | None = None

    @property
    def needs(self) -> Prepared | None:
        """What the micro-op before has to prepare."""
        return self.y if isinstance(self.y, Prepared) else None

    def word(self, condition: Condition, following: int, prepares: Prepared = Prepared.PC) -> int:
        """The bits. Raises ValueError where constant and cells want the same ones, or a number does not fit."""
        low = (self.read_cell & _UPPER_MASK) | (self.write_cell & _UPPER_MASK) << UPPER_BITS
        for cell in (self.read_cell, self.write_cell):
            if cell and cell >> UPPER_BITS not in (0, UPPER >> UPPER_BITS):
                raise ValueError(f"cell {cell:#x} is out of a micro-op's reach")
        if self.read_cell and self.write is Write.FIXED and self.read is Read.FIXED:
            if self.read_cell == self.write_cell:
                raise ValueError(f"cell {self.read_cell:#x} is read in the cycle in which it is written")
        if self.constant is not None:
            if low:
                raise ValueError("a micro-op has a constant or fixed cells, not both")
            if not 0 <= self.constant < 1 << CONSTANT_BITS:
                raise ValueError(f"constant {self.constant} does not fit {CONSTANT_BITS} bits")
            low = self.constant
        if self.immediate:
            if low >> _IMMEDIATE_LOW:
                raise ValueError("the immediate's bits are taken by a constant or a cell to write")
            low |= self.immediate << _IMMEDIATE_LOW
        y = self.y if self.needs is None else Operand.PREPARED
        values = {
            "next": following, "condition": condition.value, "y": y.value, "function": self.function.value,
            "to_a": int(self.to_a), "to_b": int(self.to_b), "flags": int(self.flags), "read": self.read.value,
            "write": self.write.value, "action": self.action.value, "read_at": low, "prepares": prepares.value,
        }  # fmt: skip
        word = 0
        for name, value in values.items():
            word |= value << MICRO_LAYOUT[name].offset
        return word
