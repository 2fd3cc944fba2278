"""A lineage as a tree on a terminal. What was shown once is only named when it turns up again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .effects import Role
from .export import Part, label_of
from .lineage import Kind

if TYPE_CHECKING:
    from rich.tree import Tree

_STYLES = {Kind.TARGET: "bold", Kind.INPUT: "cyan", Kind.IMAGE: "green", Kind.ZERO: "dim", Kind.REGISTER: "magenta",
           Kind.EARLIER: "yellow"}  # fmt: skip


def tree_of(part: Part) -> Tree:
    """The part as a tree under its target."""
    from rich.text import Text
    from rich.tree import Tree

    lineage = part.lineage
    below: dict[int, list[tuple[int, Role]]] = {}
    for index, source, role in part.edges:
        below.setdefault(index, []).append((source, role))
    shown: set[int] = set()

    def text_of(index: int, role: Role) -> Text:
        node = lineage.node(index)
        text = Text("" if role is Role.VALUE else f"{role.name.lower()} ", style="dim")
        text.append(label_of(node), style=_STYLES.get(node.kind, "not dim"))
        if node.source and index not in shown:
            text.append(f"  {node.source[2].strip()}", style="dim italic")
        return text

    tree = Tree(text_of(lineage.root, Role.VALUE))
    waiting = [(lineage.root, tree)]
    while waiting:
        index, branch = waiting.pop()
        if index in part.cut and index not in below:
            branch.add(Text("…", style="dim"))
        open_branches: list[tuple[int, Tree]] = []
        for source, role in below.get(index, []):
            text = text_of(source, role)
            if source in shown:
                has_more = source in below or source in part.cut
                branch.add(text.append("  (elsewhere)" if has_more else "", style="dim"))
                continue
            shown.add(source)
            open_branches.append((source, branch.add(text)))
        waiting += reversed(open_branches)
    return tree
