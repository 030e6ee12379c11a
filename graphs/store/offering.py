"""Attempts that wait for somebody to take them: offered by a message, and again while nobody has."""

from datetime import datetime, timedelta

from django.conf import settings

from graphs.models import Component

OFFERS = 500


def offers(backend: str, now: datetime) -> list[tuple[int, int]]:
    """Attempts that nobody has taken in time, as (key, attempt); they are to be offered once more."""
    due = Component.objects.changes().filter(backend=backend, state="running", handle="", resend_at__lte=now)
    found = list(due.order_by("id").values_list("pk", "attempt")[:OFFERS])
    if not found:
        return []
    later = now + timedelta(seconds=settings.GRAPH_RESEND_S)
    due.filter(pk__in=[pk for pk, _ in found]).update(resend_at=later)
    return found
