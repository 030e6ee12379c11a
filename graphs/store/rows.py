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
from scheduler_project.toolkit.bulk import updates
from scheduler_project.toolkit.columns import rows_told, table_of
from scheduler_project.toolkit.errors import SchedulerError
from scheduler_project.toolkit.events import NewEvent
from scheduler_project.toolkit.statements import (
    NotWritten,
    Outcome,
    Statement,
    among,
    instances,
    looked_up,
    selecting,
    several,
    together,
    together_at_last,
    using_keys,
)

BATCH = 500
CLAIM_BATCH = 500
LOCK = """
SELECT {columns}, EXISTS (SELECT 1 FROM graphs_circuit)
FROM graphs_graph WHERE {these} ORDER BY id {lock}
"""
OF_KEY = "{0}.graph_id = given.column1 AND {0}.component_id = given.column2 AND {0}.part = given.column3"
MOVED = ("state", "reason", "decided_by", "silent")
GRAPHS_PER_TRANSACTION = 100
Item = TypeVar("Item")
Key = tuple[str, str]


class LostRace(SchedulerError):
    """A row changed under the lock of its graph; nothing was written. Trying again reads it anew."""


def locked(graph_ids: Iterable[str], beside: Sequence[Statement] = ()) -> tuple[dict[str, Graph], list[Outcome]]:
    """These graphs, locked until the transaction ends; always in the same order, so that two writers never cross.

    Each has `silent_providers`: whether there are any that did not answer of late. Then what the statements `beside`
    have found under the locks.
    """
    lock = " FOR NO KEY UPDATE OF graphs_graph" if connection.features.has_select_for_update else ""
    sql = LOCK.format(columns="{columns}", these=among("id"), lock=lock)
    asked = [*using_keys(), selecting(Graph, sql, [several(graph_ids)]), *beside]
    found = together(asked)[-1 - len(beside) :]
    graphs = instances(Graph, found[0].rows, also=["silent_providers"])
    return {graph.pk: graph for graph in graphs}, found[1:]


def in_graphs(ids_by_graph: Mapping[str, Iterable[str]]) -> Q:
    """The condition for components by graph and component id."""
    terms = (Q(graph_id=graph_id, component_id__in=list(ids)) for graph_id, ids in ids_by_graph.items())
    return reduce(or_, terms, Q(pk__in=()))


def components_by_id(part: Part, keys: Iterable[Key]) -> list[Component]:
    """The components of one part under these pairs of graph and component id."""
    rows = sorted(keys)
    return instances(Component, together([selecting_by_id([part], rows)])[0].rows) if rows else []


def selecting_by_id(parts: Sequence[Part], keys: Iterable[Key]) -> Statement:
    """The components of these parts under these pairs of graph and component id, as a statement."""
    given, values = given_keys(parts, keys)
    sql = f"SELECT {{columns}} FROM {looked_up('graphs_component', OF_KEY.format('graphs_component'), given)}"  # noqa: S608
    return selecting(Component, sql, values)


def given_keys(parts: Sequence[Part], keys: Iterable[Key]) -> tuple[str, list[Any]]:
    """Pairs of graph and component id, in each part, as the table of a statement, and what is passed for it."""
    columns = [table_of(Component).columns[name] for name in ("graph_id", "component_id", "part")]
    return rows_told([(*key, part.value) for key in sorted(keys) for part in parts], columns)


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
    carry_out(swaps(rows, values, fields))


def swaps(
    rows: Sequence[tuple[Component, str]], values: Mapping[str, Any] | None = None, fields: Sequence[str] = ()
) -> list[Statement]:
    """The statements of `swap`."""
    by_state: dict[str, list[Component]] = defaultdict(list)
    for row, before in rows:
        by_state[before].append(row)
    found = (updates(rows, [*MOVED, *fields], values, {"state": before}) for before, rows in by_state.items())
    return [statement for statements in found for statement in statements]


def carry_out(statements: Sequence[Statement]) -> list[Outcome]:
    """Runs statements together. Raises LostRace where one has not written the rows that it was to write."""
    try:
        return together(statements)
    except NotWritten as error:
        raise LostRace from error


def carry_out_at_last(statements: Sequence[Statement]) -> None:
    """The same with the last ones of a transaction, and with its commit."""
    try:
        together_at_last(statements)
    except NotWritten as error:
        raise LostRace from error
