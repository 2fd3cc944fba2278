"""A machine's memory by full addresses, from outside."""

from __future__ import annotations

from dataclasses import dataclass

from ..host.address_space import AddressSpace
from ..isa.limits import CELL_BITS, LEAF_BITS, LEAF_BYTES, SLOT_BITS
from ..machine.protocol import Leaf
from ..memory.address import LA128
from .errors import InvalidAddress


@dataclass(frozen=True)
class Patch:
    """Bytes that were written from outside before the instruction at `tick`. Together with the image and the input log
    these determine the run."""

    tick: int
    address: LA128
    data: bytes


def slot_of(memory: AddressSpace, address: LA128, length: int) -> int:
    """The slot of `length` bytes at an address. shard: the number of one that was given to the machine, else its slot:
    0 the code, 1 the usual data. Raises InvalidAddress."""
    slot = memory.slot_of_shard(address.shard)
    if slot is None:
        if address.shard >= 1 << SLOT_BITS:
            raise InvalidAddress(f"{address}: this machine has no shard of that number")
        slot = address.shard
    if length < 0 or address.offset + length > 1 << CELL_BITS:
        raise InvalidAddress(f"{length} bytes at {address} do not fit a shard; it has 4 GiB")
    return slot


def read_bytes(memory: AddressSpace, address: LA128, length: int) -> bytes:
    """What is there now; zeros where nothing ever was. Raises InvalidAddress and PagingError."""
    return memory.read(slot_of(memory, address, length), address.offset, length)


def write_bytes(memory: AddressSpace, address: LA128, data: bytes) -> None:
    """Labels stay as they are. Raises InvalidAddress and PagingError."""
    slot = slot_of(memory, address, len(data))
    start = address.offset
    while data:
        number, place = start >> LEAF_BITS, start % LEAF_BYTES
        part, data = data[: LEAF_BYTES - place], data[LEAF_BYTES - place :]
        leaf = memory.leaf(slot, number)
        content = leaf.data[:place] + part + leaf.data[place + len(part) :]
        memory.residency.put(slot, number, Leaf(content, leaf.labels))
        start += len(part)
