"""Works out anew what waiting components of a graph are missing, where many of its components changed at once."""

from graphs.core.rules import blockers, standing
from graphs.models import Component, Graph
from graphs.store.ending import needed_by, write_blockers


def recount(graph: Graph) -> None:
    """Writes the blockers of all that waits in a locked graph. Linear in the graph."""
    fields = ("pk", "component_id", "state", "decided_by", "rule", "retry_at", "blockers")
    rows = list(Component.objects.changes().filter(graph=graph).only(*fields))
    standings = {row.component_id: standing(row.state, row.decided_by) for row in rows}
    needed = needed_by(graph)
    wanted = {
        row.pk: blockers(row.rule, [standings[one] for one in needed.get(row.component_id, ())]) + bool(row.retry_at)
        for row in rows
        if row.state == "waiting"
    }
    write_blockers({row.pk: wanted[row.pk] for row in rows if row.pk in wanted and wanted[row.pk] != row.blockers})
