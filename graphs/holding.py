"""What holds components up besides what they depend on: pauses, bounds, silent providers, deadlines, people."""

from datetime import datetime

from graphs.core.states import GRAPH
from graphs.core.why import Known, Why, explain
from graphs.models import Circuit, Component, Graph
from graphs.providers import provider
from graphs.queries import change_of
from graphs.store.ending import needed_by


def why(graph: Graph, component_id: str) -> Why:
    """Why a component is not done. Reads the graph's states and edges once. Raises NotFound."""
    target = change_of(graph, component_id)
    rows = Component.objects.changes().filter(graph=graph).order_by("id").defer("document", "given", "policy")
    known = {row.component_id: _known(row) for row in rows}
    known[component_id] = Known(target.state, target.reason, target.rule, target.decided_by, note_of(graph, target))
    return explain(component_id, known, needed_by(graph), graph_holds(graph, target.rule))


def graph_holds(graph: Graph, rule: str) -> str:
    """Why the graph starts nothing of this rule now; empty where it does."""
    if graph.state in GRAPH.final:
        return f"the graph is {graph.state}; resume it, or retry a component"
    if graph.paused_at is not None:
        with_another = ", with the graph that it is inside of" if graph.paused_from_above else ""
        return f"the graph is paused since {_time(graph.paused_at)}{with_another}"
    if rule not in graph.rules_that_start:
        return "the graph was cancelled" if graph.cancel_requested_at else "something in the graph has failed"
    if graph.room == 0:
        return f"the graph may run {graph.parallel} at once, and runs {graph.running}"
    return ""


def note_of(graph: Graph, row: Component) -> str:
    """What holds a component up that runs, or is ready."""
    if row.state == "running":
        return f"needs attention: {row.reason}" if row.needs_attention else _running(row)
    if row.state != "waiting":
        return ""
    if row.retry_at is not None:
        return f"attempt {row.attempt + 1} is made at {_time(row.retry_at)}; before: {row.reason}"
    holds = graph_holds(graph, row.rule)
    return holds or _provider_holds(row)


def _running(row: Component) -> str:
    backend = provider(row.backend)
    told = backend.awaits(row.document)
    if row.sent_at is None:
        told = "it is being sent"
    return f"{told}; until {_time(row.deadline_at)} at most" if row.deadline_at else told


def _provider_holds(row: Component) -> str:
    circuit = Circuit.objects.filter(pk=row.provider, retry_at__isnull=False).first()
    if circuit is not None and circuit.retry_at is not None:
        return (
            f"the provider {row.provider} is silent, and is tried again at {_time(circuit.retry_at)}: {circuit.reason}"
        )
    bound = provider(row.backend).at_once
    if bound and Component.objects.changes().filter(state="running", backend=row.backend)[:bound].count() >= bound:
        return f"the provider {row.backend} carries out {bound} at once, and does"
    return ""


def _known(row: Component) -> Known:
    note = ""
    if row.needs_attention:
        note = f"needs attention: {row.reason}"
    elif row.retry_at is not None:
        note = f"is tried again at {_time(row.retry_at)}: {row.reason}"
    return Known(row.state, row.reason, row.rule, row.decided_by, note)


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
