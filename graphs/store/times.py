"""When something must be heard of a component that runs."""

from datetime import datetime

from django.conf import settings

from graphs.core.policy import Policy, earliest_deadline
from graphs.models import Component
from graphs.providers import provider


def deadline(backend: str, policy: Policy, started_at: datetime, seen_at: datetime | None = None) -> datetime | None:
    """Until when something must be heard of an attempt; None for ever.

    What our own database carries out is awaited for ever unless the component says otherwise.
    """
    usual_s = 0 if provider(backend).is_sent_in_transaction else settings.GRAPH_REPLY_TIMEOUT_S
    found = earliest_deadline(policy, policy.timeout_s or usual_s, started_at, seen_at)
    return found.at if found else None


def resendable(row: Component) -> bool:
    """Whether being carried out twice does no harm: as the component says, or as its verb does."""
    resend = row.wishes.resend
    return resend == "always" or (resend != "never" and row.verb in settings.GRAPH_SAFE_VERBS)


def deadline_of(row: Component) -> datetime | None:
    """The same of the attempt that runs."""
    return deadline(row.backend, row.wishes, row.started_at, row.seen_at) if row.started_at else None


def note_begun(rows: list[Component], now: datetime) -> list[Component]:
    """Asks providers, where a deadline for the start has come, what has begun, and moves its deadline on.

    Returns the rows for which something is still due.
    """
    handles: dict[str, list[str]] = {}
    for row in rows:
        waits = row.state == "running" and row.seen_at is None and row.wishes.start_timeout_s
        if waits and row.handle and provider(row.backend).supports_begun:
            handles.setdefault(row.backend, []).append(row.handle)
    begun = {handle for alias, found in handles.items() for handle in provider(alias).begun(found)}
    for row in rows:
        if row.handle in begun:
            row.seen_at = now
            row.deadline_at = deadline_of(row)
            Component.objects.filter(pk=row.pk).update(seen_at=now, deadline_at=row.deadline_at)
    return [row for row in rows if row.handle not in begun or (row.deadline_at and row.deadline_at <= now)]
