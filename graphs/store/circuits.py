"""Keeps in mind which providers do not answer. While all do, this costs no query.

What was answered is looked up only where something was not, until the circuit opens; answers themselves write nothing.
Invariant: a row of `Circuit` is there exactly while its provider's last attempts were not answered.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Q

from graphs.core.circuit import Limits, Silence, after_failures, unanswered
from graphs.models import Attempt, Circuit, Component, Graph
from graphs.store.ledger import Ledger
from scheduler_project.toolkit.errors import NotFound
from scheduler_project.toolkit.events import NewEvent, record

if TYPE_CHECKING:
    from graphs.store.settling import Settled


ANSWERED = ("completed", "errored")


def limits() -> Limits:
    """What the settings say."""
    return Limits(settings.GRAPH_BREAKER_FAILURES, settings.GRAPH_BREAKER_DELAY_S, settings.GRAPH_BREAKER_DELAY_MAX_S)


def note_answers(settled: "Sequence[Settled]", quiet: Sequence[Component], ledger: Ledger) -> list[NewEvent]:
    """Counts what was not answered, `quiet` too, and closes circuits whose providers have answered. Returns events."""
    silent: dict[str, list[datetime]] = defaultdict(list)
    for row in quiet:
        if row.sent_at is not None:
            silent[row.provider].append(row.sent_at)
    reasons = {row.provider: row.reason for row in quiet}
    answered: set[str] = set()
    for one in settled:
        if one.before != "running" or one.row.decided_by:
            continue
        unreachable = one.reply is not None and one.reply.report.unreachable
        if one.row.sent_at is not None and (unreachable or one.row.silent):
            silent[one.row.provider].append(one.row.sent_at)
            reasons[one.row.provider] = one.row.reason
        elif one.reply is not None:
            answered.add(one.row.provider)
    events = _close(answered, ledger)
    for name in sorted(set(silent) - answered):
        events += _count(name, silent[name], reasons[name], ledger.now)
    return events


def _close(answered: set[str], ledger: Ledger) -> list[NewEvent]:
    if not answered or not ledger.silent_providers:
        return []
    found = Circuit.objects.filter(provider__in=answered)
    was_open = list(found.filter(opened_at__isnull=False).values_list("provider", flat=True))
    found.delete()
    return [_event(name, "provider.answers", "info", "it answers again") for name in was_open]


def _count(name: str, sends: Sequence[datetime], reason: str, now: datetime) -> list[NewEvent]:
    count = len(sends) if name in shut(now) else unanswered(sends, _last_answer(name, min(sends)))
    if not count:
        return []
    Circuit.objects.get_or_create(provider=name, defaults={"failed_at": now})
    rows = Circuit.objects.filter(provider=name)
    row = (rows.select_for_update() if connection.features.has_select_for_update else rows).get()
    before = Silence(row.failures, row.openings, row.retry_at)
    after = after_failures(before, count, now, limits())
    row.failures, row.openings, row.retry_at = after.failures, after.openings, after.retry_at
    row.reason, row.failed_at = reason, now
    row.opened_at = row.opened_at or (now if after.retry_at else None)
    row.save()
    if after.openings == before.openings or after.retry_at is None:
        return []
    until = after.retry_at.isoformat(timespec="seconds")
    why = f"{after.failures} attempts without an answer, so nothing is sent to it until {until}: {reason}"
    return [_event(name, "provider.silent", "warning", why)]


def _last_answer(name: str, since: datetime) -> datetime | None:
    """When a provider last answered anything, after a time; looked for in graphs that were not over then."""
    graphs = Graph.objects.filter(Q(ended_at=None) | Q(ended_at__gt=since)).values("pk")
    rows = Component.objects.changes().filter(graph__in=graphs, provider=name, state__in=ANSWERED, silent=False)
    last = rows.filter(sent_at__isnull=False, decided_by="", ended_at__gt=since).aggregate(at=Max("ended_at"))
    kept = Attempt.objects.filter(component__graph__in=graphs, component__provider=name, outcome__in=ANSWERED)
    failed = kept.filter(decided_by="", ended_at__gt=since).aggregate(at=Max("ended_at"))
    return max((at for at in (last["at"], failed["at"]) if at is not None), default=None)


def shut(now: datetime) -> list[str]:
    """The words in `_provider` to which nothing is sent now."""
    return list(Circuit.objects.filter(retry_at__gt=now).values_list("provider", flat=True))


def to_probe(now: datetime) -> list[Circuit]:
    """Providers that have been left alone for long enough."""
    return list(Circuit.objects.filter(retry_at__lte=now).order_by("provider"))


def take_probe(circuit: Circuit, now: datetime) -> bool:
    """Whether the caller may send one component to see if the provider answers; nobody else may for a while."""
    later = now + limits().after(circuit.openings)
    mine = Circuit.objects.filter(pk=circuit.pk, retry_at=circuit.retry_at).update(retry_at=later)
    return mine == 1


def reset(provider: str, now: datetime, actor: str) -> None:
    """Sends to a provider again at once. Raises NotFound where nothing is held against it."""
    with transaction.atomic():
        if not Circuit.objects.filter(provider=provider).delete()[0]:
            raise NotFound(f"the provider {provider!r} is not known to be silent")
        record([_event(provider, "provider.reset", "info", f"by {actor or 'the system'}", actor)], now)


def _event(provider: str, name: str, level: str, message: str, actor: str = "") -> NewEvent:
    return NewEvent(name, f"provider:{provider}", message, level, actor=actor)
