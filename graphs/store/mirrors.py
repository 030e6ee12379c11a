"""What an outside store has still to be told of our graphs: an outbox that is read off the graphs' own event logs.

Invariant: per graph things are told in the order in which they were committed, and told again until they are taken; our
database stays the truth, and whoever writes it pays nothing for the mirror.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q

from graphs import export
from graphs.core.merge import touched_ids
from graphs.models import Component, Graph, Mirrored, Part
from graphs.store.ledger import writing
from scheduler_project.toolkit.events import NewEvent, of_subject

GRAPHS_AT_ONCE = 50
EVENTS_AT_ONCE = 500
TOLD_AFTER_TRIES = 3
WHOLE_AFTER_TRIES = 3
WAIT_MAX_S = 600
MOVES = ("component.running", "component.completed", "component.errored", "component.cancelled", "component.skipped")
Request = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class News:
    """Requests for the outside store about one graph, and how far it is told when it has taken them all."""

    graph_id: str
    requests: Sequence[Request]
    number: int
    event_id: int


def untold(now: datetime) -> list[str]:
    """Graphs of which there is something to tell now, the oldest first."""
    new = Q(mirrored=None)
    behind = Q(mirrored__number__lt=F("events")) & (Q(mirrored__again_at=None) | Q(mirrored__again_at__lte=now))
    found = Graph.objects.filter(new | behind).order_by("serial").values_list("pk", flat=True)
    return list(found[:GRAPHS_AT_ONCE])


def news_of(graph_id: str) -> News:
    """What is to be told of a graph: the whole mapping first, then what has changed since."""
    graph = Graph.objects.get(pk=graph_id)
    told = Mirrored.objects.filter(pk=graph_id).first()
    after = told.event_id if told else 0
    events = of_subject(f"graph:{graph_id}", after, EVENTS_AT_ONCE)
    last_id = events[-1][0] if events else after
    number = max((data.get("number", 0) for _, _, data in events), default=graph.events)
    if told is None or not told.event_id or told.tries >= WHOLE_AFTER_TRIES:
        whole = {"id": graph_id, "mapping": export.mapping(graph)}
        return News(graph_id, [("build.set.mapping", whole)], number, last_id)
    moved = dict.fromkeys(data["component"] for _, name, data in events if name in MOVES and "component" in data)
    return News(graph_id, list(_requests(graph, list(moved))), number, last_id)


def _requests(graph: Graph, component_ids: Sequence[str]) -> Iterator[Request]:
    """Each component as it is now, and what that means for what exists."""
    changes = Component.objects.changes().filter(graph=graph, component_id__in=component_ids)
    rows = {row.component_id: row for row in changes}
    for row in (rows[one] for one in component_ids if one in rows):
        document = export.component_document(row, graph.pk)
        if row.verb != "none":
            yield "build.set.mapping.change", document
        if row.state == "completed" and row.verb == "delete":
            yield "build.del.mapping.component", document
        elif row.state == "completed":
            ids = touched_ids(row.verb, row.component_id, row.document)
            existing = Component.objects.filter(graph=graph, part=Part.EXISTS, component_id__in=ids).order_by("id")
            for one in existing:
                yield "build.set.mapping.component", {**one.document, "service": graph.pk}


def mark_told(news: News) -> None:
    """The outside store has taken all of it."""
    values = {"number": news.number, "event_id": news.event_id, "tries": 0, "again_at": None, "reason": ""}
    Mirrored.objects.update_or_create(pk=news.graph_id, defaults=values)


def mark_refused(news: News, reason: str, now: datetime) -> None:
    """The outside store did not take it. It is told again, ever more rarely; the third time the log says so."""
    told, _ = Mirrored.objects.get_or_create(pk=news.graph_id)
    told.tries += 1
    told.reason = reason[:2000]
    told.again_at = now + timedelta(seconds=min(2 ** min(told.tries, 30), WAIT_MAX_S))
    told.save()
    if told.tries == TOLD_AFTER_TRIES:
        with writing([news.graph_id], now) as ledger:
            why = f"the outside store does not take it: {reason[:500]}"
            ledger.tell(NewEvent("graph.store_refused", f"graph:{news.graph_id}", why, "error"))
