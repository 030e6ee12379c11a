"""Applies what providers report, and what is due, to locked graphs.

One transaction settles a batch; its queries are constant in number, and their rows are those reported on and what hangs
from them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from graphs.core.advance import Ignored, Node, Plan, Snapshot, advance
from graphs.core.merge import answered
from graphs.core.replies import Reply
from graphs.models import Component, Edge, Graph, Part
from graphs.store.ending import end_if_over
from graphs.store.existing import change_what_exists
from graphs.store.rows import batches, in_graphs, moved, save_counts, swap
from scheduler_project.toolkit.events import NewEvent, record

Keyed = dict[str, dict[str, Component]]


@dataclass
class Loaded:
    """The rows of a step, by graph and component id, and what depends on them."""

    rows: Keyed = field(default_factory=lambda: defaultdict(dict))
    dependants: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))
    freed: dict[str, dict[str, tuple[int, Node]]] = field(default_factory=lambda: defaultdict(dict))

    def snapshot(self, graph: Graph) -> Snapshot:
        """The pure picture of one graph."""
        nodes = {name: node for name, (_, node) in self.freed[graph.pk].items()}
        nodes |= {name: _node(row) for name, row in self.rows[graph.pk].items()}
        return Snapshot(
            state=graph.state,
            cancel_requested=graph.cancel_requested_at is not None,
            counts=graph.counts,
            nodes=nodes,
            dependants=self.dependants[graph.pk],
        )


def settle(graphs: Mapping[str, Graph], replies: Sequence[Reply], rows: Sequence[Component], now: datetime) -> None:
    """Applies replies, and deadlines of `rows`, to locked graphs, and ends those that are over."""
    by_graph: dict[str, list[Reply]] = defaultdict(list)
    for reply in replies:
        by_graph[reply.graph_id].append(reply)
    loaded = _load(rows)
    events: list[NewEvent] = []
    settled: list[tuple[Component, str]] = []
    for graph in graphs.values():
        plan = advance(loaded.snapshot(graph), [reply.report for reply in by_graph[graph.pk]], now)
        events += _ignored_events(graph.pk, by_graph[graph.pk], plan.ignored)
        settled += _apply(graph, plan, by_graph[graph.pk], loaded)
        if plan.moves:
            events += _save(graph, plan, loaded, now)
    _write([row for row, _ in settled], now)
    events += change_what_exists([row for row, _ in settled if row.state == "completed"])
    record([*(moved(row, before) for row, before in settled), *events], now)
    for graph in graphs.values():
        end_if_over(graph, now)


def reported_rows(replies: Sequence[Reply]) -> list[Component]:
    """The changes that replies speak of, with their documents."""
    ids: dict[str, set[str]] = defaultdict(set)
    for reply in replies:
        ids[reply.graph_id].add(reply.report.component_id)
    return list(Component.objects.changes().filter(in_graphs(ids)))


def _load(rows: Sequence[Component]) -> Loaded:
    loaded = Loaded()
    by_pk = {row.pk: row for row in rows}
    for row in rows:
        loaded.rows[row.graph_id][row.component_id] = row
    fields = ("source_id", "destination_id", "destination__component_id", "destination__state")
    for source_id, pk, name, state, blockers in (
        Edge.objects.filter(source_id__in=list(by_pk), destination__part=Part.CHANGE)
        .order_by("id")
        .values_list(*fields, "destination__blockers")
    ):
        source = by_pk[source_id]
        loaded.dependants[source.graph_id].setdefault(source.component_id, []).append(name)
        loaded.freed[source.graph_id][name] = (pk, Node(state, 0, blockers))
    return loaded


def _node(row: Component) -> Node:
    return Node(row.state, row.attempt, row.blockers, row.attempts, row.resend_at, row.deadline_at)


def _apply(graph: Graph, plan: Plan, replies: Sequence[Reply], loaded: Loaded) -> list[tuple[Component, str]]:
    """Moves the rows in memory. Returns each with the state it had."""
    changed: list[tuple[Component, str]] = []
    for move in plan.moves:
        row = loaded.rows[graph.pk][move.component_id]
        before = row.state
        document: Mapping[str, Any] = replies[move.report].document if move.report is not None else {}
        row.state, row.reason = move.state, move.reason
        row.document = answered(row.document, document, graph.pk, move.state)
        changed.append((row, before))
    return changed


def _write(settled: Sequence[Component], now: datetime) -> None:
    again = [row for row in settled if row.state == "waiting"]
    over = [row for row in settled if row.state != "waiting"]
    swap(over, "running", ended_at=now, resend_at=None, deadline_at=None)
    swap(again, "running", started_at=None, sent_at=None, resend_at=None, deadline_at=None, handle="")


def _save(graph: Graph, plan: Plan, loaded: Loaded, now: datetime) -> list[NewEvent]:
    """Writes counters and new numbers of blockers. Returns events to record."""
    for state, count in plan.counts.items():
        setattr(graph, state, count)
    keys_by_value: dict[int, list[int]] = defaultdict(list)
    for name, blockers in plan.blockers.items():
        row = loaded.rows[graph.pk].get(name)
        keys_by_value[blockers].append(row.pk if row else loaded.freed[graph.pk][name][0])
    for blockers, keys in keys_by_value.items():
        for batch in batches(keys):
            Component.objects.filter(pk__in=batch).update(blockers=blockers)
    return save_counts(graph, now)


def _ignored_events(graph_id: str, replies: Sequence[Reply], ignored: Sequence[Ignored]) -> list[NewEvent]:
    return [
        NewEvent(
            "component.report_ignored",
            f"graph:{graph_id}",
            one.reason,
            "warning",
            {
                "component": replies[one.report].report.component_id,
                "outcome": replies[one.report].report.outcome,
                "attempt": replies[one.report].report.attempt,
            },
        )
        for one in ignored
    ]
