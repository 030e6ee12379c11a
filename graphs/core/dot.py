"""A graph as Graphviz text: its edges alone, as ernest's tools read them, or with nodes coloured by their states.

Invariant: whatever an id or a reason holds, the text is one valid graph, and the id stays one id.
"""

from collections.abc import Iterable
from dataclasses import dataclass

EXISTS = "exists"
FILL = {
    "waiting": "#eceff3",
    "running": "#cfe1fd",
    "completed": "#c9efd5",
    "errored": "#fbd0cc",
    "cancelled": "#e2d5f7",
    "skipped": "#f6f7f9",
    EXISTS: "#ffffff",
}
LINE = {
    "waiting": "#5d6776",
    "running": "#1b57bd",
    "completed": "#14703a",
    "errored": "#b3261e",
    "cancelled": "#6a3fb0",
    "skipped": "#5d6776",
    EXISTS: "#5d6776",
}
DASHED = ("skipped", EXISTS)


@dataclass(frozen=True)
class Node:
    """A component to be drawn; one of the two ends of the graph has no state."""

    id: str
    state: str = ""
    reason: str = ""


def dot(edges: Iterable[tuple[str, str, str]]) -> str:
    """`digraph` of (source, destination, verb of the destination); an empty verb gives no label."""
    return "\n".join(["digraph G {", *map(edge_line, edges), "}"])


def coloured(nodes: Iterable[Node], edges: Iterable[tuple[str, str, str]]) -> str:
    """The same edges after a line for each node: its fill and border tell its state, and so does its second line."""
    head = ["digraph G {", "  rankdir=LR", '  node [shape=box style="filled,rounded" fontname="sans-serif"]']
    return "\n".join([*head, *map(node_line, nodes), *map(edge_line, edges), "}"])


def edge_line(edge: tuple[str, str, str]) -> str:
    source, destination, verb = edge
    label = f" [label={quoted(verb)}]" if verb else ""
    return f"  {quoted(source)} -> {quoted(destination)}{label}"


def node_line(node: Node) -> str:
    if not node.state:
        return f"  {quoted(node.id)} [shape=plaintext style=solid]"
    style = ' style="filled,rounded,dashed"' if node.state in DASHED else ""
    fill, line = FILL.get(node.state, FILL["waiting"]), LINE.get(node.state, LINE["waiting"])
    label = f"{escaped(node.id)}\\n{escaped(node.state)}"
    tooltip = f" tooltip={quoted(node.reason)}" if node.reason else ""
    return f'  {quoted(node.id)} [label="{label}" fillcolor="{fill}" color="{line}"{style}{tooltip}]'


def quoted(text: str) -> str:
    """A DOT string: quotes, backslashes and line ends in ids stay part of the id."""
    return f'"{escaped(text)}"'


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "").replace("\0", "")
