"""Gives a graph back as the mapping that ernest's tools read, with states as they are now."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Sum, TextField
from django.db.models.functions import Cast, Length

from graphs.core import words
from graphs.core.dot import EXISTS, Node, coloured, dot
from graphs.core.states import GRAPH
from graphs.models import Component, Edge, Graph, Part
from scheduler_project.toolkit.errors import Conflict

CERTAINLY = 8
"""How many characters a database may need for a byte of JSON: spaces, and `\\u00e9` for a letter of two bytes."""


def mapping(graph: Graph) -> dict[str, Any]:
    """The whole document: what exists, the changes with their states, the edges, and every other key as given."""
    rows = list(graph.components.order_by("id"))
    return outline(graph, rows) | {
        "edges": [
            {"source": source, "destination": destination, "length": length}
            for source, destination, length, _ in edges(graph)
        ],
        **graph.extra,
        **_error(graph),
    }


def existing(graph: Graph) -> dict[str, Any]:
    """The whole document of a graph that has ended. Raises Conflict while it still changes what exists."""
    if graph.state not in GRAPH.final:
        raise Conflict(f"graph {graph.id!r} is {graph.state}, so what exists still changes; compare when it has ended")
    return mapping(graph)


def is_far_larger(graph: Graph, limit_bytes: int) -> bool:
    """Whether the whole mapping would be larger than the limit without any doubt; it is not read to find out."""
    documents = graph.components.aggregate(characters=Sum(Length(Cast("document", TextField()))))
    return bool((documents["characters"] or 0) > CERTAINLY * limit_bytes)


def without_lists(graph: Graph) -> dict[str, Any]:
    """The mapping without components, changes and edges."""
    return outline(graph, ()) | {**graph.extra, **_error(graph)}


def _error(graph: Graph) -> dict[str, str]:
    return {words.ERROR_KEY: graph.reason} if graph.state == "errored" else {}


def outline(graph: Graph, rows: Iterable[Component]) -> dict[str, Any]:
    """The document's known keys with only the given components, in ernest's order of keys."""
    parts: dict[str, list[dict[str, Any]]] = {Part.EXISTS: [], Part.CHANGE: []}
    for row in rows:
        parts[row.part].append(component_document(row, graph.id))
    return {
        "id": graph.id,
        "name": graph.name,
        "user_id": graph.user_id or 0,
        "username": graph.username,
        "action": graph.action,
        "options": graph.options,
        "components": parts[Part.EXISTS],
        "changes": parts[Part.CHANGE],
    }


def component_document(row: Component, graph_id: str) -> dict[str, Any]:
    """A component as it stands in the mapping; a failed one says why."""
    if row.part == Part.EXISTS:
        return dict(row.document)
    document = {**row.document, words.STATE_KEY: row.state, words.GRAPH_KEY: graph_id}
    if row.state == "errored":
        document.setdefault(words.ERROR_KEY, row.reason)
    return document


def edges(graph: Graph) -> Iterator[tuple[str, str, int, str]]:
    """(source, destination, length, verb of the destination) of every edge, in the mapping's order."""
    fields = ("source__component_id", "destination__component_id", "length", "destination__verb")
    rows = Edge.objects.filter(graph=graph).order_by("id").values_list(*fields)
    for source, destination, length, verb in rows.iterator(chunk_size=2000):
        yield source or words.START, destination or words.END, length, verb or ""


def graphviz(graph: Graph) -> str:
    """The graph's edges as Graphviz text."""
    return dot((source, destination, verb) for source, destination, _, verb in edges(graph))


def coloured_graphviz(graph: Graph) -> str:
    """The same with its components as nodes, coloured by their states."""
    drawn = [(source, destination, verb) for source, destination, _, verb in edges(graph)]
    linked = {name for source, destination, _ in drawn for name in (source, destination)}
    rows = Component.objects.filter(graph=graph).order_by("part", "id")  # what is to be done, before what exists
    nodes: dict[str, Node] = {}
    for component_id, state, reason in rows.values_list("component_id", "state", "reason").iterator(chunk_size=2000):
        if state or component_id in linked:
            nodes.setdefault(component_id, Node(component_id, state or EXISTS, reason))
    ends = [Node(end) for end in (words.START, words.END) if end in linked]
    return coloured([*ends, *nodes.values()], drawn)
