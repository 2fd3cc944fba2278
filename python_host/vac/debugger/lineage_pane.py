"""Why a value is what it is, as a tree that opens as far as one wants to know."""

from __future__ import annotations

from rich.text import Text
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from ..lineage.effects import Role
from ..lineage.lineage import Kind, Lineage, Node

_MOST_SOURCES = 200
_SHOWN_AT_FIRST = 16


class LineagePane(Tree[int]):
    """Each node's children are what went into it: values first, then what chose them, the latest first of each. Enter
    goes to the tick of a write."""

    class Chosen(Message):
        """The session is to go to the tick of a write."""

        def __init__(self, tick: int) -> None:
            super().__init__()
            self.tick = tick

    def __init__(self, id: str) -> None:
        super().__init__("y on a cell or byte asks why it is what it is", id=id)
        self.border_title = "why"
        self.auto_expand = False
        self.guide_depth = 2
        self._lineage: Lineage | None = None

    def show(self, lineage: Lineage, title: str) -> None:
        """A new tree."""
        self._lineage = lineage
        self.clear()
        self.root.data = lineage.root
        self.root.set_label(Text(f"{title} at tick {lineage.tick:,}", "bold"))
        inputs = len(lineage.inputs)
        self.border_subtitle = f"{lineage.writes:,} writes, {inputs:,} input{'' if inputs == 1 else 's'}"
        waiting = [self.root]
        shown = 0
        while waiting and shown < _SHOWN_AT_FIRST:
            node = waiting.pop(0)
            self._fill(node)
            node.expand()
            waiting += node.children
            shown += len(node.children)

    def _fill(self, parent: TreeNode[int]) -> None:
        if self._lineage is None or parent.data is None or parent.children:
            return
        sources = sorted(self._lineage.sources(parent.data), key=lambda source: source[1])
        for index, role in sources[:_MOST_SOURCES]:
            has_more = bool(self._lineage.sources(index))
            parent.add(_label(self._lineage.node(index), role), index, allow_expand=has_more)
        if len(sources) > _MOST_SOURCES:
            parent.add_leaf(Text(f"and {len(sources) - _MOST_SOURCES:,} more", "dim"))

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[int]) -> None:
        self._fill(event.node)

    def on_tree_node_selected(self, event: Tree.NodeSelected[int]) -> None:
        if self._lineage and event.node.data is not None:
            node = self._lineage.node(event.node.data)
            if node.kind is Kind.WRITE:
                self.post_message(self.Chosen(node.tick))


def _label(node: Node, role: Role) -> Text:
    label = Text()
    if role is not Role.VALUE:
        label.append(f"{role.name.lower()} ", "magenta")
    if node.kind is not Kind.WRITE:
        label.append(f"{node.kind.value}: ", "green" if node.kind is Kind.INPUT else "dim")
        label.append(node.text)
        if node.value is not None:
            label.append(f" = {node.value:#x}", "yellow")
        return label
    label.append(f"{node.tick:,} ", "cyan")
    label.append(node.text)
    if node.value is not None:
        label.append(f" → {node.value:#x}", "yellow")
    if node.source:
        label.append(f"  {node.source[0].rpartition('/')[2]}:{node.source[1]}", "dim")
    return label
