"""The verifier takes what is sound, refuses what is not, and says where and why."""

import random
from dataclasses import replace

import pytest

from vac.assembler.assemble import assemble
from vac.golden.model import GoldenMachine
from vac.image.image import Image, Segment, Window
from vac.image.verifier import verify
from vac.isa.traps import Trap
from vac.machine.protocol import Answer, StopReason

ACCEPTED = {
    "straight line": "lit 1; lit 2; add; drop; halt",
    "loop": "li l0, 3\n@again: get0; drop; djnz l0, @again\nhalt",
    "branches that meet": "lit 1; bzs on; lit 2; goto out\non: lit 3\nout: drop; halt",
    "function with arguments": "lit 1; lit 2; invoke plus; drop; halt\n.func plus, 0\nadd; ret",
    "function of two exits": "lit 1; invoke f; halt\n.func f, 0\nbzs @a; ret\n@a: ret",
    "function that never returns": "invoke stop; drop; drop\n.func stop\nhalt",
    "table call": "lit 5; lit 1; callt; drop; halt\n.function f, 1\n.function g\n"
    ".func f, 1\nset0; get0; ret\n.func g\ninc 1; ret",
    "table jump": "lit 1; jmpt\n.function a, 0\n.function b, 0\na: lit 1; drop; halt\nb: halt",
    "one function in two frames": "call f, 2; call f, 3; halt\nf: li l1, 5; ret",
    "recursion": "lit 6; invoke factorial; drop; halt\n.func factorial\n.local n\npop n\njnz n, @more\nk1; ret\n"
    "@more: addi s, n, -1; invoke factorial; mul3 s, s, n; ret",
    "data between code": "goto on\n.word 0, 0\non: halt",
    "system call": "lit 0; lit 0; lit 8; sys SYS_READ; drop; halt",
    "endless loop": "again: goto again",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_sound_programs_are_verified(name: str) -> None:
    verdict = verify(assemble(ACCEPTED[name]))
    assert verdict.is_verified, [str(reason) for reason in verdict.reasons]


REFUSED = {
    "underflow": ("lit 1; add; halt", 1, "needs 2 cells of the data stack; 1 are there"),
    "peek at an empty stack": ("dup; halt", 0, "needs 1 cells"),
    "underflow in a callee": ("lit 1; invoke f; halt\n.func f\nadd; ret", 1, "needs 2 cells; 1 are there"),
    "too few arguments for a system call": ("lit 0; lit 8; sys SYS_READ; halt", 2, "needs 3 cells"),
    "loop that grows": ("again: lit 1; goto again", 0, "0 or 1 cells deep here"),
    "branches that meet unequal": ("lit 1; bzs on; lit 2\non: halt", 4, "0 or 1 cells deep here"),
    "unequal returns": ("lit 0; invoke f; halt\n.func f\nbzs @a; lit 1; ret\n@a: ret", None, "another return with"),
    "return from the outermost frame": ("ret", 0, "returns from the outermost frame"),
    "run off the end": ("lit 1", 1, "control leaves the code segment"),
    "branch outside": ("jmp 1000", 1000, "control leaves the code segment"),
    "branch into an instruction": ("li l0, 1\njmps 1\nhalt", None, "no legal instruction"),
    "overlapping instructions": (".byte 0x40, 0x01\njmps 1", 1, "lies inside the instruction at"),
    "unassigned opcode": ("lit 1; drop\n.byte 0", 2, "no legal instruction"),
    "unknown register": (".byte 0x47, 99\nhalt", 0, "no legal instruction"),
    "local beyond its frame": ("call f, 2; halt\nf: li l2, 1; ret", 5, "names local 2 of a frame of 2 locals"),
    "get beyond the frame": (".frame 3\nget 3; halt", 0, "names local 3 of a frame of 3 locals"),
    "table entry into nothing": ("lit 0; callt; halt\n.function 1000, 0", 1000, "control leaves the code segment"),
    "table entries that differ": (
        "lit 0; callt; halt\n.function f\n.function g\n.func f\nk1; ret\n.func g\nret", 2, "deep here",
    ),
    "writable code": (".window 3, 0, 0, 4, WRITE\nhalt", None, "window 3 can write the code"),
    "overflow": ("lit 1;" * 65 + "halt", None, "data stack"),
    "overflow in a callee": (
        "lit 1;" * 40 + "invoke f; halt\n.func f\n" + "lit 1;" * 30 + "halt", None, "can need 70 cells",
    ),
    "frames that do not fit": (
        "call f, 100; halt\nf: call g, 90; ret\ng: ret", None, "can need 207 cells of the return",
    ),
    "recursion that eats the stack": ("lit 1; invoke f; halt\n.func f\ndrop; call f; ret", None, "consumes more than"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_unsound_programs_are_refused_with_place_and_reason(name: str) -> None:
    source, pc, message = REFUSED[name]
    reasons = verify(assemble(source)).reasons
    assert reasons
    matching = [reason for reason in reasons if message in str(reason)]
    assert matching, [str(reason) for reason in reasons]
    if pc is not None:
        assert pc in [reason.pc for reason in matching]


def test_reasons_quote_the_instruction() -> None:
    (reason,) = verify(assemble("lit 1; add; halt")).reasons
    assert str(reason).startswith("0x000001 `add`: ")


def test_code_that_no_segment_holds_is_refused() -> None:
    image = Image(4096, 0, 8192, (Segment(0, 0, 4096, b"\x02"),))
    assert "no segment holds this code" in str(verify(image).reasons[0])


def test_an_instruction_that_ends_where_no_segment_is_is_refused() -> None:
    image = Image(4095, 0, 8192, (Segment(0, 0, 4096, bytes(4095) + b"\x40"),))
    assert "no segment holds the end" in str(verify(image).reasons[0])


def test_a_readable_window_on_the_code_is_no_fault() -> None:
    image = assemble("halt")
    window = Window(0, 0, 1, 1)
    assert verify(replace(image, windows=((1, window),))).is_verified


def test_depths_and_cells_are_exact() -> None:
    verdict = verify(assemble("lit 1; lit 2; invoke plus; drop; halt\n.func plus, 3\nover; drop; add; ret"))
    assert (verdict.data_cells, verdict.return_cells) == (3, 15 + 1 + 3)
    outermost = next(function for function in verdict.functions if function.key.is_outermost)
    plus = next(function for function in verdict.functions if not function.key.is_outermost)
    assert list(outermost.depths.values()) == [0, 1, 2, 1, 0]
    assert (plus.consumes, plus.net, list(plus.depths.values())) == (2, -1, [0, 1, 0, -1])


def test_recursion_leaves_the_depth_open() -> None:
    verdict = verify(assemble(ACCEPTED["recursion"]))
    assert verdict.data_cells is None and verdict.return_cells is None


_STATEMENTS = (
    "lit 1", "lit 0", "drop", "dup", "over", "add", "swap", "get0", "set0", "addi s, s, 1", "djnz l0, {}", "li l1, 4",
    "goto {}", "bzs {}", "jnz s, {}", "jltu l0, l1, {}", "call {}, 2", "call {}, 1", "ret", "halt", "lit 0; callt",
    "lit 0; jmpt", "sys 6", "emit",
)  # fmt: skip
_EXCLUDED = (
    Trap.CODE_BOUNDS, Trap.ILLEGAL, Trap.FRAME, Trap.STACK_UNDERFLOW, Trap.RETURN_UNDERFLOW, Trap.STACK_OVERFLOW,
    Trap.RETURN_OVERFLOW,
)  # fmt: skip


def _random_program(generator: random.Random) -> str:
    count = generator.randint(3, 14)
    lines = [
        f"p{index}: {generator.choice(_STATEMENTS).format(f'p{generator.randrange(count)}')}" for index in range(count)
    ]
    lines.append(generator.choice(["halt", "goto p0", "ret"]))
    lines.append(f".function p{generator.randrange(count)}, {generator.randint(0, 2)}")
    return "\n".join([".frame 2", *lines])


def test_no_verified_random_program_traps_for_what_the_verifier_excludes() -> None:
    generator = random.Random(7)
    verified = ran_on = trapped = 0
    for _ in range(3000):
        source = _random_program(generator)
        image = assemble(source)
        verdict = verify(image)
        machine = GoldenMachine()
        machine.load(image)
        while machine.run(300).reason is StopReason.EVENT:
            machine.answer(Answer(value=generator.randrange(3)))
        state = machine.state()
        trapped += state.trap in _EXCLUDED
        if not verdict.is_verified:
            continue
        verified += 1
        ran_on += state.tick > 20
        recursion_may = (Trap.STACK_OVERFLOW, Trap.RETURN_OVERFLOW) if verdict.data_cells is None else ()
        assert state.trap not in _EXCLUDED or state.trap in recursion_may, source
        if verdict.return_cells is not None:
            assert state.rp <= verdict.return_cells
    assert verified > 200 and ran_on > 20 and trapped > 500, (verified, ran_on, trapped)
