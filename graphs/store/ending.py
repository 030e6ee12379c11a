"""Ends graphs, each exactly once per run, and puts the end into the outbox of announcements."""

from collections import defaultdict
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from graphs.core.draining import drain
from graphs.core.ends import decide_end, must_look, rules_left
from graphs.core.rules import standing
from graphs.core.states import GRAPH
from graphs.models import Component, Edge, Graph, Part
from graphs.signals import graphs_ended
from graphs.store.rows import moved
from scheduler_project.toolkit.bulk import update_rows, updates_of
from scheduler_project.toolkit.events import NewEvent
from scheduler_project.toolkit.statements import Statement, together

SILENT_SOURCES = ("topology", "graph")
"""Graphs of our own topologies and inside other graphs are not announced: nobody outside has started them."""


def end_if_over(graph: Graph, now: datetime) -> list[NewEvent]:
    """Ends a locked graph in memory if it is over. Returns events to record.

    What can never start any more is skipped before, so that what its end was waited for can start.
    """
    if graph.state in GRAPH.final:
        return []
    events = skip_hopeless(graph, now) if must_look(graph.standing) and not _startable(graph) else []
    end = decide_end(graph.standing, startable=must_look(graph.standing) and _startable(graph))
    if end is None:
        return events
    GRAPH.check(graph.state, end.state)
    graph.state = end.state
    graph.reason = end.reason
    graph.started_at = graph.started_at or now
    graph.ended_at = now
    graph.announce_at = None if graph.source in SILENT_SOURCES else now
    graph.announced_at = None
    level = "error" if end.state == "errored" else "info"
    events.append(NewEvent(f"graph.{end.state}", f"graph:{graph.id}", end.reason, level, data=graph.counts))
    transaction.on_commit(lambda: graphs_ended.send(sender=Graph, graphs=[graph]))
    return events


def _startable(graph: Graph) -> bool:
    """Whether something that waits may start now or later."""
    free = Q(blockers=0) | Q(retry_at__isnull=False)
    waiting = Component.objects.changes().filter(free, graph=graph, state="waiting")
    return waiting.filter(rule__in=rules_left(graph.standing)).exists()


def skip_hopeless(graph: Graph, now: datetime) -> list[NewEvent]:
    """Skips what can never start any more in a graph with rules. Returns events to record."""
    if not graph.has_rules:
        return []
    changes = {row.pk: row for row in Component.objects.changes().filter(graph=graph).defer("document", "policy")}
    waiting = {row.component_id: row for row in changes.values() if row.state == "waiting"}
    needed = needed_by(graph)
    found = drain(
        {name: row.rule for name, row in waiting.items()},
        needed,
        {row.component_id: standing(row.state, row.decided_by) for row in changes.values() if row.state != "waiting"},
        rules_left(graph.standing),
    )
    events: list[NewEvent] = []
    skipped = []
    for name, why in found.skipped.items():
        row = waiting[name]
        row.state, row.reason, row.ended_at, row.deadline_at = "skipped", why, now, None
        skipped.append(row)
        events.append(moved(row, "waiting"))
    update_rows(skipped, ["state", "reason", "ended_at", "deadline_at"])
    write_blockers({waiting[name].pk: left for name, left in found.blockers.items()})
    graph.waiting -= len(skipped)
    graph.skipped += len(skipped)
    return events


def needed_by(graph: Graph) -> dict[str, list[str]]:
    """For each change of a graph the ids of the changes that it depends on."""
    edges = Edge.objects.filter(graph=graph, source__part=Part.CHANGE, destination__part=Part.CHANGE).order_by("id")
    needed: dict[str, list[str]] = defaultdict(list)
    for source, destination in edges.values_list("source__component_id", "destination__component_id"):
        needed[destination].append(source)
    return needed


def write_blockers(blockers: dict[int, int]) -> None:
    """Writes new numbers of blockers by primary key."""
    together(blocker_updates(blockers))


def blocker_updates(blockers: dict[int, int]) -> list[Statement]:
    """The statements of `write_blockers`."""
    return updates_of(Component, list(blockers), {"blockers": list(blockers.values())})
