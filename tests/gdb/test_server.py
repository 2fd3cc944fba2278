"""Every packet has an answer, malformed ones an error; what is answered is what the session says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.debugger import Session
from vac.gdb.address_space import POINTER_BASE, return_address, stack_address
from vac.gdb.packets import Packet, PacketReader, Signal, frame
from vac.gdb.registers import OWN, SHAPES, RegisterSet
from vac.gdb.server import Server
from vac.machine.state import Status

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
.name "sums"
.memory 4096
.frame 2
.local total, left
        let     total, 0
        let     left, 5
again:
        push    left
        invoke  add_up
        djnz    left, again
        lit     total_at
        st32    s, total
        lit     0x0FFFFFF0
        ld32    s, s
        halt
.func add_up                            # ( n -- ) adds to a cell of memory
.local amount, sum
        pop     amount
        lit     total_at
        ld32    sum, s
        add3    sum, sum, amount
        lit     total_at
        st32    s, sum
        ret
.endfunc
        .data
        .space 256
total_at: .word 1000
"""
DATA = 1 << 32


@pytest.fixture
def session(tmp_path: Path) -> Session:
    path = tmp_path / "sums.vasm"
    path.write_text(PROGRAM)
    return Session.open(path, engine="golden")


@pytest.fixture
def server(session: Session) -> Iterator[Server]:
    yield Server(session)


def ask(server: Server, payload: str | bytes) -> str:
    data = payload if isinstance(payload, bytes) else payload.encode("latin-1")
    items = PacketReader().feed(server.take(Packet(data)))
    assert len(items) == 1 and isinstance(items[0], Packet)
    return items[0].payload.decode("latin-1")


def number(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "little")


def own(server: Server, name: str) -> int:
    index = next(index for index, register in enumerate(OWN) if register.name == name)
    return number(ask(server, f"p{index:x}"))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_description_says_where_each_register_lies_in_g(session: Session, shape: str) -> None:
    registers, server = RegisterSet(shape), Server(session, shape)
    ask(server, "s")
    content = ""
    while not content.endswith("</target>\n"):
        part = ask(server, f"qXfer:features:read:target.xml:{len(content):x},100")
        assert part[0] == ("l" if part.endswith("</target>\n") else "m")
        content += part[1:]
    elements = ElementTree.fromstring(content).findall(".//reg")
    assert [element.get("name") for element in elements] == [register.name for register in registers.registers]
    packet, position = ask(server, "g"), 0
    for index, element in enumerate(elements):
        assert element.get("regnum") == str(index)
        digits = int(element.get("bitsize") or 0) // 4
        assert packet[position : position + digits] == ask(server, f"p{index:x}")
        position += digits
    assert position == len(packet)
    assert ask(server, f"p{len(elements):x}") == "E01"


def test_registers_are_the_state(session: Session, server: Server) -> None:
    session.step(9)
    state = session.state
    assert own(server, "vpc") == state.pc and own(server, "tick") == 9 and own(server, "sp") == state.sp
    assert own(server, "l0") == state.cells[64 + state.fp]
    assert own(server, "w0") == state.windows[0].length << 32 | 1 << 64 | 3 << 96
    index = next(index for index, register in enumerate(OWN) if register.name == "l14")
    assert ask(server, f"p{index:x}") == "x" * 8


def test_memory_is_flat(session: Session, server: Server) -> None:
    session.run_to(session.parse(["write", "total_at", "4"]).forward)
    total = session.source.data["total_at"]
    expected = (1000 + 5).to_bytes(4, "little").hex()
    assert ask(server, f"m{DATA + total:x},4") == expected
    assert ask(server, f"m{POINTER_BASE + total:x},4") == expected
    assert ask(server, "m0,8") == session.history.read(0, 0, 8).hex()
    state = session.state
    assert number(ask(server, f"m{return_address(1):x},4")) == state.cells[65]
    assert number(ask(server, f"m{stack_address(0):x},400")[: 8 * 256]) == int.from_bytes(
        b"".join(cell.to_bytes(4, "little") for cell in state.cells), "little"
    )
    assert len(ask(server, f"m{stack_address(255):x},40")) == 8
    assert ask(server, f"m{POINTER_BASE + (5 << 28):x},4").startswith("E.window 5 is empty")
    assert ask(server, f"m{1 << 62:x},4").startswith("E.")


def test_runs_both_ways(session: Session, server: Server) -> None:
    add_up = session.source.code["add_up"]
    assert ask(server, f"Z0,{add_up:x},1") == "OK"
    assert ask(server, f"Z0,{add_up:x},1") == "OK"
    ticks: list[int] = []
    while "swbreak:;" in (told := ask(server, "vCont;c")):
        assert number(told.split("0:")[1].split(";")[0]) == add_up
        ticks.append(session.tick)
    assert len(ticks) == 5
    assert told.startswith("T0b"), "the load beyond the window trapped"
    assert own(server, "status") == Status.TRAPPED
    assert "replaylog:end" in ask(server, "c")
    for tick in reversed(ticks):
        assert "swbreak:;" in ask(server, "bc")
        assert session.tick == tick
    assert "replaylog:begin" in ask(server, "bc")
    assert "replaylog:begin" in ask(server, "bs") and session.tick == 0
    assert ask(server, f"z0,{add_up:x},1") == "OK" and ask(server, f"z0,{add_up:x},1") == "OK"
    assert not session.breakpoints
    assert ask(server, "s").startswith("T05") and session.tick == 1
    assert ask(server, "vCont;s:1;c").startswith("T05") and session.tick == 2
    assert ask(server, "bs").startswith("T05") and session.tick == 1


@pytest.mark.parametrize(("kind", "told", "count"), [(2, "watch", 6), (3, "rwatch", 5), (4, "awatch", 11)])
def test_watchpoints_stop_behind_the_access_forwards_and_before_it_backwards(
    session: Session, server: Server, kind: int, told: str, count: int
) -> None:
    address = DATA + session.source.data["total_at"]
    assert ask(server, f"Z{kind},{address:x},4") == "OK"
    ahead: list[int] = []
    while f"{told}:{address:x};" in ask(server, "c"):
        ahead.append(session.tick)
    assert len(ahead) == count
    back: list[int] = []
    while f"{told}:{address:x};" in ask(server, "bc"):
        back.append(session.tick)
    assert back == [tick - 1 for tick in reversed(ahead)]


def test_nothing_can_be_written(server: Server) -> None:
    before = ask(server, "g")
    for packet in ("P0=01000000", "G" + "0" * len(before), "M0,1:00", "X0,1:a"):
        assert ask(server, packet).startswith("E.")
    assert ask(server, "c99").startswith("E.")
    assert ask(server, "g") == before


def test_monitor(session: Session, server: Server) -> None:
    def monitor(line: str) -> str:
        reply = ask(server, "qRcmd," + line.encode().hex())
        return reply if reply.startswith("E") else bytes.fromhex(reply).decode()

    assert monitor("tick").startswith("tick 0 of 0 to ?")
    assert "the run was moved" in monitor("seek 7") and session.tick == 7
    assert "st32 wrote" in monitor("who total_at 4") or "nobody wrote it" in monitor("who total_at 4")
    assert "add_up:" in monitor("disasm add_up")
    assert monitor("nonsense").startswith("E.there is no command 'nonsense'")


def test_a_client_that_knows_x86_gets_registers_that_it_takes(session: Session) -> None:
    server = Server(session)
    assert "ReverseStep+" in ask(server, "qSupported:multiprocess+;xmlRegisters=i386;swbreak+")
    assert "i386:x86-64" in ask(server, "qXfer:features:read:target.xml:0,fff")
    own_shape = Server(session)
    ask(own_shape, "qSupported:swbreak+")
    assert "i386" not in ask(own_shape, "qXfer:features:read:target.xml:0,fff")


def test_acknowledgements(server: Server) -> None:
    assert server.acknowledge(Packet(b"qC")) == b"+"
    sent = server.take(Packet(b"qC"))
    assert server.take(Signal.NAK) == sent == frame(b"QC1")
    assert server.acknowledge(Signal.BROKEN) == b"-" and server.acknowledge(Signal.INTERRUPT) == b""
    assert server.take(Packet(b"QStartNoAckMode")) == frame(b"OK")
    assert server.acknowledge(Packet(b"qC")) == b"" and server.acknowledge(Signal.BROKEN) == b""


def test_detach_and_kill(session: Session) -> None:
    server = Server(session)
    ask(server, "Z0,0,1")
    assert ask(server, "D;1") == "OK" and server.is_over and not server.is_killed
    server.close()
    assert not session.breakpoints
    for packet, reply in (("k", b""), ("vKill;1", frame(b"OK"))):
        server = Server(session)
        assert server.take(Packet(packet.encode())) == reply and server.is_killed


_SHARED: list[Session] = []
_PREFIXES = ["", *"?gGpPmMXZzcCsSbDkHTqv!", "qXfer:features:read:target.xml:", "qSupported", "qRcmd,", "vCont",
             "vCont;", "Z0,", "Z2,", "Z3,", "z4,", "m", "qXfer:", "vKill;", "bc", "bs", "p"]  # fmt: skip


@given(
    st.lists(
        st.builds(
            lambda prefix, rest: prefix.encode() + rest,
            st.sampled_from(_PREFIXES),
            st.one_of(
                st.binary(max_size=24), st.from_regex(rb"[0-9a-f]{0,17}[,;:=]?[0-9a-f]{0,9}[,;:]?", fullmatch=True)
            ),
        ),
        max_size=6,
    )
)
def test_malformed_packets_get_errors_and_no_crash(packets: list[bytes]) -> None:
    if not _SHARED:
        _SHARED.append(Session.open(ROOT / "firmware" / "demos" / "primes.vasm"))
    session = _SHARED[0]
    server = Server(session)
    for packet in packets:
        sent = server.take(Packet(packet))
        assert sent == b"" or len(PacketReader().feed(sent)) == 1
    server.close()
    session.breakpoints.clear()
    assert len(ask(Server(session), "g")) == 2 * sum(register.bytes for register in OWN)
