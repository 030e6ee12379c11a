"""What the faces read of graphs, each in a constant number of queries."""

from statistics import median
from typing import Any

from django.db.models import Count

from graphs.core.attempts import sent_document
from graphs.core.nesting import GRAPH_PROVIDER
from graphs.core.plan import Kind
from graphs.models import Component, Edge, Graph, Part
from graphs.providers import aliases, provider
from scheduler_project.toolkit.errors import NotFound
from scheduler_project.toolkit.masking import masked

DURATIONS_READ_MAX = 5000
SUMMARY = (
    *("id", "name", "action", "state", "reason", "source", "counts", "created_at", "started_at", "ended_at"),
    *("run", "paused_at", "cancel_requested_at", "needs_attention", "parallel"),
)
COMPONENT = (
    *("component_id", "type", "provider", "state", "attempt", "reason", "started_at", "ended_at", "rule"),
    *("needs_attention", "decided_by", "sent_at", "seen_at", "deadline_at", "retry_at"),
)
ATTEMPT = (
    *("number", "run", "outcome", "reason", "reply", "sent", "decided_by"),
    *("started_at", "sent_at", "seen_at", "ended_at", "handle"),
)


def graph_of(graph_id: str) -> Graph:
    """Raises NotFound."""
    graph = Graph.objects.select_related("parent").filter(pk=graph_id).first()
    if graph is None:
        raise NotFound(f"there is no graph {graph_id!r}")
    return graph


def change_of(graph: Graph, component_id: str) -> Component:
    """A change of a graph. Raises NotFound."""
    found = Component.objects.changes().filter(graph=graph, component_id=component_id).first()
    if found is None:
        raise NotFound(f"graph {graph.pk!r} has no component {component_id!r} to carry out")
    return found


def summary(graph: Graph) -> dict[str, Any]:
    """A graph in short."""
    parent = graph.parent
    return {field: getattr(graph, field) for field in SUMMARY} | {
        "parent_graph": parent.graph_id if parent else None,
        "parent_component": parent.component_id if parent else None,
    }


def components(graph: Graph) -> list[dict[str, Any]]:
    """Its changes in the mapping's order, without their documents, each with the ids of what it depends on."""
    depends_on: dict[int, list[str]] = {}
    edges = Edge.objects.filter(graph=graph, source__isnull=False, destination__part=Part.CHANGE).order_by("id")
    for destination, source in edges.values_list("destination_id", "source__component_id"):
        depends_on.setdefault(destination, []).append(source)
    rows = Component.objects.changes().filter(graph=graph).order_by("id").defer("document", "given")
    return [component(row, depends_on.get(row.pk, [])) for row in rows]


def component(row: Component, depends_on: list[str]) -> dict[str, Any]:
    """A change in short. `child` is the graph that carries it out, where it is one itself."""
    child = row.handle if row.backend == GRAPH_PROVIDER else ""
    return {field: getattr(row, field) for field in COMPONENT} | {
        "action": row.verb,
        "depends_on": depends_on,
        "child": child,
    }


def component_in_full(graph: Graph, component_id: str) -> dict[str, Any]:
    """A change with its document, secrets masked, what it was given, its attempts, and what hangs from it."""
    row = change_of(graph, component_id)
    before = Edge.objects.filter(destination=row, source__isnull=False).order_by("id")
    after = Edge.objects.filter(source=row, destination__isnull=False).order_by("id")
    return component(row, list(before.values_list("source__component_id", flat=True))) | {
        "needed_by": list(after.values_list("destination__component_id", flat=True)),
        "policy": row.policy or {},
        "document": masked(row.document),
        "given": masked(row.given if row.given is not None else row.document),
        "attempts": attempts(row),
    }


def attempts(row: Component) -> list[dict[str, Any]]:
    """Every attempt that is known, the last one last; the present one is told by the component's own row."""
    kept = [{field: getattr(one, field) for field in ATTEMPT} for one in row.history.order_by("number")]
    if row.attempt and (not kept or kept[-1]["number"] != row.attempt):
        own = {field: getattr(row, field) for field in ATTEMPT if hasattr(row, field)}
        sent = sent_document(row.document, row.graph.options) if row.state == "running" else None
        told = {"number": row.attempt, "run": row.graph.run, "outcome": row.state, "reply": "", "sent": sent}
        kept.append(own | told)
    return kept


def durations_s() -> dict[Kind, float]:
    """How long changes of each kind (provider, type, verb) usually took of late, from their start to their end."""
    done = Component.objects.changes().filter(state="completed", started_at__isnull=False, ended_at__isnull=False)
    fields = ("provider", "type", "verb", "started_at", "ended_at")
    taken: dict[Kind, list[float]] = {}
    for *kind, started_at, ended_at in done.order_by("-id").values_list(*fields)[:DURATIONS_READ_MAX]:
        taken.setdefault((kind[0], kind[1], kind[2]), []).append((ended_at - started_at).total_seconds())
    return {kind: median(all_s) for kind, all_s in taken.items()}


def provider_loads() -> list[dict[str, Any]]:
    """The providers that carry out a bounded number of components at once, with how many they do now."""
    running = Component.objects.changes().filter(state="running").order_by()
    counts = dict(running.values_list("backend").annotate(count=Count("pk")))
    bounds = {alias: provider(alias).at_once for alias in aliases()}
    return [
        {"alias": alias, "running": counts.get(alias, 0), "at_once": bound} for alias, bound in bounds.items() if bound
    ]
