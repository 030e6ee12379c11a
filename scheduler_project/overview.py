"""What the home page shows: hosts, services, graphs in progress, next fires, last failures.

Invariant: the number of queries is constant, and each list is bounded.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Sum

from clusters.models import Service
from graphs.models import Graph
from scheduler_project.models import Event, Level
from topologies.models import Topology
from workers.models import Command, Worker

SHOWN = 50
FAILURES_SHOWN = 10
GRAPHS_SHOWN = 8
FIRES_SHOWN = 8
RECENT = timedelta(hours=24)


def overview(now: datetime) -> dict[str, Any]:
    """The template's context."""
    hosts = list(Worker.objects.all()[:SHOWN])
    services = Service.objects.present().counted().select_related("cluster", "definition").order_by("name")[:SHOWN]
    active = Topology.objects.filter(state="active")
    unfinished = Graph.objects.unfinished()
    ended = Graph.objects.exclude(ended_at=None).select_related("parent")
    failures = Event.objects.filter(level=Level.ERROR)
    return {
        "now": now,
        "hosts": hosts,
        "services": services,
        "graphs": list(unfinished.select_related("parent")[:GRAPHS_SHOWN]),
        "last_graphs": list(ended.order_by("-ended_at")[:GRAPHS_SHOWN]),
        "fires": list(active.exclude(next_run_at=None).order_by("next_run_at")[:FIRES_SHOWN]),
        "failures": list(failures.order_by("-id")[:FAILURES_SHOWN]),
        "counts": {
            "hosts": Worker.objects.aggregate(all=Count("id"), connected=Count("id", filter=Q(state="connected"))),
            "tasks": {one: sum(getattr(service, one) for service in services) for one in ("desired", "actual")},
            "graphs": Graph.objects.unfinished().aggregate(
                all=Count("pk"), attention=Sum("needs_attention", default=0)
            ),
            "commands": Command.objects.unfinished().count(),
            "failures": failures.filter(at__gte=now - RECENT).count(),
        },
    }
