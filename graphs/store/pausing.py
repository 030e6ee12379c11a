"""Pauses graphs and those inside of them: nothing new is started, what is in flight goes on and so do its deadlines.

Invariant: a graph and all inside of it are paused, or let go on, in one transaction, locked from the outer to the inner
ones; no crash leaves a part behind, and no graph comes to be inside of a paused one.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from graphs.core.pausing import Pause, paused, unpaused
from graphs.core.states import GRAPH
from graphs.models import Graph
from graphs.queries import graph_of
from graphs.store.hints import advance_after_commit
from graphs.store.ledger import Ledger, writing
from graphs.store.standings import arm_queue_deadlines
from scheduler_project.toolkit.errors import Conflict
from scheduler_project.toolkit.events import NewEvent

Change = Callable[[Ledger, Graph, str, bool], bool]


def pause(graph_id: str, now: datetime, actor: str) -> Graph:
    """Starts nothing more until `unpause`, also in graphs inside; again, it changes nothing.

    Raises NotFound, and Conflict where the graph is over.
    """
    return _change(graph_id, now, actor, _pause)


def unpause(graph_id: str, now: datetime, actor: str) -> Graph:
    """Goes on, with the graphs inside that were paused with it. What is ready has its full time in the queue again.

    Raises NotFound, and Conflict where the graph is over.
    """
    return _change(graph_id, now, actor, _unpause)


def _change(graph_id: str, now: datetime, actor: str, change: Change) -> Graph:
    graph_of(graph_id)
    with writing([graph_id], now) as ledger:
        graph = ledger.graphs[graph_id]
        if graph.state in GRAPH.final:
            raise Conflict(f"graph {graph.pk!r} is already {graph.state}")
        if change(ledger, graph, actor, False):
            _change_inside([graph_id], now, actor, change)
    return graph


def _change_inside(graph_ids: Sequence[str], now: datetime, actor: str, change: Change) -> None:
    """The same for what these graphs carry out, level by level."""
    inside = Graph.objects.unfinished().filter(parent__graph__in=graph_ids, parent__state="running")
    found = list(inside.values_list("pk", flat=True))
    if not found:
        return
    with writing(found, now) as ledger:
        open_ones = [graph for graph in ledger.graphs.values() if graph.state not in GRAPH.final]
        changed = [graph.pk for graph in open_ones if change(ledger, graph, actor, True)]
        _change_inside(changed, now, actor, change)


def _pause(ledger: Ledger, graph: Graph, actor: str, from_above: bool) -> bool:
    """Returns whether the graph was not paused before."""
    before = _standing(graph)
    _keep(graph, before, paused(before, from_above=from_above))
    if before.paused:
        return False
    graph.paused_at, graph.reason = ledger.now, f"paused by {_who(actor, from_above)}"
    ledger.tell(NewEvent("graph.paused", f"graph:{graph.pk}", graph.reason, actor=actor))
    ledger.alter(graph)
    return True


def _unpause(ledger: Ledger, graph: Graph, actor: str, from_above: bool) -> bool:
    """Returns whether the graph was paused and goes on now."""
    before = _standing(graph)
    after = unpaused(before, from_above=from_above)
    _keep(graph, before, after)
    if not before.paused or after.paused:
        return False
    graph.paused_at, graph.reason = None, ""
    ledger.tell(NewEvent("graph.unpaused", f"graph:{graph.pk}", f"by {_who(actor, from_above)}", actor=actor))
    ledger.alter(graph)
    arm_queue_deadlines(graph, ledger.now)
    advance_after_commit(graph.pk)
    return True


def _standing(graph: Graph) -> Pause:
    is_paused = graph.paused_at is not None
    return Pause(is_paused, is_paused and graph.paused_from_above)


def _keep(graph: Graph, before: Pause, after: Pause) -> None:
    if after.from_above != before.from_above:
        graph.paused_from_above = after.from_above
        Graph.objects.filter(pk=graph.pk).update(paused_from_above=after.from_above)


def _who(actor: str, from_above: bool) -> str:
    who = actor or "the system"
    return f"{who}, with the graph that it is inside of" if from_above else who
