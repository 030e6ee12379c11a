"""Cancels graphs: what waits is cancelled at once, what is in flight is awaited; a second wish gives up on that too.

Components whose rule is `always` are still carried out after the first wish, and given up on by the second.
"""

from collections.abc import Sequence
from datetime import datetime

from graphs.core.rules import AFTER_CANCEL
from graphs.core.states import GRAPH
from graphs.models import Component, Graph
from graphs.providers import aliases, provider
from graphs.store.attempts import keep_attempts
from graphs.store.hints import advance_after_commit
from graphs.store.ledger import Ledger, writing
from graphs.store.rows import moved, swap
from graphs.store.settling import Settled
from graphs.store.standings import recount
from scheduler_project.toolkit.errors import Conflict, NotFound
from scheduler_project.toolkit.events import NewEvent


def cancel(graph_id: str, now: datetime, actor: str) -> Graph:
    """Starts nothing more in the graph, tells providers to stop, and ends it when what is in flight has come back.

    Called again while things are in flight, it no longer waits for them. Raises NotFound, and Conflict where the graph
    is over.
    """
    with writing([graph_id], now) as ledger:
        graph, again = _cancel(ledger, graph_id, actor)
        if not again:
            _stop_providers(graph, now, actor)
    return graph


def cancel_quietly(graph_id: str, now: datetime, actor: str) -> Graph:
    """The same, but providers are not told: what is in flight is let run to its end."""
    with writing([graph_id], now) as ledger:
        return _cancel(ledger, graph_id, actor)[0]


def _cancel(ledger: Ledger, graph_id: str, actor: str) -> tuple[Graph, bool]:
    """Returns the graph and whether it had been cancelled before."""
    graph = ledger.graphs.get(graph_id)
    if graph is None:
        raise NotFound(f"there is no graph {graph_id!r}")
    if graph.state in GRAPH.final:
        raise Conflict(f"graph {graph_id!r} is already {graph.state}")
    again = graph.cancel_requested_at is not None
    graph.cancel_requested_at = graph.cancel_requested_at or ledger.now
    _cancel_components(ledger, graph, actor, again=again)
    if graph.has_rules:
        recount(graph)
        advance_after_commit(graph.pk)
    graph.reason = f"cancelled by {actor or 'the system'}; {graph.running} in flight are awaited"
    ledger.tell(NewEvent("graph.cancel_requested", f"graph:{graph.id}", graph.reason, data=graph.counts, actor=actor))
    ledger.alter(graph)
    return graph, again


def _cancel_components(ledger: Ledger, graph: Graph, actor: str, *, again: bool) -> None:
    reason = f"cancelled by {actor or 'the system'}"
    changes = Component.objects.changes().filter(graph=graph)
    running, waiting = changes.filter(state="running"), changes.filter(state="waiting")
    if again:
        _give_up(ledger, graph, list(running), f"{reason} without waiting for its provider")
    else:
        at_hand = [alias for alias in aliases() if provider(alias).waits_for_people]
        _give_up(ledger, graph, list(running.filter(backend__in=at_hand)), reason)
        waiting = waiting.exclude(rule__in=AFTER_CANCEL)
    cancelled = waiting.update(state="cancelled", reason=reason, ended_at=ledger.now, deadline_at=None, retry_at=None)
    graph.waiting -= cancelled
    graph.cancelled += cancelled


def _give_up(ledger: Ledger, graph: Graph, rows: Sequence[Component], reason: str) -> None:
    """Cancels what runs; unless it only waited for a person, nobody knows what becomes of it."""
    for row in rows:
        row.state, row.reason = "cancelled", reason
        row.silent = not provider(row.backend).waits_for_people
    clear = {"resend_at": None, "deadline_at": None, "needs_attention": False}
    swap([(row, "running") for row in rows], {"ended_at": ledger.now, **clear})
    keep_attempts([Settled(row, "running", None) for row in rows], ledger)
    ledger.tell(*(moved(row, "running") for row in rows))
    graph.needs_attention -= sum(row.needs_attention for row in rows)
    graph.running -= len(rows)
    graph.cancelled += len(rows)


def _stop_providers(graph: Graph, now: datetime, actor: str) -> None:
    """Tells providers that can stop something to stop what is in flight."""
    running = Component.objects.changes().filter(graph=graph, state="running").exclude(handle="")
    handles: dict[str, list[str]] = {}
    for alias, handle in running.exclude(rule__in=AFTER_CANCEL).values_list("backend", "handle"):
        handles.setdefault(alias, []).append(handle)
    for alias, found in handles.items():
        if provider(alias).supports_cancel:
            provider(alias).cancel(found, now, actor)
