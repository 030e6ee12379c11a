"""Cancels graphs: what waits is cancelled at once, what is in flight is awaited; a second wish gives up on that too.

Components whose rule is `always` are still carried out after the first wish, and given up on by the second.
"""

from collections.abc import Sequence
from datetime import datetime

from graphs.core.cancelling import Told
from graphs.core.rules import AFTER_CANCEL
from graphs.core.states import GRAPH
from graphs.models import Component, Graph
from graphs.providers import aliases, provider
from graphs.providers.base import InFlight
from graphs.store.attempts import keep_attempts
from graphs.store.hints import advance_after_commit
from graphs.store.ledger import Ledger, writing
from graphs.store.rows import moved, swap
from graphs.store.settling import Settled
from graphs.store.standings import recount
from scheduler_project.toolkit.errors import Conflict, NotFound
from scheduler_project.toolkit.events import NewEvent


def cancel(graph_id: str, now: datetime, actor: str, told: Told = Told.OURS) -> Graph:
    """Starts nothing more in the graph, and ends it when what is in flight has come back.

    `told` are to stop that; whoever is not lets it run to its end. Called again while things are in flight, it no
    longer waits for them. Raises NotFound, and Conflict where the graph is over.
    """
    with writing([graph_id], now) as ledger:
        graph = _unfinished(ledger, graph_id)
        again = graph.cancel_requested_at is not None
        graph.cancel_requested_at = graph.cancel_requested_at or now
        _stop_providers(graph, now, actor, told)
        _cancel(ledger, graph, actor, again=again)
    return graph


def _unfinished(ledger: Ledger, graph_id: str) -> Graph:
    graph = ledger.graphs.get(graph_id)
    if graph is None:
        raise NotFound(f"there is no graph {graph_id!r}")
    if graph.state in GRAPH.final:
        raise Conflict(f"graph {graph_id!r} is already {graph.state}")
    return graph


def _cancel(ledger: Ledger, graph: Graph, actor: str, *, again: bool) -> None:
    _cancel_components(ledger, graph, actor, again=again)
    if graph.has_rules:
        recount(graph)
        advance_after_commit(graph.pk)
    graph.reason = f"cancelled by {actor or 'the system'}; {graph.running} in flight are awaited"
    ledger.tell(NewEvent("graph.cancel_requested", f"graph:{graph.id}", graph.reason, data=graph.counts, actor=actor))
    ledger.alter(graph)


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
    keep_attempts([Settled(row, "running", None, row.document) for row in rows], ledger)
    ledger.tell(*(moved(row, "running") for row in rows))
    graph.needs_attention -= sum(row.needs_attention for row in rows)
    graph.running -= len(rows)
    graph.cancelled += len(rows)


def _stop_providers(graph: Graph, now: datetime, actor: str, told: Told) -> None:
    """Tells those providers to stop what is in flight that are to be told now and were not before."""
    before = Told(graph.cancel_told)
    Graph.objects.filter(pk=graph.pk).update(cancel_told=max(before, told))
    newly = [alias for alias in aliases() if _is_told(alias, told) and not _is_told(alias, before)]
    running = Component.objects.changes().filter(graph=graph, state="running", backend__in=newly)
    in_flight: dict[str, list[InFlight]] = {}
    for row in running.exclude(rule__in=AFTER_CANCEL).only("backend", "attempt", "handle"):
        in_flight.setdefault(row.backend, []).append(InFlight(row.pk, row.attempt, row.handle))
    for alias, unwanted in in_flight.items():
        provider(alias).cancel(unwanted, now, actor, told)


def _is_told(alias: str, told: Told) -> bool:
    one = provider(alias)
    return one.supports_cancel and told.includes(only_when_asked=one.told_only_when_asked)
