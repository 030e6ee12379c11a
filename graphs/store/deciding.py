"""What people decide about single components: skipped, completed or failed by hand, approved or rejected.

Invariant: who decided, and why, is kept with the component and in the event log.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from graphs.core.advance import Report
from graphs.core.cancelling import Told
from graphs.core.replies import Reply
from graphs.models import Component
from graphs.providers import provider
from graphs.providers.base import InFlight
from graphs.queries import change_of, graph_of
from graphs.store.hints import advance_after_commit
from graphs.store.ledger import writing
from graphs.store.settling import settle
from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.errors import Conflict, Denied

DECISIONS = {"skip": "skipped", "complete": "completed", "fail": "errored"}
SYSTEM = "the system"


def mark(graph_id: str, component_id: str, verb: str, now: datetime, actor: str, why: str = "") -> Component:
    """Gives a component its state by hand, by one of the verbs in `DECISIONS`; what runs is told to stop.

    The same once more changes nothing. Raises NotFound, and Conflict where the component's state does not allow it.
    """
    outcome = DECISIONS[verb]
    told = f"{outcome} by hand, by {actor or SYSTEM}"
    return _decide(graph_id, component_id, outcome, now, actor, f"{told}: {why}" if why else told, {})


def approve(graph_id: str, component_id: str, now: datetime, actor: str, role: Role, comment: str = "") -> Component:
    """Completes a component that waits for this. Raises NotFound, Conflict, and Denied where it needs somebody else."""
    if not _may_decide(graph_id, component_id, actor, role, "completed"):
        return change_of(graph_of(graph_id), component_id)
    document = {"approved_by": actor, "comment": comment}
    return _decide(graph_id, component_id, "completed", now, actor, _told("approved", actor, comment), document)


def reject(graph_id: str, component_id: str, now: datetime, actor: str, role: Role, comment: str = "") -> Component:
    """Fails a component that waits for an approval. Raises as `approve`."""
    if not _may_decide(graph_id, component_id, actor, role, "errored"):
        return change_of(graph_of(graph_id), component_id)
    return _decide(graph_id, component_id, "errored", now, actor, _told("rejected", actor, comment), {})


def _told(what: str, actor: str, comment: str) -> str:
    told = f"{what} by {actor or SYSTEM}"
    return f"{told}: {comment}" if comment else told


def _may_decide(graph_id: str, component_id: str, actor: str, role: Role, outcome: str) -> bool:
    """Whether there is still something to decide; False where this person has decided the same already."""
    row = change_of(graph_of(graph_id), component_id)
    backend = provider(row.backend)
    if not backend.waits_for_people:
        raise Conflict(f"component {component_id!r} needs no approval")
    why_not = backend.why_not_by(row.document, actor, role)
    if why_not:
        raise Denied(why_not)
    if row.state == outcome and row.decided_by == actor:
        return False
    if row.state != "running":
        raise Conflict(f"component {component_id!r} is {row.state}, so no approval is awaited")
    return True


def _decide(
    graph_id: str, component_id: str, outcome: str, now: datetime, actor: str, why: str, document: Mapping[str, Any]
) -> Component:
    graph_of(graph_id)
    with writing([graph_id], now) as ledger:
        row = change_of(ledger.graphs[graph_id], component_id)
        if row.state == outcome and row.decided_by:
            return row
        before, handle = row.state, row.handle
        report = Report(component_id, outcome, why, by=actor or SYSTEM)
        for ignored in settle(ledger, [Reply(graph_id, report, document)], [row]):
            raise Conflict(f"component {component_id!r}: {ignored.reason}")
        if before == "running" and handle and provider(row.backend).supports_cancel:
            provider(row.backend).cancel([InFlight(row.pk, row.attempt, handle)], now, actor, Told.OURS)
        advance_after_commit(graph_id)
    return row
