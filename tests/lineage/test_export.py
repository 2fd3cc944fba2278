"""The texts: nothing of the part is missing in them, whatever stands in it."""

from __future__ import annotations

import html
import json
import re
from functools import cache

from vac.assembler.assemble import Assembly, assemble_with_listing
from vac.checkpoint.point import Point
from vac.devices.console import Console
from vac.engines.registry import create_machine
from vac.history.history import History
from vac.host.session import Host
from vac.lineage.export import Part, label_of, to_dot, to_json, to_mermaid, value_text
from vac.lineage.lineage import Kind, Lineage
from vac.lineage.slicer import Options, why
from vac.lineage.tree import tree_of

SOURCE = """
.name "sum"
.data
table:  .word 30, 5
.code
.frame 4
        in      0               # "the \\ letter"
        set0
        ld32    l1, l2
        add3    l3, l0, l1
        rd      0
        set     3
        add3    s, l0, l1
        halt
"""


@cache
def sum_lineage() -> tuple[Lineage, Assembly]:
    assembly = assemble_with_listing(SOURCE, 'odd "name"\\.vasm')
    host = Host(create_machine("golden"), assembly.image, console=Console(b"A"))
    history = History.following(host, assembly.image, "golden")
    history.end()
    lineage = why(history, "stack:0")
    for pc, span in assembly.code_lines.items():
        lineage.source_of[pc] = (span.file.name, span.line, span.text)
    return lineage, assembly


def test_nodes_say_what_they_are() -> None:
    lineage, _ = sum_lineage()
    assert lineage.ticks.tolist() == [0, 1, 2, 6]
    assert lineage.inputs == [0]
    kinds = {lineage.node(index).kind for index in range(lineage.nodes)}
    assert kinds == {Kind.TARGET, Kind.WRITE, Kind.INPUT, Kind.IMAGE, Kind.ZERO}
    top = lineage.node(lineage.sources(lineage.root)[0][0])
    assert (top.tick, top.text, top.value, top.place) == (6, "add3 s, l0, l1", 65 + 30, "data stack 0")
    assert top.source and top.source[1:] == (13, "        add3    s, l0, l1")
    letter = next(lineage.node(index) for index in range(lineage.nodes) if lineage.node(index).kind is Kind.INPUT)
    assert (letter.text, letter.value) == ("in 0x0 at tick 0", 65)
    word = [lineage.node(index) for index in range(lineage.nodes) if lineage.node(index).place.startswith("memory")]
    assert [(node.kind, node.value, node.length) for node in word] == [(Kind.IMAGE, 30, 4)]


def test_json_holds_every_node_and_edge() -> None:
    lineage, _ = sum_lineage()
    part = Part.of(lineage)
    fields = json.loads(to_json(part))
    assert (fields["format"], fields["version"], fields["target"], fields["tick"]) == ("vac-lineage", 1, "stack:0", 8)
    assert [node["id"] for node in fields["nodes"]] == part.nodes
    assert sorted(part.nodes) == list(range(lineage.nodes)) and not fields["cut"]
    assert len(fields["edges"]) == lineage.edges
    for edge in fields["edges"]:
        assert (edge["to"] in part.nodes and edge["from"] > edge["to"]) or edge["to"] >= lineage.writes


def test_graphviz_and_mermaid_hold_every_node_and_edge() -> None:
    lineage, _ = sum_lineage()
    part = Part.of(lineage)
    dot = to_dot(part)
    labels = dict(re.findall(r'^  n(\d+) \[label="((?:[^"\\]|\\.)*)", fillcolor="#[0-9a-f]{6}"\];$', dot, re.MULTILINE))
    edges = re.findall(r"^  n(\d+) -> n(\d+) \[style=\w+, tooltip=\"\w+\"\];$", dot, re.MULTILINE)
    assert len(dot.splitlines()) == len(labels) + len(edges) + 3
    assert {int(a): re.sub(r"\\(.)", r"\1", text) for a, text in labels.items()} == {
        index: label_of(lineage.node(index)) for index in part.nodes
    }
    assert {(int(a), int(b)) for a, b in edges} == {edge[:2] for edge in part.edges}
    mermaid = to_mermaid(part)
    labels = dict(re.findall(r'^  n(\d+)\["([^"]*)"\]$', mermaid, re.MULTILINE))
    assert {int(a): html.unescape(text.replace("#", "&#")) for a, text in labels.items()} == {
        index: label_of(lineage.node(index)) for index in part.nodes
    }
    edges = re.findall(r"^  n(\d+) (?:-->|-\. \w+ \.->) n(\d+)$", mermaid, re.MULTILINE)
    assert {(int(a), int(b)) for a, b in edges} == {edge[:2] for edge in part.edges}


def test_a_part_says_where_it_is_cut() -> None:
    lineage, _ = sum_lineage()
    near = Part.of(lineage, depth=1)
    assert len(near.nodes) == 2 and near.cut == {near.nodes[1]} and len(near.edges) == 1
    few = Part.of(lineage, most=4)
    assert len(few.nodes) == 4 and few.cut
    assert not Part.of(lineage, most=lineage.nodes).cut
    assert "…" in to_dot(near) and "…" in to_mermaid(near) and json.loads(to_json(near))["cut"]


def test_the_tree_shows_every_node_once() -> None:
    from io import StringIO

    from rich.console import Console as Terminal

    lineage, _ = sum_lineage()
    text = StringIO()
    Terminal(file=text, width=300).print(tree_of(Part.of(lineage)))
    for index in range(lineage.nodes):
        assert label_of(lineage.node(index)) in text.getvalue()
    assert 'in      0               # "the \\ letter"' in text.getvalue()


def test_values() -> None:
    lineage, _ = sum_lineage()
    node = lineage.node(0)
    from dataclasses import replace

    texts = {value: value_text(replace(node, value=value)) for value in (None, 0, 9, 10, 0xFFFFFFFF, 0x80000000, 99999)}
    assert texts == {
        None: "", 0: "0x0", 9: "0x9", 10: "0xa (10)", 0xFFFFFFFF: "0xffffffff (-1)", 0x80000000: "0x80000000",
        99999: "0x1869f (99999)",
    }  # fmt: skip


def test_what_is_older_than_the_run_or_than_was_looked_is_named_so() -> None:
    lineage, assembly = sum_lineage()
    host = Host(create_machine("golden"), assembly.image, console=Console(b"A"))
    history = History.following(host, assembly.image, "golden")
    history.end()
    later = why(history, "stack:0", options=Options(since=3))
    leaves = [later.node(index) for index in range(later.writes, later.root)]
    assert {leaf.kind for leaf in leaves} == {Kind.EARLIER}
    assert {leaf.text for leaf in leaves} == {"return stack 0 at tick 3", "return stack 1 at tick 3"}
    assert {leaf.value for leaf in leaves} == {65, 30}
    origin = Point(history.seek(3), history.point().memory, 1)
    branch = History(assembly.image, history.log, origin=origin, engine="golden")
    branch.end()
    assert {why(branch, "stack:0").node(leaf.index).kind for leaf in leaves} == {Kind.EARLIER}
    assert lineage.node(lineage.root).text == "stack:0"
