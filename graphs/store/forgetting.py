"""Forgets graphs that have been over for longer than they are kept, a bounded part of them in each step.

Invariant: no graph goes that is not over, whose end is still to be announced on NATS, or that something else needs,
such as the graph that it is a part of. A large one goes over several steps, its own row last.
"""

import logging
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from graphs.core.states import GRAPH
from graphs.models import Component, Edge, Graph
from graphs.signals import forgetting_graphs
from graphs.store.rows import locked
from scheduler_project.toolkit.retention import first_id_of, over_before

log = logging.getLogger(__name__)

GRAPHS_PER_STEP = 50
ROWS_PER_STEP = 2000


def forget(now: datetime) -> None:
    """One step."""
    before = over_before(now, settings.SCHEDULER_KEEP_GRAPHS_DAYS)
    if before is None:
        return
    old = Graph.objects.filter(state__in=GRAPH.final, serial__lt=first_id_of(before), ended_at__lt=before)
    old = old.exclude(Exists(Graph.objects.unfinished().filter(components=OuterRef("parent"))))
    if settings.NATS_URI:
        old = old.filter(announce_at=None)
    ids = list(old.order_by("serial").values_list("pk", flat=True)[:GRAPHS_PER_STEP])
    if not ids:
        return
    with transaction.atomic():
        answers = forgetting_graphs.send(sender=Graph, graph_ids=ids)
        needed = {graph_id for _, answer in answers for graph_id in answer or ()}
        over = [graph.pk for graph in locked(set(ids) - needed)[0].values() if graph.state in GRAPH.final]
        if _empty(over):
            Graph.objects.filter(pk__in=over).only("pk").delete()
            log.info("graphs.forgotten count=%d", len(over))


def unfinished_among(graph_ids: Iterable[str]) -> set[str]:
    """Those of these graphs that are there and not over."""
    wanted = list(graph_ids)
    return set(Graph.objects.unfinished().filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()


def _empty(graph_ids: list[str]) -> bool:
    """Deletes edges, then components, up to a number of rows. Returns whether none are left."""
    left = ROWS_PER_STEP
    for model in (Edge, Component):
        rows = list(
            model._default_manager.filter(graph__in=graph_ids).order_by("pk").values_list("pk", flat=True)[:left]
        )
        model._default_manager.filter(pk__in=rows).delete()
        left -= len(rows)
        if not left:
            return False
    return True
