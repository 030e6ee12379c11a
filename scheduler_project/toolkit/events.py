"""The event log: what happened, to what, and why. Written in the transaction of the change it tells of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

SETTLING_TIME_S = 2.0


@dataclass(frozen=True)
class NewEvent:
    """An event to be written; see `scheduler_project.models.Event` for the fields."""

    name: str
    subject: str
    message: str = ""
    level: str = "info"
    data: Mapping[str, Any] = field(default_factory=dict)
    actor: str = ""


def record(events: Iterable[NewEvent], now: datetime) -> None:
    """Writes events in one statement, in order. Call it inside the transaction that makes the change."""
    from scheduler_project.models import Event

    Event.objects.bulk_create(
        Event(
            at=now,
            name=event.name,
            subject=event.subject,
            level=event.level,
            message=event.message,
            data=dict(event.data),
            actor=event.actor,
        )
        for event in events
    )


def settled_position(now: datetime) -> int:
    """The id up to which the log is taken to be complete: events with smaller ids have had time to commit.

    Whoever reads the state first asks for this, and then follows the events after it, misses nothing.
    """
    from scheduler_project.models import Event

    settled = Event.objects.filter(at__lte=now - timedelta(seconds=SETTLING_TIME_S))
    return settled.order_by("-at", "-id").values_list("id", flat=True).first() or 0
