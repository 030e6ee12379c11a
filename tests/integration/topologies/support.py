"""Topologies for tests, and how their commands end."""

from datetime import UTC, datetime, timedelta
from typing import Any

from topologies import store
from topologies.manifest import spec_of
from topologies.models import Run, Topology

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY_MINUTE = {"type": "CRON", "timeSpec": "0 * * * * ?", "timezone": "UTC"}


def document(name: str = "report", **changes: Any) -> dict[str, Any]:
    """A topology of two commands, one after the other, that fires every minute."""
    components = [
        {"name": "extract", "command": "true"},
        {"name": "load", "argv": ["true"], "after": ["extract"]},
    ]
    return {"name": name, "trigger": EVERY_MINUTE, "graph": {"components": components}, **changes}


def created(name: str = "report", now: datetime = NOON, **changes: Any) -> Topology:
    """The stored topology of `document`."""
    return store.create(spec_of(document(name, **changes), None, now), now, "ann")


def once(at: datetime) -> dict[str, str]:
    return {"type": "AT", "time": at.isoformat()}


def states(name: str = "report") -> list[str]:
    """The states of its runs, oldest first."""
    return list(Run.objects.filter(topology__name=name).order_by("scheduled_at", "id").values_list("state", flat=True))


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)
