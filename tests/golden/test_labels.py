"""Information-flow labels follow every value, through locals, windows and memory, and stay out of control flow."""

from collections.abc import Callable

import pytest

from vac.isa.beam import Beam
from vac.isa.limits import DATA_STACK_CELLS
from vac.machine.protocol import Leaf, Machine, StopReason

TWO_JOINS = ".labels\nk1; k2; join; set0; k1; k2; join; set1\n"
"""Local 0 then carries label 1 (the first join), local 1 label 2."""


def labels_after(start: Callable[..., Machine], source: str) -> list[int]:
    """Labels of the live data stack when the program halts."""
    machine = start(source + "\nhalt")
    assert machine.run(1000).reason is StopReason.HALTED, machine.state().trap.name
    return machine.state().labels[: machine.state().sp]


@pytest.mark.parametrize(
    ("source", "labels"),
    [
        pytest.param("get0; get1; k1", [1, 2, 0], id="locals keep them, constants have none"),
        pytest.param("get0; get1; add", [3], id="a result carries the union"),
        pytest.param("add3 s, l0, l1", [3], id="operand nibbles too"),
        pytest.param("get0; dup", [1, 1], id="copies carry them"),
        pytest.param("get0; get1; swap", [2, 1], id="swap moves them"),
        pytest.param("get0; get1; nip", [3], id="nip consumes both"),
        pytest.param("get0; get1; over", [1, 2, 1], id="over copies the second only"),
        pytest.param("get0; inc 3; not; neg; eqz; sx8", [1], id="one operand"),
        pytest.param("get0; li s, 4; li l0, 5; get0", [1, 0, 0], id="a literal clears its destination"),
        pytest.param("get0; get1; xor; get0; join", [7], id="a join adds a label of its own"),
        pytest.param("k8; get0; st32 s, s; k8; ld32 s, s; lit 64; ld8u s, s", [1, 1], id="a leaf keeps them"),
        pytest.param("k8; get0; st32 s, s; k8; k1; st32 s, s; k8; ld32 s, s", [1], id="a leaf never loses them"),
        pytest.param("get0; inc 7; ld32 s, s", [1], id="what is loaded carries its pointer's"),
        pytest.param("get0; inc 7; k1; st32 s, s; k8; ld32 s, s", [1], id="a pointer's labels are stored as well"),
        pytest.param("get0; inc 3; set2; ld32p s, l2; get2", [1, 1], id="a post-incremented pointer keeps its own"),
        pytest.param("get1; set2; djnz l2, on\non: get2", [2], id="a counted-down local keeps its own"),
        pytest.param("get0; eqz; bzs on\non: k1", [0], id="control flow is not tracked"),
        pytest.param("get0; call f, 1; halt\nf: set0; get0; ret", [1], id="arguments carry them through a call"),
        pytest.param(
            "k0; lit 64; wnar 1, 0; lit32 0x10000008; ld32 l5, s; k8; get0; st32 s, s; lit32 0x10000008; ld32 s, s",
            [1], id="a leaf shows new labels through every window, also one that was used before",
        ),
        pytest.param("rd 0; wlen s, 0", [0, 0], id="registers have none"),
    ],
)  # fmt: skip
def test_flow(source: str, labels: list[int], start: Callable[..., Machine]) -> None:
    assert labels_after(start, TWO_JOINS + source) == labels


def test_without_the_declaration_nothing_is_labelled(start: Callable[..., Machine]) -> None:
    source = TWO_JOINS.replace(".labels\n", "") + "k8; get0; st32 s, s; k8; ld32 s, s"
    machine = start(source + "\nhalt")
    assert machine.run(1000).reason is StopReason.HALTED
    state = machine.state()
    assert not any(state.labels) and state.joins == 2
    assert machine.read_leaf(1, 0).labels == 0


def test_the_seventeenth_join_takes_the_first_label_again(start: Callable[..., Machine]) -> None:
    labels = labels_after(start, ".labels\n" + "k0; k0; join\n" * 17)
    assert labels == [1 << (index % 16) for index in range(17)]


def test_beams_carry_the_labels_of_their_value(start: Callable[..., Machine]) -> None:
    machine = start(TWO_JOINS + "add3 l3, l0, l1; k8; get1; st32 s, s; get0; get1; call f, 0\nf: halt")
    assert machine.run(1000).reason is StopReason.HALTED
    records = machine.drain_beams()
    labels = [Beam.unpack(records[at : at + 16]).labels for at in range(0, len(records), 16)]
    assert labels == [0, 0, 1, 1, 0, 0, 2, 2, 3, 0, 2, 2, 1, 2, 0, 0]


def test_a_call_link_has_no_labels_even_over_a_labelled_cell(start: Callable[..., Machine]) -> None:
    functions = "f: k1; k2; join; dup; set0; drop; ret\ng: call h, 0; ret\nh: ret"
    machine = start(f".frame 2\n.labels\ncall f, 1; call g, 0; halt\n{functions}")
    assert machine.run(9).reason is StopReason.TICK
    assert machine.run(10).reason is StopReason.TICK
    state = machine.state()
    assert state.rp == 4
    assert state.labels[DATA_STACK_CELLS + 2 : DATA_STACK_CELLS + 4] == [0, 0]


def test_an_installed_leaf_brings_its_labels(start: Callable[..., Machine]) -> None:
    machine = start(".labels\nk0; ld32 s, s; halt")
    machine.install(1, 0, Leaf(b"\x05" + bytes(4095), labels=0x8001))
    assert machine.run(10).reason is StopReason.HALTED
    assert (machine.state().data_stack, machine.state().labels[0]) == ([5], 0x8001)
