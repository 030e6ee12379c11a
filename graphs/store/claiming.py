"""Starts what is ready in locked graphs: waiting → running under the next attempt, committed before anything is sent.

Providers that work on our own database start their components in the same transaction. The others' are returned, to be
sent by the process that claimed them; those that are not marked as sent in time go back to waiting in the sweep.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from msgspec import Struct

from graphs.core import words
from graphs.core.nesting import own_part
from graphs.core.starting import CannotStart, prepared
from graphs.core.templating import Templating, templating_of
from graphs.export import mapping, outline
from graphs.models import Component
from graphs.providers import alias_of, component_faults, provider
from graphs.providers.base import Send
from graphs.store.gates import lock, ready_rows
from graphs.store.ledger import Ledger
from graphs.store.rows import CLAIM_BATCH, in_graphs, moved, swaps
from graphs.store.settling import SetFree
from graphs.store.times import deadline_of
from scheduler_project.toolkit.bulk import update_rows, updates

STARTED = (
    *("state", "reason", "attempt", "decided_by"),
    *("started_at", "sent_at", "seen_at", "resend_at", "deadline_at", "ended_at"),
)
FILLED_IN = ("document", "given", "type", "verb", "provider", "backend")


@dataclass(frozen=True)
class Claimed:
    """What is now running: `sends` are to be sent by the caller; `more` when the batch was full, `any` unless empty.

    `ended`: a graph is over, so its end may have to be announced.
    """

    sends: tuple[Send, ...] = ()
    more: bool = False
    any: bool = False
    ended: bool = False


def claim_ready(ledger: Ledger, backends: Sequence[str]) -> Claimed:
    """Claims what is ready in the locked graphs for these providers, at most one batch."""
    open_graphs = {key: graph for key, graph in ledger.graphs.items() if graph.rules_that_start}
    if not open_graphs or not backends:
        return Claimed()
    gate = lock(backends, ledger)
    rows, more = ready_rows(gate, open_graphs, CLAIM_BATCH, ledger)
    return _claimed(rows, more, ledger)


def claim_set_free(ledger: Ledger, backends: Sequence[str], free: SetFree) -> Claimed:
    """Claims what a step has set free, without asking for it again; what is ready where places are bounded."""
    bounded = any(provider(alias).at_once for alias in backends) or any(one.parallel for one in ledger.graphs.values())
    if bounded or ledger.silent_providers:
        return claim_ready(ledger, backends)
    return _claimed([row for row in free.rows if row.backend in backends], free.more, ledger)


def _claimed(rows: Sequence[Component], more: bool, ledger: Ledger) -> Claimed:
    if not rows:
        return Claimed(more=more)
    started, failed = _prepare(rows, ledger)
    _write_started(started, ledger)
    _write_failed(failed, ledger)
    claimed = [one.row for one in started]
    _count(ledger, claimed, failed)
    ledger.tell(*(moved(row, "waiting") for row in (*claimed, *failed)))
    return Claimed(tuple(_start_here(started, ledger)), more, any=True)


class _Started(Struct, frozen=True):
    """A row to be started and the document that goes out; `filled_in` when templates changed the row itself."""

    row: Component
    document: Mapping[str, Any]
    filled_in: bool


def _prepare(rows: Sequence[Component], ledger: Ledger) -> tuple[list[_Started], list[Component]]:
    """Fills in templates. A component that cannot start fails its graph, so nothing after it starts there."""
    graphs = ledger.graphs
    mappings = _mappings(rows, ledger)
    started: list[_Started] = []
    failed: dict[str, Component] = {}
    for row in rows:
        if row.graph_id in failed:
            continue
        try:
            document = prepared(row.document, row.graph_id, mappings[row.graph_id], component_faults)
        except CannotStart as error:
            row.reason = str(error)
            failed[row.graph_id] = row
            continue
        started.append(_started(row, document, templating_of(graphs[row.graph_id].options)))
    return started, list(failed.values())


def _started(row: Component, document: Mapping[str, Any], templating: Templating) -> _Started:
    filled_in = any(templating.templates_in(own_part(row.document)))
    if filled_in:
        row.given = row.document
        row.document = dict(document)
        row.type, row.verb = document[words.TYPE_KEY], document[words.VERB_KEY]
        row.provider = document[words.PROVIDER_KEY]
        row.backend = alias_of(row.provider)
    return _Started(row, templating.outgoing(document), filled_in)


def _mappings(rows: Iterable[Component], ledger: Ledger) -> dict[str, dict[str, Any]]:
    """For each graph the mapping that templates of these rows read, no more of it than they need."""
    graphs = ledger.graphs
    ids: dict[str, set[str]] = defaultdict(set)
    whole: set[str] = set()
    for row in rows:
        needs = templating_of(graphs[row.graph_id].options).needs_of(own_part(row.document))
        ids[row.graph_id] |= needs.ids
        if needs.everything:
            whole.add(row.graph_id)
    if whole or any(ids.values()):
        ledger.flush()
    read: dict[str, list[Component]] = defaultdict(list)
    wanted = {key: names for key, names in ids.items() if names and key not in whole}
    if wanted:
        for component in Component.objects.filter(in_graphs(wanted)).order_by("id"):
            read[component.graph_id].append(component)
    return {
        key: mapping(graphs[key]) if key in whole else {**outline(graphs[key], read[key]), **graphs[key].extra}
        for key in ids
    }


def _write_started(started: Sequence[_Started], ledger: Ledger) -> None:
    """Compare-and-set of state and attempt. What templates gave is kept with the row."""
    now = ledger.now
    by_attempt: dict[int, list[Component]] = defaultdict(list)
    resend_at = now + timedelta(seconds=settings.GRAPH_RESEND_S)
    for one in started:
        row = one.row
        by_attempt[row.attempt].append(row)
        here = provider(row.backend).is_sent_in_transaction
        row.started_at, row.seen_at, row.needs_attention, row.ended_at = now, None, False, None
        row.sent_at, row.resend_at = (now, None) if here else (None, resend_at)
        row.deadline_at = deadline_of(row)
    for attempt, rows in by_attempt.items():
        for row in rows:
            row.state, row.reason, row.attempt, row.decided_by = "running", "", attempt + 1, ""
            ledger.blockers.pop(row.pk, None)
        ledger.later(updates(rows, STARTED, {"blockers": 0}, {"state": "waiting", "attempt": attempt}))
    ledger.later(updates([one.row for one in started if one.filled_in], FILLED_IN))


def _write_failed(failed: Sequence[Component], ledger: Ledger) -> None:
    for row in failed:
        row.state, row.decided_by, row.silent = "errored", "", False
    ledger.later(swaps([(row, "waiting") for row in failed], {"ended_at": ledger.now, "deadline_at": None}))


def _count(ledger: Ledger, started: Sequence[Component], failed: Sequence[Component]) -> None:
    """Brings the graphs' counters up to date."""
    begun = Counter(row.graph_id for row in started)
    broken = Counter(row.graph_id for row in failed)
    for key in begun | broken:
        graph = ledger.graphs[key]
        graph.waiting -= begun[key] + broken[key]
        graph.running += begun[key]
        graph.errored += broken[key]
        ledger.alter(graph)


def _start_here(started: Sequence[_Started], ledger: Ledger) -> list[Send]:
    """Starts what providers start in this transaction. Returns what is to be sent after it."""
    sends: dict[str, list[Send]] = defaultdict(list)
    rows = {one.row.pk: one.row for one in started}
    for one in started:
        sends[one.row.backend].append(_send(one))
    elsewhere: list[Send] = []
    for alias, batch in sends.items():
        if not provider(alias).supports_transaction:
            elsewhere += batch
            continue
        ledger.flush()
        for pk, handle in provider(alias).start(batch, ledger.now).items():
            rows[pk].handle = handle
        update_rows([rows[send.pk] for send in batch], ["handle"])
    return elsewhere


def _send(one: _Started) -> Send:
    return Send(
        pk=one.row.pk,
        graph_id=one.row.graph_id,
        component_id=one.row.component_id,
        attempt=one.row.attempt,
        type=one.row.type,
        verb=one.row.verb,
        provider=one.row.provider,
        document=one.document,
        previous_handle=one.row.handle,
    )
