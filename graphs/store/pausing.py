"""Pauses graphs: nothing new is started, what is in flight goes on and so do its deadlines."""

from datetime import datetime

from graphs.core.states import GRAPH
from graphs.models import Graph
from graphs.queries import graph_of
from graphs.store.hints import advance_after_commit
from graphs.store.ledger import writing
from graphs.store.standings import arm_queue_deadlines
from scheduler_project.toolkit.errors import Conflict
from scheduler_project.toolkit.events import NewEvent


def pause(graph_id: str, now: datetime, actor: str) -> Graph:
    """Starts nothing more until `unpause`; again, it changes nothing. Raises NotFound, Conflict where it is over."""
    graph_of(graph_id)
    with writing([graph_id], now) as ledger:
        graph = ledger.graphs[graph_id]
        _check(graph)
        if graph.paused_at is None:
            graph.paused_at, graph.reason = now, f"paused by {actor or 'the system'}"
            ledger.tell(NewEvent("graph.paused", f"graph:{graph_id}", graph.reason, actor=actor))
            ledger.alter(graph)
    return graph


def unpause(graph_id: str, now: datetime, actor: str) -> Graph:
    """Goes on. What is ready has its full time in the queue again. Raises NotFound, Conflict where it is over."""
    graph_of(graph_id)
    with writing([graph_id], now) as ledger:
        graph = ledger.graphs[graph_id]
        _check(graph)
        if graph.paused_at is not None:
            graph.paused_at, graph.reason = None, ""
            ledger.tell(NewEvent("graph.unpaused", f"graph:{graph_id}", f"by {actor or 'the system'}", actor=actor))
            ledger.alter(graph)
            arm_queue_deadlines(graph, now)
            advance_after_commit(graph_id)
    return graph


def _check(graph: Graph) -> None:
    if graph.state in GRAPH.final:
        raise Conflict(f"graph {graph.pk!r} is already {graph.state}")
