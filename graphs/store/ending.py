"""Ends graphs, each exactly once, and puts the end into the outbox of announcements."""

from datetime import datetime

from django.db import transaction

from graphs.core.ends import decide_end
from graphs.core.states import GRAPH
from graphs.models import Graph
from graphs.signals import graphs_ended
from scheduler_project.toolkit.events import NewEvent, record

SILENT_SOURCE = "topology"
"""Graphs of our own topologies are not announced: nobody outside has started them."""


def end_if_over(graph: Graph, now: datetime) -> bool:
    """Ends a locked graph if its counters say that it is over. Saves nothing otherwise."""
    end = decide_end(graph.counts, graph.cancel_requested_at is not None)
    if end is None or graph.state in GRAPH.final:
        return False
    GRAPH.check(graph.state, end.state)
    graph.state = end.state
    graph.reason = end.reason
    graph.started_at = graph.started_at or now
    graph.ended_at = now
    graph.announce_at = None if graph.source == SILENT_SOURCE else now
    graph.version += 1
    graph.save(update_fields=["state", "reason", "started_at", "ended_at", "announce_at", "version"])
    level = "error" if end.state == "errored" else "info"
    record([NewEvent(f"graph.{end.state}", f"graph:{graph.id}", end.reason, level, data=graph.counts)], now)
    transaction.on_commit(lambda: graphs_ended.send(sender=Graph, graphs=[graph]))
    return True
