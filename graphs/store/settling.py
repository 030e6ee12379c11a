"""Applies what providers and people report, and what is due, to locked graphs.

One transaction settles a batch; its queries are constant in number, and their rows are those reported on and what hangs
from them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from msgspec import Struct

from graphs.core.advance import Ignored, Node, Plan, Snapshot, advance
from graphs.core.merge import answered
from graphs.core.policy import Policy
from graphs.core.replies import Reply
from graphs.models import Component, Graph, Part
from graphs.providers import provider
from graphs.store.attempts import keep_attempts
from graphs.store.circuits import note_answers
from graphs.store.existing import Known, change_what_exists
from graphs.store.ledger import Ledger
from graphs.store.rows import CLAIM_BATCH, OF_KEY, Key, given_keys, moved, selecting_by_id, swaps
from graphs.store.times import deadline_of, resendable
from scheduler_project.toolkit.columns import rows_told, table_of
from scheduler_project.toolkit.events import NewEvent
from scheduler_project.toolkit.statements import (
    Outcome,
    Statement,
    instances,
    looked_up,
    selecting,
    together,
    values_of,
)

OF_DEPENDANTS = ("id", "component_id", "state", "blockers", "rule", "policy", "retry_at")
DEPENDANTS = """
SELECT {columns}, source.graph_id, source.component_id
FROM {found} WHERE graphs_component.part = 'changes' ORDER BY graphs_edge.id
"""
SET_FREE = """
SELECT {columns} FROM {found}
WHERE graphs_component.part = 'changes' AND graphs_component.state = 'waiting' AND graphs_component.blockers <= sources
ORDER BY graphs_component.graph_id, graphs_component.position, graphs_component.id LIMIT %s
"""
"""What waits for no more than the components that are reported on: whether it is set free is decided elsewhere."""
NOTHING = Outcome(0, [])
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
            graph_id=graph.pk,
            paused=graph.paused_at is not None,
            forgiven=graph.forgiven,
            has_rules=graph.has_rules,
            retry_delay_s=settings.GRAPH_RETRY_DELAY_S,
            retry_delay_max_s=settings.GRAPH_RETRY_DELAY_MAX_S,
        )

    def key(self, graph: Graph, name: str) -> int:
        """The primary key of a change."""
        row = self.rows[graph.pk].get(name)
        return row.pk if row else self.freed[graph.pk][name][0]


class Settled(Struct, frozen=True):
    """A component that got a new state: the one it had, the report that caused it, its document before that."""

    row: Component
    before: str
    reply: Reply | None
    sent: Mapping[str, Any]


@dataclass(frozen=True)
class SetFree:
    """Rows that are ready now, in the order of the edges that lead to them; `more`: they may not be all."""

    rows: Sequence[Component] = ()
    more: bool = False


@dataclass
class _Step:
    """What became of reports in all graphs of a step."""

    ignored: list[Ignored] = field(default_factory=list)
    ready: set[Key] = field(default_factory=set)


def settle(ledger: Ledger, replies: Sequence[Reply], rows: Sequence[Component]) -> list[Ignored]:
    """Applies replies, and deadlines of `rows`, to locked graphs. Returns what had no effect."""
    found = together([_hanging_from(rows)])[0] if rows else NOTHING
    step = _settle(ledger, replies, _loaded(rows, found), Known())
    ledger.flush()
    return step.ignored


def settle_reported(ledger: Ledger, replies: Sequence[Reply]) -> SetFree:
    """The same with the rows that `reading` has found. What it writes is written later. Returns what is ready now."""
    if not replies:
        return SetFree()
    found, hanging, candidates = ledger.beside
    rows = instances(Component, found.rows)
    asked = frozenset((reply.graph_id, reply.report.component_id) for reply in replies)
    known = Known(asked, [row for row in rows if row.part == Part.EXISTS])
    step = _settle(ledger, replies, _loaded([row for row in rows if row.part == Part.CHANGE], hanging), known)
    free = [row for row in instances(Component, candidates.rows) if (row.graph_id, row.component_id) in step.ready]
    return SetFree(free, more=len(free) < len(step.ready) or len(candidates.rows) == CLAIM_BATCH)


def reading(replies: Sequence[Reply]) -> list[Statement]:
    """Asks for the components that replies speak of, in both parts, for what hangs from them, and may be set free."""
    keys = {(reply.graph_id, reply.report.component_id) for reply in replies}
    return [selecting_by_id([Part.CHANGE, Part.EXISTS], keys), *_hanging_from_keys(keys)]


def _settle(ledger: Ledger, replies: Sequence[Reply], loaded: Loaded, known: Known) -> _Step:
    by_graph: dict[str, list[Reply]] = defaultdict(list)
    for reply in replies:
        by_graph[reply.graph_id].append(reply)
    settled: list[Settled] = []
    step = _Step()
    notes: list[NewEvent] = []
    quiet: list[Component] = []
    for graph in ledger.graphs.values():
        plan = advance(loaded.snapshot(graph), [reply.report for reply in by_graph[graph.pk]], ledger.now)
        step.ignored += plan.ignored
        step.ready |= {(graph.pk, name) for name in plan.ready}
        notes += _ignored_events(graph.pk, by_graph[graph.pk], plan.ignored)
        settled += _apply(graph, plan, by_graph[graph.pk], loaded, ledger.now)
        notes += _write_signs(graph, plan, loaded, ledger)
        quiet += [loaded.rows[graph.pk][name] for name in plan.attention]
        if not plan.empty:
            _count(graph, plan, loaded, ledger)
            ledger.alter(graph)
    _write(settled, ledger)
    notes += change_what_exists([one.row for one in settled if one.row.state == "completed"], known, ledger)
    keep_attempts(settled, ledger)
    notes += note_answers(settled, quiet, ledger)
    ledger.tell(*(moved(one.row, one.before) for one in settled), *notes)
    return step


def _hanging_from_keys(keys: Iterable[Key]) -> list[Statement]:
    """What depends on the changes with these keys, in short, and in full what may be set free by them."""
    given, values = given_keys([Part.CHANGE], keys)
    source = looked_up("graphs_component", OF_KEY.format("source"), given, "source")
    edges = looked_up("graphs_edge", "source_id = source.id", source)
    fed = f"(SELECT destination_id, count(*) AS sources FROM {edges} GROUP BY destination_id) AS fed"  # noqa: S608
    found = looked_up("graphs_component", "graphs_component.id = destination_id", fed)
    free = selecting(Component, SET_FREE.replace("{found}", found), [*values, CLAIM_BATCH])
    return [_dependants(source, values), free]


def _hanging_from(rows: Sequence[Component]) -> Statement:
    """What depends on these changes."""
    given, values = rows_told([[row.pk] for row in rows], [table_of(Component).key])
    return _dependants(looked_up("graphs_component", "source.id = given.column1", given, "source"), values)


def _dependants(source: str, values: Sequence[Any]) -> Statement:
    edges = looked_up("graphs_edge", "source_id = source.id", source)
    found = looked_up("graphs_component", "graphs_component.id = destination_id", edges)
    return selecting(Component, DEPENDANTS.replace("{found}", found), values, OF_DEPENDANTS)


def _loaded(rows: Sequence[Component], hanging: Outcome) -> Loaded:
    loaded = Loaded()
    for row in rows:
        loaded.rows[row.graph_id][row.component_id] = row
    for pk, name, state, blockers, rule, policy, retry_at, graph_id, source in values_of(
        Component, OF_DEPENDANTS, hanging.rows
    ):
        loaded.dependants[graph_id].setdefault(source, []).append(name)
        node = Node(state, 0, blockers, rule=rule, policy=Policy.of(policy), retry_at=retry_at)
        loaded.freed[graph_id][name] = (pk, node)
    return loaded


def _node(row: Component) -> Node:
    policy = row.wishes
    return Node(
        row.state,
        row.attempt,
        row.blockers,
        row.attempts,
        row.resend_at,
        row.deadline_at,
        rule=row.rule,
        policy=policy,
        started_at=row.started_at,
        seen_at=row.seen_at,
        retry_at=row.retry_at,
        resendable=resendable(row),
        lapse=provider(row.backend).lapse(row.document),
        needs_attention=row.needs_attention,
        decided_by=row.decided_by,
        forgiven=row.forgiven,
    )


def _apply(graph: Graph, plan: Plan, replies: Sequence[Reply], loaded: Loaded, now: datetime) -> list[Settled]:
    """Moves the rows in memory. What was answered was sent, also where nobody had the time to note it."""
    changed: list[Settled] = []
    for move in plan.moves:
        row = loaded.rows[graph.pk][move.component_id]
        before, sent = row.state, row.document
        reply = replies[move.report] if move.report is not None else None
        document: Mapping[str, Any] = reply.document if reply else {}
        if reply is not None and before == "running":
            row.sent_at = row.sent_at or now
        row.state, row.reason, row.decided_by, row.silent = move.state, move.reason, move.by, move.silent
        row.retry_at = move.retry_at
        if move.state != "waiting":
            row.document = answered(row.document, document, graph.pk, move.state)
        changed.append(Settled(row, before, reply, sent))
    return changed


def _write(settled: Sequence[Settled], ledger: Ledger) -> None:
    """Final states with their documents; what waits again keeps the document that it will be sent with."""
    clear: dict[str, Any] = {"resend_at": None, "deadline_at": None, "needs_attention": False, "forgiven": False}
    over = [(one.row, one.before) for one in settled if one.row.state != "waiting"]
    ledger.later(swaps(over, {"ended_at": ledger.now, "retry_at": None, **clear}, ["document", "sent_at"]))
    again: dict[datetime | None, list[tuple[Component, str]]] = defaultdict(list)
    for one in settled:
        if one.row.state == "waiting":
            again[one.row.retry_at].append((one.row, one.before))
    for retry_at, rows in again.items():
        begun = {"started_at": None, "sent_at": None, "seen_at": None, "handle": ""}
        ledger.later(swaps(rows, {"retry_at": retry_at, **begun, **clear}))


def _count(graph: Graph, plan: Plan, loaded: Loaded, ledger: Ledger) -> None:
    """Brings counters in memory, and numbers of blockers in the database, up to date."""
    for state, count in plan.counts.items():
        setattr(graph, state, count)
    graph.forgiven = plan.forgiven
    graph.needs_attention += len(plan.attention)
    graph.needs_attention -= sum(loaded.rows[graph.pk][move.component_id].needs_attention for move in plan.moves)
    ledger.blockers |= {loaded.key(graph, name): left for name, left in plan.blockers.items()}


def _write_signs(graph: Graph, plan: Plan, loaded: Loaded, ledger: Ledger) -> list[NewEvent]:
    """Writes what changes no state: signs of life, deadlines of what is ready, the need of a person."""
    rows = loaded.rows[graph.pk]
    for name in plan.seen:
        row = rows[name]
        row.seen_at = ledger.now
        known = {"sent_at": row.sent_at or ledger.now, "resend_at": None}
        Component.objects.filter(pk=row.pk).update(seen_at=ledger.now, deadline_at=deadline_of(row), **known)
    released = [loaded.key(graph, name) for name in plan.released]
    if released:
        Component.objects.filter(pk__in=released).update(retry_at=None)
    for name, at in plan.queued.items():
        Component.objects.filter(pk=loaded.key(graph, name)).update(deadline_at=at)
    clear: dict[str, Any] = {"resend_at": None, "deadline_at": None, "needs_attention": True}
    for name, why in plan.attention.items():
        rows[name].reason = why
        Component.objects.filter(pk=rows[name].pk).update(reason=why, **clear)
    return [_attention_event(rows[name], why) for name, why in plan.attention.items()]


def _attention_event(row: Component, why: str) -> NewEvent:
    data = {"component": row.component_id, "state": row.state, "attempt": row.attempt}
    return NewEvent("component.needs_attention", f"graph:{row.graph_id}", why, "warning", data)


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
        if not replies[one.report].report.by
    ]
