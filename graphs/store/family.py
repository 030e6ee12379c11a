"""Graphs inside graphs: what becomes of a child is told to its parent's component, and a parent's end to its children.

Parents are settled in transactions of their own, after the child's, so that locks are taken from parent to child only.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from django.db.models import Q

from graphs.core.advance import Report
from graphs.core.cancelling import Told
from graphs.core.replies import Reply
from graphs.core.states import GRAPH
from graphs.models import Component, Graph
from graphs.store.cancelling import cancel
from graphs.store.moving import settle_replies
from graphs.store.reopening import resume_graph
from scheduler_project.toolkit.errors import Conflict, NotFound

RESULT_BYTES_MAX = 1024 * 1024
BATCH = 100


def settle_child(replies: Sequence[Reply], now: datetime) -> None:
    """Settles parents' components."""
    settle_replies(replies, now)


def settle_parents(graphs: Sequence[Graph], now: datetime) -> None:
    """Tells the parents of graphs that are over."""
    children = {graph.pk: graph for graph in graphs if graph.parent_id is not None}
    waiting = Component.objects.changes().filter(state="running", handle__in=list(children))
    settle_replies([_reply(row, children[row.handle]) for row in waiting], now)


def _reply(row: Component, child: Graph) -> Reply:
    existing = [one.document for one in child.components.filter(part="components").order_by("id")]
    document: dict[str, object] = {"graph": child.pk, "components": existing}
    size = len(json.dumps(existing))
    if size > RESULT_BYTES_MAX:
        why = f"{size} bytes are more than {RESULT_BYTES_MAX}; read /api/v1/graphs/{child.pk}/mapping"
        document = {"graph": child.pk, "omitted": why}
    reason = "" if child.state == "completed" else f"graph {child.pk} is {child.state}: {child.reason}"
    return Reply(row.graph_id, Report(row.component_id, child.state, reason, row.attempt), document)


def take_up_again(child_id: str, now: datetime) -> bool:
    """Whether the child of an earlier attempt can carry out the next one: it goes on where it stopped."""
    child = Graph.objects.filter(pk=child_id).first()
    if child is None or child.state == "completed":
        return False
    if child.state in GRAPH.final:
        resume_graph(child_id, now, "")
    return True


def cancel_children(child_ids: Sequence[str], now: datetime, actor: str, told: Told) -> None:
    """Cancels graphs whose parents' components are not wanted any more."""
    for child_id in child_ids:
        with suppress(NotFound, Conflict):
            cancel(child_id, now, actor, told)


def look_after_children(alias: str, now: datetime) -> None:
    """Does what a crash left undone: parents that were not told, children that were not cancelled."""
    awaited = Component.objects.changes().filter(state="running", backend=alias).values("handle")
    settle_parents(list(Graph.objects.filter(pk__in=awaited, state__in=GRAPH.final)[:BATCH]), now)
    goes_on = Q(parent__graph__cancel_requested_at__isnull=True)
    unwanted = Q(goes_on & ~Q(parent__state="running")) | Q(parent__graph__cancel_told__gt=Told.NOBODY)
    orphans = Graph.objects.unfinished().filter(unwanted, parent__isnull=False, cancel_requested_at__isnull=True)
    found = orphans.exclude(parent__rule="always").values_list("pk", "parent__graph__cancel_told")[:BATCH]
    for child_id, told in list(found):
        cancel_children([child_id], now, "", max(Told.OURS, Told(told)))
