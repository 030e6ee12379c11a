"""What holds components up: what they depend on, and pauses, bounds, silent providers, deadlines, people.

Invariant: what is read grows with what is in a component's way, up to a bound, and not with the graph around it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from graphs.core.states import GRAPH
from graphs.core.why import Cause, Known, Why, explain
from graphs.models import Circuit, Component, Graph
from graphs.providers import provider
from graphs.queries import change_of
from scheduler_project.toolkit.columns import rows_told, table_of
from scheduler_project.toolkit.statements import (
    Statement,
    among,
    looked_up,
    selecting,
    several,
    together,
    values_of,
)

IN_THE_WAY_MAX = 2000
ELSEWHERE_MAX = 20
IN_THE_WAY = """
WITH RECURSIVE way (id) AS (
    SELECT CAST(%s AS bigint)
    UNION
    SELECT source.id FROM {source}
    WHERE held.state = 'waiting' AND held.blockers > CASE WHEN held.retry_at IS NULL THEN 0 ELSE 1 END
    AND source.part = 'changes' AND source.state <> 'completed'
    AND NOT (source.state = 'skipped' AND source.decided_by <> '')
)
SELECT id FROM way LIMIT %s
"""
EDGES = "SELECT destination_id, source_id FROM {edges} WHERE {known} ORDER BY graphs_edge.id"
TOLD_OF = ("id", "component_id", "state", "reason", "rule", "decided_by", "needs_attention", "retry_at", "blockers")


def why(graph: Graph, component_id: str) -> Why:
    """Why a component is not done. Reads it and what is in its way, up to `IN_THE_WAY_MAX`. Raises NotFound."""
    target = change_of(graph, component_id)
    keys = in_the_way(target)
    cut = len(keys) > IN_THE_WAY_MAX
    rows, needed = _picture(keys[:IN_THE_WAY_MAX])
    known = {row.component_id: _known(row) for row in rows}
    known[component_id] = replace(_known(target), note=note_of(graph, target))
    holds = graph_holds(graph, target.rule)
    if not cut:
        return explain(component_id, known, needed, holds)
    return explain(component_id, known, needed, holds, IN_THE_WAY_MAX, _whole_graph_waits_for(graph))


def in_the_way(target: Component) -> list[int]:
    """Keys of a component and what it waits for, the nearest first, one more than `IN_THE_WAY_MAX` at the most."""
    held = looked_up("graphs_component", "held.id = way.id", "way", "held")
    edges = looked_up("graphs_edge", "graphs_edge.destination_id = held.id", held)
    source = looked_up("graphs_component", "source.id = graphs_edge.source_id", edges, "source")
    asked = Statement(IN_THE_WAY.replace("{source}", source), [target.pk, IN_THE_WAY_MAX + 1], returns=True)
    return [key for (key,) in together([asked])[0].rows]


def _picture(keys: Sequence[int]) -> tuple[list[Component], dict[str, list[str]]]:
    """These components, and for each of them those of them that it depends on."""
    given, values = rows_told([[key] for key in keys], [table_of(Component).key])
    rows = looked_up("graphs_component", "graphs_component.id = given.column1", given)
    edges = looked_up("graphs_edge", "graphs_edge.destination_id = given.column1", given)
    found, ends = together(
        [
            selecting(Component, f"SELECT {{columns}} FROM {rows}", values, TOLD_OF),  # noqa: S608
            Statement(EDGES.format(edges=edges, known=among("source_id")), [*values, several(keys)], returns=True),
        ]
    )
    told = [Component(**dict(zip(TOLD_OF, row, strict=True))) for row in values_of(Component, TOLD_OF, found.rows)]
    names = {row.pk: row.component_id for row in told}
    needed: dict[str, list[str]] = defaultdict(list)
    for destination, source in ends.rows:
        needed[names[destination]].append(names[source])
    return told, needed


def _whole_graph_waits_for(graph: Graph) -> list[Cause]:
    """What runs or has failed in it, the first few."""
    rows = Component.objects.changes().filter(graph=graph, state__in=("running", "errored"))
    found = rows.order_by("id").only("component_id", "state", "reason")[:ELSEWHERE_MAX]
    return [Cause(row.component_id, row.state, row.reason) for row in found]


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
    told = backend.awaits(row.document, row.handle)
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
    return Known(row.state, row.reason, row.rule, row.decided_by, note, _is_held(row))


def _is_held(row: Component) -> bool:
    return row.state == "waiting" and row.blockers > (row.retry_at is not None)


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
