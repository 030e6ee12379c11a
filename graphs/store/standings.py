"""Works out anew what components of a graph are missing, where many of its components changed at once."""

from datetime import datetime, timedelta

from graphs.core.rules import blockers, standing
from graphs.models import Component, Graph
from graphs.store.ending import needed_by, write_blockers
from scheduler_project.toolkit.bulk import update_rows


def recount(graph: Graph) -> None:
    """Writes the blockers of all changes of a locked graph. Linear in the graph.

    Also of those that run or are over: what they depend on may be done again, and then ends once more.
    """
    fields = ("pk", "component_id", "state", "decided_by", "rule", "retry_at", "blockers")
    rows = list(Component.objects.changes().filter(graph=graph).only(*fields))
    standings = {row.component_id: standing(row.state, row.decided_by) for row in rows}
    needed = needed_by(graph)
    wanted = {
        row.pk: blockers(row.rule, [standings[one] for one in needed.get(row.component_id, ())]) + bool(row.retry_at)
        for row in rows
    }
    write_blockers({row.pk: wanted[row.pk] for row in rows if wanted[row.pk] != row.blockers})


def arm_queue_deadlines(graph: Graph, now: datetime) -> None:
    """Gives all that is ready its full time in the queue from now on."""
    ready = Component.objects.ready().filter(graph=graph, policy__isnull=False).only("policy", "timeout_s")
    armed = [row for row in ready if row.wishes.queue_timeout_s]
    for row in armed:
        row.deadline_at = now + timedelta(seconds=row.wishes.queue_timeout_s)
    update_rows(armed, ["deadline_at"])
