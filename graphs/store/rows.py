"""Small pieces that all writers of this package share: the lock on graphs, batches, events and moves of components."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Q

from graphs.core.states import COMPONENT
from graphs.models import Component, Graph, Part
from scheduler_project.toolkit.bulk import table_of, update_rows
from scheduler_project.toolkit.errors import SchedulerError
from scheduler_project.toolkit.events import NewEvent
from scheduler_project.toolkit.statements import among, looked_up, read, several

BATCH = 500
LOCK = """
SELECT {columns}, EXISTS (SELECT 1 FROM graphs_circuit)
FROM graphs_graph WHERE {these} ORDER BY id {lock}
"""
OF_ID = "graph_id = given.column1 AND component_id = given.column2 AND part = %s"
MOVED = ("state", "reason", "decided_by", "silent")
GRAPHS_PER_TRANSACTION = 100
Item = TypeVar("Item")


class LostRace(SchedulerError):
    """A row changed under the lock of its graph; nothing was written. Trying again reads it anew."""


def locked(graph_ids: Iterable[str]) -> dict[str, Graph]:
    """These graphs, locked until the transaction ends; always in the same order, so that two writers never cross.

    Each has `silent_providers`: whether there are any that did not answer of late.
    """
    lock = " FOR NO KEY UPDATE OF graphs_graph" if connection.features.has_select_for_update else ""
    sql = LOCK.format(columns="{columns}", these=among("id"), lock=lock)
    return {graph.pk: graph for graph in read(Graph, sql, [several(graph_ids)], also=["silent_providers"])}


def in_graphs(ids_by_graph: Mapping[str, Iterable[str]]) -> Q:
    """The condition for components by graph and component id."""
    terms = (Q(graph_id=graph_id, component_id__in=list(ids)) for graph_id, ids in ids_by_graph.items())
    return reduce(or_, terms, Q(pk__in=()))


def components_by_id(part: Part, keys: Iterable[tuple[str, str]]) -> list[Component]:
    """The components of one part under these pairs of graph and component id."""
    rows = sorted(keys)
    if not rows:
        return []
    types = [Component._meta.get_field(name) for name in ("graph_id", "component_id")]
    given, values = table_of(types, rows)
    sql = f"SELECT {{columns}} FROM {looked_up('graphs_component', OF_ID, given)}"  # noqa: S608
    return read(Component, sql, [*values, part.value])


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


def swap(
    rows: Sequence[tuple[Component, str]], values: Mapping[str, Any] | None = None, fields: Sequence[str] = ()
) -> None:
    """Writes the rows' new states, reasons and deciders, each while it is still in the state that stands beside it.

    So are `fields` of the rows written, and `values` into all. Raises LostRace where a row is in another state.
    """
    by_state: dict[str, list[Component]] = defaultdict(list)
    for row, before in rows:
        by_state[before].append(row)
    for before, alike in by_state.items():
        if update_rows(alike, [*MOVED, *fields], values, still={"state": before}) != len(alike):
            raise LostRace
