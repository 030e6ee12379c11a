"""What the page of a graph draws: its components as nodes and who waits for whom, as plain data.

Invariant: the number of queries does not depend on the size of the graph.
"""

from typing import Any

from graphs.models import Component, Edge, Graph, Part

EXISTS = "exists"


def drawing(graph: Graph, position: int) -> dict[str, Any]:
    """The whole picture. `position` is the place in the event log from which changes to it must be followed."""
    rows = list(Component.objects.filter(graph=graph).defer("document"))
    names = {row.pk: row.component_id for row in rows}
    links = Edge.objects.filter(graph=graph, source__isnull=False, destination__isnull=False)
    ends = links.values_list("source__pk", "destination__pk")
    edges = sorted({(names[source], names[destination]) for source, destination in ends})
    nodes = {row.component_id: node(row) for row in rows if row.part == Part.CHANGE}
    linked = {name for edge in edges for name in edge}
    for row in rows:
        if row.part == Part.EXISTS and row.component_id in linked:
            nodes.setdefault(row.component_id, node(row))
    return {"graph": summary(graph), "position": position, "components": list(nodes.values()), "edges": edges}


def summary(graph: Graph) -> dict[str, Any]:
    """The graph itself."""
    return {
        "id": graph.id,
        "state": graph.state,
        "reason": graph.reason,
        "started_at": graph.started_at,
        "ended_at": graph.ended_at,
    }


def node(component: Component) -> dict[str, Any]:
    """One component; one that is not to be changed merely exists."""
    return {
        "id": component.component_id,
        "type": component.type,
        "provider": component.backend or component.provider,
        "state": component.state or EXISTS,
        "attempt": component.attempt,
        "reason": component.reason,
    }
