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
SHORTEST_HOLD_S = 0.2


class NewEvent(Struct, frozen=True):
    """An event to be written; see `scheduler_project.models.Event` for the fields."""

    name: str
    subject: str
    message: str = ""
    level: str = "info"
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)
    actor: str = ""


@dataclass(frozen=True)
class Writers:
    """Transactions of the database by their numbers: all before `oldest` are over, and `next` has not begun."""

    oldest: int
    next: int


@dataclass
class _Seen:
    """When a row behind a gap was first seen, and the number of a transaction that had not begun then."""

    at_s: float
    before: int | None = None


@dataclass
class GapWatch:
    """Decides how far a reader may follow ids that can commit out of order.

    A row next to the position is passed at once. A row behind a gap waits until the transactions that took the missing
    ids are over: until all are that had begun when it was seen, or for `hold_s`, which they are given to commit.
    """

    position: int
    hold_s: float = SETTLING_TIME_S
    _seen: dict[int, _Seen] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """Whether there are rows behind a gap, so that it helps to know of the writers."""
        return bool(self._seen)

    def passed(self, ids: Sequence[int], now_s: float, writers: Writers | None = None) -> int:
        """How many of `ids` (ascending, all above the position) may be passed on; moves the position there.

        `writers` were asked for before the ids were read.
        """
        for held in self._seen.values():
            if writers is not None and held.before is None:
                held.before = writers.next
        seen = {one: self._seen.get(one) or _Seen(now_s) for one in ids}
        count = 0
        for one in ids:
            if one != self.position + 1 and not self._is_settled(seen[one], now_s, writers):
                break
            self.position = one
            count += 1
        self._seen = {one: seen[one] for one in ids[count:]}
        return count

    def _is_settled(self, seen: _Seen, now_s: float, writers: Writers | None) -> bool:
        """Whether what is missing before a row will never come."""
        held_s = now_s - seen.at_s
        if writers is None or seen.before is None or writers.oldest < seen.before:
            return held_s >= self.hold_s
        return held_s >= min(SHORTEST_HOLD_S, self.hold_s)


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


def writers() -> Writers | None:
    """The transactions that may still commit; None where the database does not tell."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint "
            "FROM pg_current_snapshot() AS now"
        )
        return Writers(*cursor.fetchone())


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
