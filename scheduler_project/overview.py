"""What the home page shows: hosts, services, graphs in progress, next fires, last failures.

Invariant: the number of queries is constant, and each list is bounded.
"""

from datetime import datetime
from typing import Any

from scheduler_project.models import Event, Level
from workers.models import Worker

HOSTS_SHOWN = 50
FAILURES_SHOWN = 12


def overview(now: datetime) -> dict[str, Any]:
    """The template's context."""
    return {
        "now": now,
        "hosts": list(Worker.objects.order_by("name")[:HOSTS_SHOWN]),
        "failures": list(Event.objects.filter(level=Level.ERROR).order_by("-id")[:FAILURES_SHOWN]),
    }
