"""Where the architectural state lies in the scratch RAM: 512 cells of 32 bits.

| cells | what |
|---|---|
| 0x000 - 0x0FF | the stack RAM |
| 0x100 - 0x143 | four words for each of the 17 windows |
| 0x144 - 0x14F | temporaries of the microprogram, dead while the core is stopped |
| 0x150 - 0x17F | one word for each host register, in falling order |

The host's addresses become cells by wiring alone.
"""

from enum import IntEnum

from vac.isa.limits import DATA_STACK_CELLS, STACK_RAM_CELLS
from vac.isa.state_map import HostRegister

CELL_ADDRESS_BITS = 9
CELLS = 1 << CELL_ADDRESS_BITS

UPPER = 0x100
"""First cell of the half that a micro-op can address by itself, with UPPER_BITS bits."""
UPPER_BITS = 7
_LAST = UPPER + (1 << UPPER_BITS) - 1
RETURN_STACK = DATA_STACK_CELLS

assert STACK_RAM_CELLS == UPPER


class Temporary(IntEnum):
    """Cells of the microprogram itself."""

    NEXT_PC = 0x144
    """Address behind the instruction, or where it goes."""
    AUX = 0x145
    """The beam's auxiliary word."""
    VALUE = 0x146
    OTHER = 0x147
    POINTER = 0x148
    """What a post-increment leaves in its local."""
    PARTIAL = 0x149


def register_cell(register: HostRegister) -> int:
    """Cell of a host register."""
    return _LAST - register
