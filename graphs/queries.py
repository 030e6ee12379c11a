"""What the faces read of graphs, each in a constant number of queries."""

from statistics import median
from typing import Any

from graphs.core.plan import Kind
from graphs.models import Component, Edge, Graph, Part
from scheduler_project.toolkit.errors import NotFound

DURATIONS_READ_MAX = 5000


def graph_of(graph_id: str) -> Graph:
    """Raises NotFound."""
    graph = Graph.objects.filter(pk=graph_id).first()
    if graph is None:
        raise NotFound(f"there is no graph {graph_id!r}")
    return graph


def summary(graph: Graph) -> dict[str, Any]:
    """A graph in short."""
    fields = ("id", "name", "action", "state", "reason", "source", "counts", "created_at", "started_at", "ended_at")
    return {field: getattr(graph, field) for field in fields}


def components(graph: Graph) -> list[dict[str, Any]]:
    """Its changes in the mapping's order, without their documents, each with the ids of what it depends on."""
    depends_on: dict[int, list[str]] = {}
    edges = Edge.objects.filter(graph=graph, source__isnull=False, destination__part=Part.CHANGE).order_by("id")
    for destination, source in edges.values_list("destination_id", "source__component_id"):
        depends_on.setdefault(destination, []).append(source)
    rows = Component.objects.changes().filter(graph=graph).order_by("id").defer("document")
    return [
        {
            "component_id": row.component_id,
            "type": row.type,
            "provider": row.provider,
            "action": row.verb,
            "state": row.state,
            "attempt": row.attempt,
            "reason": row.reason,
            "started_at": row.started_at,
            "ended_at": row.ended_at,
            "depends_on": depends_on.get(row.pk, []),
        }
        for row in rows
    ]


def durations_s() -> dict[Kind, float]:
    """How long changes of each kind (provider, type, verb) usually took of late, from their start to their end."""
    done = Component.objects.changes().filter(state="completed", started_at__isnull=False, ended_at__isnull=False)
    fields = ("provider", "type", "verb", "started_at", "ended_at")
    taken: dict[Kind, list[float]] = {}
    for *kind, started_at, ended_at in done.order_by("-id").values_list(*fields)[:DURATIONS_READ_MAX]:
        taken.setdefault((kind[0], kind[1], kind[2]), []).append((ended_at - started_at).total_seconds())
    return {kind: median(all_s) for kind, all_s in taken.items()}
