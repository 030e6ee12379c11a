"""A graph's edges as Graphviz text, in the form that ernest's tools read."""

from collections.abc import Iterable


def dot(edges: Iterable[tuple[str, str, str]]) -> str:
    """`digraph` of (source, destination, verb of the destination); an empty verb gives no label."""
    lines = ["digraph G {"]
    for source, destination, verb in edges:
        label = f" [label={quoted(verb)}]" if verb else ""
        lines.append(f"  {quoted(source)} -> {quoted(destination)}{label}")
    return "\n".join([*lines, "}"])


def quoted(text: str) -> str:
    """A DOT string: quotes, backslashes and line ends in ids stay part of the id."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "")
    return f'"{escaped}"'
