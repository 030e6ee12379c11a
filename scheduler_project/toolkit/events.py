"""The event log: what happened, to what, and why. Written in the transaction of the change it tells of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


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
