"""The outbox of ends: each graph's end is announced once, by whichever bridge takes it first.

A bridge that dies between the announcement and its mark leaves the graph to be announced again `AGAIN_AFTER_S` later,
so an end is never lost and, in that one case, may be heard twice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from graphs.models import Graph

AGAIN_AFTER_S = 30
BATCH = 50


def take_announcements(now: datetime) -> list[Graph]:
    """Graphs whose end this caller is to announce now; no other caller gets them for a while."""
    due = Graph.objects.filter(announce_at__lte=now).order_by("announce_at")[:BATCH]
    later = now + timedelta(seconds=AGAIN_AFTER_S)
    return [
        graph
        for graph in due
        if Graph.objects.filter(pk=graph.pk, announce_at=graph.announce_at).update(announce_at=later)
    ]


def mark_announced(graph_ids: Sequence[str], now: datetime) -> None:
    """These ends are known to have been announced."""
    Graph.objects.filter(pk__in=graph_ids, announced_at=None).update(announced_at=now, announce_at=None)
