"""What the page of a graph draws: its components as nodes and who waits for whom, as plain data.

Invariant: the number of queries does not depend on the size of the graph, and no document is read as a whole.
"""

from typing import Any

from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Coalesce

from graphs.core.diff import GROUP_TAG
from graphs.core.dot import EXISTS
from graphs.core.words import GROUPED_KEY
from graphs.models import Component, Edge, Graph, Part

NODE = (
    *("pk", "part", "component_id", "type", "provider", "backend", "state", "attempt", "reason"),
    *("needs_attention", "group"),
)


def drawing(graph: Graph) -> dict[str, Any]:
    """The whole picture. `number` is that of the graph's last event in it; later ones are to be followed."""
    grouped = Coalesce(
        KeyTextTransform(GROUPED_KEY, "document"), KeyTextTransform(GROUP_TAG, KeyTransform("tags", "document"))
    )
    rows = list(Component.objects.filter(graph=graph).annotate(group=grouped).order_by("pk").values(*NODE))
    names = {row["pk"]: row["component_id"] for row in rows}
    links = Edge.objects.filter(graph=graph, source__isnull=False, destination__isnull=False)
    ends = links.values_list("source_id", "destination_id")
    edges = sorted({(names[source], names[destination]) for source, destination in ends})
    nodes = {row["component_id"]: node(row) for row in rows if row["part"] == Part.CHANGE}
    linked = {name for edge in edges for name in edge}
    for row in rows:
        if row["part"] == Part.EXISTS and row["component_id"] in linked:
            nodes.setdefault(row["component_id"], node(row))
    return {"graph": summary(graph), "number": graph.events, "components": list(nodes.values()), "edges": edges}


def summary(graph: Graph) -> dict[str, Any]:
    """The graph itself."""
    fields = ("id", "state", "reason", "started_at", "ended_at", "paused_at", "needs_attention", "counts")
    return {field: getattr(graph, field) for field in fields}


def node(row: dict[str, Any]) -> dict[str, Any]:
    """One component; one that is not to be changed merely exists. What is empty is left out."""
    told = {
        "id": row["component_id"],
        "state": row["state"] or EXISTS,
        "type": row["type"],
        "provider": row["backend"] or row["provider"],
        "attempt": row["attempt"],
        "reason": row["reason"],
        "needs_attention": row["needs_attention"],
        "group": row["group"],
    }
    return {key: value for key, value in told.items() if value}
