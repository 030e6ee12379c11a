"""Small pieces that all writers of this package share: the lock on graphs, batches, events of components."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Q

from graphs.core.states import COMPONENT
from graphs.models import Component, Graph
from scheduler_project.toolkit.bulk import update_rows
from scheduler_project.toolkit.errors import SchedulerError
from scheduler_project.toolkit.events import NewEvent

BATCH = 500
GRAPHS_PER_TRANSACTION = 100
Item = TypeVar("Item")


class LostRace(SchedulerError):
    """A row changed under the lock of its graph; nothing was written. Trying again reads it anew."""


def locked(graph_ids: Iterable[str]) -> dict[str, Graph]:
    """These graphs, locked until the transaction ends; always in the same order, so that two writers never cross."""
    graphs = Graph.objects.filter(pk__in=list(graph_ids)).order_by("pk")
    if connection.features.has_select_for_update:
        graphs = graphs.select_for_update(no_key=connection.features.has_select_for_no_key_update)
    return {graph.pk: graph for graph in graphs}


def in_graphs(ids_by_graph: Mapping[str, Iterable[str]]) -> Q:
    """The condition for components by graph and component id."""
    terms = (Q(graph_id=graph_id, component_id__in=list(ids)) for graph_id, ids in ids_by_graph.items())
    return reduce(or_, terms, Q(pk__in=()))


def batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """Cuts anything into lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def save_counts(graph: Graph, now: datetime) -> list[NewEvent]:
    """Saves a locked graph's counters; the first component that starts makes it running. Returns events to record."""
    fields = [*COMPONENT.states, "version"]
    events: list[NewEvent] = []
    graph.version += 1
    if graph.state == "pending" and graph.running + graph.completed + graph.errored:
        graph.state, graph.started_at = "running", now
        fields += ["state", "started_at"]
        events.append(NewEvent("graph.running", f"graph:{graph.id}", data=graph.counts))
    graph.save(update_fields=fields)
    return events


def moved(component: Component, before: str, actor: str = "") -> NewEvent:
    """The event of a component that has just got its state; `before` is the one it had."""
    COMPONENT.check(before, component.state)
    data = {"component": component.component_id, "state": component.state, "attempt": component.attempt}
    level = "error" if component.state == "errored" else "info"
    name = f"component.{component.state}"
    return NewEvent(name, f"graph:{component.graph_id}", component.reason, level, data, actor)


def swap(rows: Sequence[Component], before: str, **values: Any) -> None:
    """Writes the rows' new states, reasons and documents, and `values` into all, while they are still in `before`.

    Raises LostRace where a row is not.
    """
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        alike[row.state, row.reason].append(row.pk)
    for (state, reason), keys in alike.items():
        for batch in batches(keys):
            expected = Component.objects.filter(pk__in=batch, state=before)
            if expected.update(state=state, reason=reason, **values) != len(batch):
                raise LostRace
    update_rows(rows, ["document"])
