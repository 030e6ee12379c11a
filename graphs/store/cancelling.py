"""Cancels graphs: what waits is cancelled at once, what is in flight is awaited; a second wish gives up on that too."""

from datetime import datetime

from django.db import transaction

from graphs.core.states import GRAPH
from graphs.models import Component, Graph
from graphs.providers import provider
from graphs.store.ending import end_if_over
from graphs.store.rows import locked, save_counts
from scheduler_project.toolkit.errors import Conflict, NotFound
from scheduler_project.toolkit.events import NewEvent, record


def cancel(graph_id: str, now: datetime, actor: str) -> Graph:
    """Starts nothing more in the graph, and ends it when what is in flight has come back.

    Called again while things are in flight, it no longer waits for them. Raises NotFound, and Conflict where the graph
    is over.
    """
    with transaction.atomic():
        graph = locked([graph_id]).get(graph_id)
        if graph is None:
            raise NotFound(f"there is no graph {graph_id!r}")
        if graph.state in GRAPH.final:
            raise Conflict(f"graph {graph_id!r} is already {graph.state}")
        again = graph.cancel_requested_at is not None
        graph.cancel_requested_at = graph.cancel_requested_at or now
        states = ("waiting", "running") if again else ("waiting",)
        _cancel_components(graph, states, now, actor)
        if not again:
            _stop_providers(graph, now, actor)
        graph.reason = f"cancelled by {actor or 'the system'}; {graph.running} in flight are awaited"
        graph.save(update_fields=["cancel_requested_at", "reason"])
        events = [NewEvent("graph.cancel_requested", f"graph:{graph.id}", graph.reason, data=graph.counts, actor=actor)]
        record([*save_counts(graph, now), *events], now)
        end_if_over(graph, now)
    return graph


def _cancel_components(graph: Graph, states: tuple[str, ...], now: datetime, actor: str) -> None:
    reason = f"cancelled by {actor or 'the system'}"
    if "running" in states:
        reason += " without waiting for its provider"
    changes = Component.objects.changes().filter(graph=graph)
    for state in states:
        cancelled = changes.filter(state=state).update(
            state="cancelled", reason=reason, ended_at=now, resend_at=None, deadline_at=None
        )
        setattr(graph, state, getattr(graph, state) - cancelled)
        graph.cancelled += cancelled


def _stop_providers(graph: Graph, now: datetime, actor: str) -> None:
    """Tells providers that can stop something to stop what is in flight."""
    running = Component.objects.changes().filter(graph=graph, state="running").exclude(handle="")
    handles: dict[str, list[str]] = {}
    for alias, handle in running.values_list("backend", "handle"):
        handles.setdefault(alias, []).append(handle)
    for alias, found in handles.items():
        if provider(alias).supports_cancel:
            provider(alias).cancel(found, now, actor)
