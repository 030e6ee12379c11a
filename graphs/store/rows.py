"""Small pieces that all writers of this package share: the lock on graphs, batches, events and moves of components."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Exists, Q

from graphs.core.states import COMPONENT
from graphs.models import Circuit, Component, Graph
from scheduler_project.toolkit.errors import SchedulerError
from scheduler_project.toolkit.events import NewEvent

BATCH = 500
GRAPHS_PER_TRANSACTION = 100
Item = TypeVar("Item")


class LostRace(SchedulerError):
    """A row changed under the lock of its graph; nothing was written. Trying again reads it anew."""


def locked(graph_ids: Iterable[str]) -> dict[str, Graph]:
    """These graphs, locked until the transaction ends; always in the same order, so that two writers never cross.

    Each has `silent_providers`: whether there are any that did not answer of late.
    """
    graphs = Graph.objects.filter(pk__in=list(graph_ids)).order_by("pk")
    graphs = graphs.annotate(silent_providers=Exists(Circuit.objects.all()))
    if connection.features.has_select_for_update:
        graphs = graphs.select_for_update(of=("self",), no_key=connection.features.has_select_for_no_key_update)
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


def moved(component: Component, before: str) -> NewEvent:
    """The event of a component that has just got its state; `before` is the one it had."""
    COMPONENT.check(before, component.state)
    data = {"component": component.component_id, "state": component.state, "attempt": component.attempt}
    level = "error" if component.state == "errored" else "info"
    name = f"component.{component.state}"
    return NewEvent(name, f"graph:{component.graph_id}", component.reason, level, data, component.decided_by)


def swap(rows: Sequence[tuple[Component, str]], **values: Any) -> None:
    """Writes the rows' new states, reasons and deciders, and `values` into all, each while it is still in its state.

    The state that each was in stands beside it. Raises LostRace where a row is in another.
    """
    alike: dict[tuple[str, str, str, str, bool], list[int]] = defaultdict(list)
    for row, before in rows:
        alike[before, row.state, row.reason, row.decided_by, row.silent].append(row.pk)
    for (before, state, reason, decided_by, silent), keys in alike.items():
        told = {"state": state, "reason": reason, "decided_by": decided_by, "silent": silent}
        for batch in batches(keys):
            if Component.objects.filter(pk__in=batch, state=before).update(**told, **values) != len(batch):
                raise LostRace
