"""Ends runs whose graphs have ended, told by the signal of `graphs` or found by looking."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery

from graphs.core.states import GRAPH
from graphs.models import Graph
from topologies.core.fire import outcome
from topologies.core.states import RUN
from topologies.models import Run
from topologies.store.rows import BATCH, claimed, record_runs

SETTLED_PER_TICK = 500


def settle_ended(now: datetime, graph_ids: Sequence[str] | None = None) -> None:
    """Ends the runs in progress whose graph is over or gone; only those of `graph_ids` where given."""
    ended = {run.pk: run for run in _over(graph_ids)[:SETTLED_PER_TICK]}
    if not ended:
        return
    with transaction.atomic():
        runs = claimed(Run.objects.in_progress().filter(pk__in=ended).select_related("topology"))
        settled = [_settled(run, ended[run.pk], now) for run in runs]
        Run.objects.bulk_update(settled, ["state", "reason", "ended_at"], batch_size=BATCH)
        record_runs([(run, run.topology) for run in settled], now)


def _over(graph_ids: Sequence[str] | None) -> QuerySet[Any]:
    graph = Graph.objects.filter(pk=OuterRef("graph_id"))
    runs = Run.objects.in_progress().order_by("pk")
    if graph_ids is not None:
        runs = runs.filter(graph_id__in=graph_ids)
    told = runs.annotate(
        graph_state=Subquery(graph.values("state")),
        graph_reason=Subquery(graph.values("reason")),
        graph_ended_at=Subquery(graph.values("ended_at")),
    )
    return told.filter(Q(graph_state__in=GRAPH.final) | Q(graph_state=None))


def _settled(run: Run, found: Any, now: datetime) -> Run:
    """The locked run in its final state, as its graph was found."""
    end = outcome(run.kind, found.graph_state, found.graph_reason or "")
    RUN.check(run.state, end.state)
    run.state, run.reason = end.state, end.reason
    run.ended_at = found.graph_ended_at or now
    return run
