"""The boards that the link's fuzzing begins with, and boards that are no core of this kind."""

from __future__ import annotations

import pytest

from vac.campaigns import fuzz_link
from vac.campaigns.fuzz_link import AnyAnswers
from vac.isa.limits import ISA_VERSION
from vac.isa.link import LinkStatus
from vac.link.board import Board
from vac.link.session import LinkError, LinkSession
from vac.machine.protocol import StopReason


def test_the_seeds_are_boards_that_do_all_there_is() -> None:
    stops = set()
    for content in fuzz_link.TARGETS["board"].seeds():
        board = Board(LinkSession(AnyAnswers(content), attempts=1))
        stops.add(board.run(1000).reason)
    assert stops == {StopReason.PAGE_MISS, StopReason.HALTED, StopReason.EVENT}


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        (ISA_VERSION + 1, "instruction set"),
        (ISA_VERSION | 255 << 8, "2\\^255 frames"),
        (ISA_VERSION | 3 << 8 | 255 << 16, "2\\^255 TLB entries"),
    ],
)
def test_a_board_that_is_no_core_of_this_kind(identity: int, said: str) -> None:
    stopped = bytes([int(LinkStatus.STOPPED), 0])
    answers = stopped + stopped[:1] + b"\x01" + identity.to_bytes(4, "little") + stopped
    with pytest.raises(LinkError, match=said):
        Board(LinkSession(AnyAnswers(answers), attempts=1))
