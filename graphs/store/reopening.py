"""Lets a graph go on after its end, or does a part of it again. Each time that an ended graph goes on is a new run.

Invariant: all that changes is in one transaction, under the graph's lock, and is what the plan said that was shown.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from graphs.core import words
from graphs.core.cancelling import Told
from graphs.core.reopening import Past, Reopening, Reset, resume, retry
from graphs.core.states import COMPONENT, GRAPH
from graphs.models import Component, Graph
from graphs.providers import provider
from graphs.queries import change_of, graph_of
from graphs.store.ending import needed_by
from graphs.store.hints import advance_after_commit
from graphs.store.ledger import Ledger, writing
from graphs.store.rows import moved
from graphs.store.standings import arm_queue_deadlines, recount
from graphs.store.times import resendable
from scheduler_project.toolkit.bulk import update_rows
from scheduler_project.toolkit.errors import Conflict
from scheduler_project.toolkit.events import NewEvent

RESET_FIELDS = (
    *("state", "reason", "document", "attempts", "handle", "needs_attention", "silent", "forgiven", "decided_by"),
    *("started_at", "sent_at", "seen_at", "resend_at", "deadline_at", "retry_at", "ended_at"),
)


def plan_resume(graph_id: str) -> Reopening:
    """What `resume_graph` would do. Raises NotFound."""
    return _refused_unless_over(graph_of(graph_id)) or resume(_pasts(_rows(graph_id)))


def resume_graph(graph_id: str, now: datetime, actor: str) -> Graph:
    """Does what did not come to a good end, and nothing that is completed. Raises NotFound, Conflict."""
    graph_of(graph_id)
    with writing([graph_id], now) as ledger:
        graph = ledger.graphs[graph_id]
        rows = _rows(graph_id)
        plan = _refused_unless_over(graph) or resume(_pasts(rows))
        _check(plan)
        _reopen(ledger, graph, actor, "graph.resumed")
        _apply(ledger, graph, rows, plan.resets, actor)
        _save_standings(ledger, graph)
    return graph


def plan_retry(graph_id: str, component_id: str) -> Reopening:
    """What `retry_component` would do. Raises NotFound."""
    return _retry(graph_of(graph_id), component_id, _rows(graph_id))


def retry_component(graph_id: str, component_id: str, now: datetime, actor: str) -> Graph:
    """Does a component and what hangs from it again; other failures no longer stop the graph.

    Raises NotFound, Conflict.
    """
    graph_of(graph_id)
    with writing([graph_id], now) as ledger:
        graph = ledger.graphs[graph_id]
        rows = _rows(graph_id)
        plan = _retry(graph, component_id, rows)
        _check(plan)
        _reopen(ledger, graph, actor, "graph.retried")
        _apply(ledger, graph, rows, plan.resets, actor)
        for name in (reset.component_id for reset in plan.resets):
            rows[name].handle = ""
        update_rows([rows[reset.component_id] for reset in plan.resets], ["handle"])
        Component.objects.changes().filter(graph=graph, state="errored").update(forgiven=True)
        graph.forgiven = graph.errored
        _save_standings(ledger, graph)
    return graph


def _rows(graph_id: str) -> dict[str, Component]:
    return {row.component_id: row for row in Component.objects.changes().filter(graph_id=graph_id).order_by("id")}


def _pasts(rows: Mapping[str, Component]) -> dict[str, Past]:
    return {
        name: Past(row.state, row.attempt, row.silent, resendable(row), row.needs_attention, bool(row.decided_by))
        for name, row in rows.items()
    }


def _retry(graph: Graph, component_id: str, rows: Mapping[str, Component]) -> Reopening:
    change_of(graph, component_id)
    dependants: dict[str, list[str]] = defaultdict(list)
    for name, needed in needed_by(graph).items():
        for one in needed:
            dependants[one].append(name)
    return retry(_pasts(rows), dependants, component_id)


def _refused_unless_over(graph: Graph) -> Reopening | None:
    if graph.state in ("errored", "cancelled"):
        return None
    hint = "unpause it" if graph.paused_at else "only a graph that has failed or was cancelled can be resumed"
    return Reopening((), f"graph {graph.pk!r} is {graph.state}; {hint}")


def _check(plan: Reopening) -> None:
    if plan.refused:
        raise Conflict(plan.refused)


def _reopen(ledger: Ledger, graph: Graph, actor: str, name: str) -> None:
    """Opens a new run of a graph that is over; a graph that goes on just forgets the wish to cancel it."""
    if graph.state in GRAPH.final:
        GRAPH.check(graph.state, "running")
        graph.state, graph.run = "running", graph.run + 1
        graph.ended_at = graph.announce_at = graph.announced_at = graph.paused_at = None
    graph.cancel_requested_at, graph.forgiven, graph.reason = None, 0, ""
    Graph.objects.filter(pk=graph.pk).exclude(cancel_told=Told.NOBODY).update(cancel_told=Told.NOBODY)
    ledger.tell(NewEvent(name, f"graph:{graph.pk}", f"by {actor or 'the system'}", actor=actor))
    ledger.alter(graph)


def _apply(ledger: Ledger, graph: Graph, rows: Mapping[str, Component], resets: Sequence[Reset], actor: str) -> None:
    changed = []
    for reset in resets:
        row = rows[reset.component_id]
        setattr(graph, row.state, getattr(graph, row.state) - 1)
        setattr(graph, reset.state, getattr(graph, reset.state) + 1)
        graph.needs_attention += (reset.state == "running") - row.needs_attention
        if row.state != reset.state:
            COMPONENT.check(row.state, reset.state)
        _reset(row, reset)
        changed.append(row)
        event = moved(row, reset.before) if reset.before != reset.state else None
        if event:
            ledger.tell(NewEvent(event.name, event.subject, event.message, event.level, event.data, actor))
    update_rows(changed, RESET_FIELDS)


def _reset(row: Component, reset: Reset) -> None:
    row.state, row.reason = reset.state, reset.reason
    row.needs_attention = reset.state == "running"
    row.silent = row.forgiven = False
    row.decided_by = ""
    row.resend_at = row.deadline_at = row.retry_at = row.ended_at = None
    if reset.state == "waiting":
        row.started_at = row.sent_at = row.seen_at = None
        row.attempts = row.attempt + row.wishes.attempts
        document = {**row.document, **(row.given or {})}
        row.document = {key: value for key, value in document.items() if key != words.ERROR_KEY}
        row.handle = row.handle if provider(row.backend).takes_up_again else ""


def _save_standings(ledger: Ledger, graph: Graph) -> None:
    recount(graph)
    arm_queue_deadlines(graph, ledger.now)
    advance_after_commit(graph.pk)
