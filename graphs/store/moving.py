"""Carries graphs on: takes replies in, starts what they set free, and sweeps up what was lost on the way."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Q

from graphs.core.advance import Report
from graphs.core.replies import Reply
from graphs.core.states import GRAPH
from graphs.models import Component, Graph, GraphQuerySet
from graphs.providers import aliases, provider
from graphs.providers.base import Send
from graphs.store.claiming import Claimed, claim_ready, claim_set_free
from graphs.store.commands import ended_commands, replies_of
from graphs.store.gates import look
from graphs.store.hints import hint_bridge
from graphs.store.ledger import writing
from graphs.store.rows import BATCH, GRAPHS_PER_TRANSACTION, batches
from graphs.store.settling import reading, settle, settle_reported
from graphs.store.times import note_begun
from scheduler_project.toolkit.events import NewEvent
from workers.models import Command

SWEEP_BATCH = 500


def here() -> list[str]:
    """Aliases of providers whose components any process with the database may start."""
    return [alias for alias in aliases() if provider(alias).supports_transaction]


def elsewhere() -> list[str]:
    """Aliases of providers whose components only the process with their link may start."""
    return [alias for alias in aliases() if not provider(alias).supports_transaction]


def apply_replies(replies: Sequence[Reply], backends: Sequence[str], now: datetime) -> Claimed:
    """Settles what replies tell and starts what they set free for `backends`, in one transaction per batch of graphs.

    Late, doubled, unknown and contradictory ones are recorded and change nothing.
    """
    sends: list[Send] = []
    more = ended = False
    for batch in batches(replies, BATCH):
        for graph_ids in batches(sorted({reply.graph_id for reply in batch}), GRAPHS_PER_TRANSACTION):
            part = [reply for reply in batch if reply.graph_id in set(graph_ids)]
            with writing(graph_ids, now, reading(part)) as ledger:
                ledger.tell(*_unknown([reply for reply in part if reply.graph_id not in ledger.graphs]))
                known = [reply for reply in part if reply.graph_id in ledger.graphs]
                claimed = claim_set_free(ledger, backends, settle_reported(ledger, known))
            sends += claimed.sends
            more = more or claimed.more
            ended = ended or any(graph.state in GRAPH.final for graph in ledger.graphs.values())
    return Claimed(tuple(sends), more, ended=ended)


def claim(graph_ids: Iterable[str], backends: Sequence[str], now: datetime) -> Claimed:
    """Starts what is ready in these graphs for `backends`, at most one batch."""
    with writing(graph_ids, now) as ledger:
        return claim_ready(ledger, backends)


def claim_any(backends: Sequence[str], now: datetime) -> Claimed:
    """Starts what is ready in any graph for `backends`, at most one batch."""
    gate = look(backends, now)
    ready = Graph.objects.with_ready(gate.open_backends, gate.shut).order_by("serial").values_list("pk", flat=True)
    graph_ids = list(ready[:GRAPHS_PER_TRANSACTION])
    if not graph_ids:
        return Claimed()
    claimed = claim(graph_ids, backends, now)
    return Claimed(claimed.sends, claimed.more or (claimed.any and len(graph_ids) == GRAPHS_PER_TRANSACTION))


def mark_sent(sends: Sequence[Send], now: datetime) -> None:
    """These attempts are known to have been sent."""
    by_attempt: dict[int, list[int]] = {}
    for send in sends:
        by_attempt.setdefault(send.attempt, []).append(send.pk)
    for attempt, pks in by_attempt.items():
        for batch in batches(pks):
            Component.objects.filter(pk__in=batch, attempt=attempt).update(sent_at=now, resend_at=None)


def refuse_sends(refused: Sequence[tuple[Send, str]], now: datetime) -> None:
    """These components could not be sent and never will be: they fail, each with its reason."""
    replies = [
        Reply(send.graph_id, Report(send.component_id, "errored", reason, send.attempt, final=True), {})
        for send, reason in refused
    ]
    apply_replies(replies, (), now)


def advance(graph_ids: Sequence[str], now: datetime) -> None:
    """Starts what is ready in these graphs: here what can be started here, through a bridge the rest."""
    for batch in batches(graph_ids, GRAPHS_PER_TRANSACTION):
        while claim(batch, here(), now).more:
            pass
    if _for_a_bridge(now).filter(pk__in=graph_ids).exists():
        hint_bridge()


def settle_commands(commands: Sequence[Command], now: datetime) -> None:
    """Settles the components whose commands have ended, and starts what they set free."""
    settle_replies(replies_of(commands), now)


def settle_replies(replies: Sequence[Reply], now: datetime) -> None:
    """Settles what replies tell, and starts what they set free."""
    if replies:
        apply_replies(replies, here(), now)
        advance(sorted({reply.graph_id for reply in replies}), now)


def sweep(now: datetime) -> None:
    """Does again what a crash or a lost message may have left undone. Constant in queries when there is nothing."""
    for alias in aliases():
        provider(alias).look_after(now)
    settle_due(now)
    settle_commands(ended_commands(SWEEP_BATCH), now)
    claim_any(here(), now)
    if _for_a_bridge(now).exists():
        hint_bridge()


def settle_due(now: datetime) -> None:
    """Acts on deadlines: gives up on replies that are overdue, puts back what is not known to have been sent."""
    due = Q(resend_at__lte=now) | Q(deadline_at__lte=now) | Q(retry_at__lte=now)
    found = Component.objects.changes().filter(due, state__in=("running", "waiting")).order_by("id")
    keys = dict(found.values_list("pk", "graph_id")[:SWEEP_BATCH])
    for graph_ids in batches(sorted(set(keys.values())), GRAPHS_PER_TRANSACTION):
        with writing(graph_ids, now) as ledger:
            rows = list(found.filter(pk__in=list(keys), graph_id__in=graph_ids))
            settle(ledger, (), note_begun(rows, now))


def _for_a_bridge(now: datetime) -> GraphQuerySet:
    """Graphs with something to send, or with an end to announce, that only a bridge can."""
    return Graph.objects.filter(Q(announce_at__lte=now) | Q(pk__in=Graph.objects.with_ready(elsewhere()).values("pk")))


def _unknown(replies: Sequence[Reply]) -> list[NewEvent]:
    return [
        NewEvent(
            "component.report_ignored",
            f"graph:{reply.graph_id}",
            "there is no such graph",
            "warning",
            {"component": reply.report.component_id, "outcome": reply.report.outcome},
        )
        for reply in replies
    ]
