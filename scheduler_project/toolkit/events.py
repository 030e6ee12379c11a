"""The event log: what happened, to what, and why. Written in the transaction of the change it tells of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from scheduler_project.toolkit.statements import Statement

SETTLING_TIME_S = 2.0


class NewEvent(Struct, frozen=True):
    """An event to be written; see `scheduler_project.models.Event` for the fields."""

    name: str
    subject: str
    message: str = ""
    level: str = "info"
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)
    actor: str = ""


@dataclass
class GapWatch:
    """Decides how far a reader may follow ids that can commit out of order.

    A row next to the position is passed at once; a row behind a gap waits until it has been seen for `hold_s`, the time
    that the transactions which took the missing ids are given to commit.
    """

    position: int
    hold_s: float = SETTLING_TIME_S
    first_seen: dict[int, float] = field(default_factory=dict)

    def passed(self, ids: Sequence[int], now_s: float) -> int:
        """How many of `ids` (ascending, all above the position) may be passed on; moves the position there."""
        seen_s = {one: self.first_seen.get(one, now_s) for one in ids}
        count = 0
        for one in ids:
            if one != self.position + 1 and now_s - seen_s[one] < self.hold_s:
                break
            self.position = one
            count += 1
        self.first_seen = {one: seen_s[one] for one in ids[count:]}
        return count


def record(events: Iterable[NewEvent], now: datetime) -> None:
    """Writes events in one statement, in order. Call it inside the transaction that makes the change."""
    from scheduler_project.toolkit.statements import together

    together(recording(events, now))


def recording(events: Iterable[NewEvent], now: datetime) -> "list[Statement]":
    """The statements of `record`."""
    from scheduler_project.models import Event
    from scheduler_project.toolkit.bulk import inserts_of

    return inserts_of(
        Event,
        [
            {
                "at": now,
                "name": event.name,
                "subject": event.subject,
                "level": event.level,
                "message": event.message,
                "data": event.data,
                "actor": event.actor,
            }
            for event in events
        ],
    )


def settled_position(now: datetime) -> int:
    """The id up to which the log is taken to be complete: events with smaller ids have had time to commit.

    Whoever reads the state first asks for this, and then follows the events after it, misses nothing.
    """
    from scheduler_project.models import Event

    settled = Event.objects.filter(at__lte=now - timedelta(seconds=SETTLING_TIME_S))
    return settled.order_by("-at", "-id").values_list("id", flat=True).first() or 0


def subjects_after(position: int, limit: int) -> list[tuple[int, str]]:
    """The next events after the position as (id, subject), in order of id."""
    from scheduler_project.models import Event

    return list(Event.objects.filter(id__gt=position).order_by("id").values_list("id", "subject")[:limit])


def recorded_after(position: int, limit: int) -> list[tuple[int, NewEvent]]:
    """The next events after the position with their ids, as they were recorded, in order of id."""
    from scheduler_project.models import Event

    return [
        (row.id, NewEvent(row.name, row.subject, row.message, row.level, row.data, row.actor))
        for row in Event.objects.filter(id__gt=position).order_by("id")[:limit]
    ]


def of_subject(subject: str, after_id: int, limit: int) -> list[tuple[int, str, dict[str, Any]]]:
    """The next events of one object as (id, name, data). In order where its writers hold a lock on it."""
    from scheduler_project.models import Event

    rows = Event.objects.filter(subject=subject, id__gt=after_id).order_by("id")
    return list(rows.values_list("id", "name", "data")[:limit])
