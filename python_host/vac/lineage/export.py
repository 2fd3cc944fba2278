"""A lineage, or the part of it that is nearest to what was asked, as JSON, Graphviz and Mermaid text."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .effects import Role
from .lineage import Kind, Lineage, Node

FORMAT = "vac-lineage"
VERSION = 1

_COLOURS = {
    Kind.TARGET: "#fff2b3", Kind.WRITE: "#ffffff", Kind.INPUT: "#cfe8ff", Kind.IMAGE: "#d9f2d9", Kind.ZERO: "#eeeeee",
    Kind.REGISTER: "#eadcf5", Kind.START: "#eeeeee", Kind.EARLIER: "#ffd9cc",
}  # fmt: skip
_STYLES = {Role.VALUE: "solid", Role.ADDRESS: "dashed", Role.REQUEST: "dotted", Role.CONTROL: "bold"}


@dataclass(frozen=True)
class Part:
    """Some nodes of a lineage, those fewest edges from the target, in that order, with the edges between them. cut:
    those of which sources were left out."""

    lineage: Lineage
    nodes: list[int]
    edges: list[tuple[int, int, Role]]
    cut: frozenset[int]

    @staticmethod
    def of(lineage: Lineage, most: int | None = None, depth: int | None = None) -> Part:
        """most: nodes. depth: edges from the target. None for all."""
        distance = {lineage.root: 0}
        waiting = deque([lineage.root])
        while waiting:
            index = waiting.popleft()
            if depth is not None and distance[index] >= depth:
                continue
            for source, _ in lineage.sources(index):
                if source not in distance and (most is None or len(distance) < most):
                    distance[source] = distance[index] + 1
                    waiting.append(source)
        edges: list[tuple[int, int, Role]] = []
        cut: set[int] = set()
        for index in distance:
            for source, role in lineage.sources(index):
                is_last = depth is not None and distance[index] >= depth
                if source not in distance or is_last:
                    cut.add(index)
                else:
                    edges.append((index, source, role))
        return Part(lineage, list(distance), edges, frozenset(cut))


def value_text(node: Node) -> str:
    """The value in hexadecimal, and as a number where that is short; empty where there is none."""
    if node.value is None:
        return ""
    signed = node.value - (1 << 32) if node.value >> 31 else node.value
    is_short = 9 < signed < 100_000 or -100_000 < signed < 0
    return f"{node.value:#x}" + (f" ({signed})" if is_short else "")


def label_of(node: Node) -> str:
    """A node in one line."""
    if node.kind is Kind.TARGET:
        return node.text
    if node.kind is not Kind.WRITE:
        value = f" = {value_text(node)}" if node.value is not None else ""
        name = "" if node.kind in (Kind.START, Kind.EARLIER, Kind.REGISTER) else f"{node.kind.value}: "
        return f"{name}{node.text}{value}"
    written = f"{node.place} = " if node.place and node.value is not None else node.place
    shown = f"  {written}{value_text(node)}" if written or node.value is not None else ""
    where = f"  [{Path(node.source[0]).name}:{node.source[1]}]" if node.source else ""
    return f"{node.tick}: {node.text}{shown}{where}"


def to_json(part: Part) -> str:
    """`format`, `version`, `target`, `tick`, `looked_back_to`, `writes` (in the whole lineage), `root`, `nodes`,
    `edges` (from a node to a source of it) and `cut` (nodes of which sources were left out)."""
    lineage = part.lineage
    fields: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "target": lineage.target,
        "tick": lineage.tick,
        "looked_back_to": lineage.end,
        "writes": lineage.writes,
        "root": lineage.root,
        "nodes": [_fields(lineage.node(index)) for index in part.nodes],
        "edges": [{"from": index, "to": source, "role": role.name.lower()} for index, source, role in part.edges],
        "cut": sorted(part.cut),
    }
    return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


def _fields(node: Node) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": node.index, "kind": node.kind.value, "text": node.text}
    if node.kind is Kind.WRITE:
        fields |= {"tick": node.tick, "pc": node.pc, "opcode": node.opcode}
    if node.place:
        fields["place"] = node.place
    if node.value is not None:
        fields["value"] = node.value
    if node.source:
        fields["source"] = dict(zip(("file", "line", "text"), node.source, strict=True))
    return fields


def to_dot(part: Part) -> str:
    """Text for Graphviz; sources stand below what was made of them."""
    lines = ["digraph lineage {", '  node [shape=box, style=filled, fontname="monospace", fontsize=10];']
    for index in part.nodes:
        node = part.lineage.node(index)
        label = label_of(node) + ("\n…" if index in part.cut else "")
        lines.append(f'  n{index} [label="{_dot_text(label)}", fillcolor="{_COLOURS[node.kind]}"];')
    for index, source, role in part.edges:
        lines.append(f'  n{index} -> n{source} [style={_STYLES[role]}, tooltip="{role.name.lower()}"];')
    return "\n".join([*lines, "}"]) + "\n"


def _dot_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def to_mermaid(part: Part) -> str:
    """A Mermaid flowchart. Arrows that are not values are dotted and named."""
    lines = ["flowchart TD"]
    for index in part.nodes:
        node = part.lineage.node(index)
        label = label_of(node) + (" …" if index in part.cut else "")
        lines.append(f'  n{index}["{_mermaid_text(label)}"]')
    for index, source, role in part.edges:
        arrow = "-->" if role is Role.VALUE else f"-. {role.name.lower()} .->"
        lines.append(f"  n{index} {arrow} n{source}")
    for kind, colour in _COLOURS.items():
        members = [f"n{index}" for index in part.nodes if part.lineage.node(index).kind is kind]
        if members:
            lines.append(f"  classDef {kind.value} fill:{colour},color:#000,stroke:#555")
            lines.append(f"  class {','.join(members)} {kind.value}")
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    """Entities for what Mermaid would read as its own."""
    escaped = "".join(f"#{ord(each)};" if each in '#"&<>`\\' else each for each in text)
    return escaped.replace("\n", " ")
