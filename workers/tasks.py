"""The control side's Celery tasks: read the envelope or the clock, store.

Invariant: each may come late, twice or not at all; the sweeper reaches the same state.
"""

import logging

from celery import shared_task
from django.utils import timezone

from workers import store
from workers.dispatch import DISPATCH_TASK
from workers.protocol import REPORTS_TASK, UnreadableEnvelope, decode_reports

logger = logging.getLogger(__name__)


@shared_task(name=REPORTS_TASK)
def apply_reports(envelope: str) -> None:
    """Applies what one agent reports."""
    try:
        reports = decode_reports(envelope)
    except UnreadableEnvelope as error:
        logger.warning("reports.unreadable error=%s", error)
        return
    store.apply_reports(reports, timezone.now())


@shared_task(name="workers.sweep")
def sweep() -> None:
    """One tick of the sweeper."""
    store.sweep(timezone.now())


@shared_task(name=DISPATCH_TASK)
def dispatch_commands() -> None:
    """Places pending commands, batch after batch."""
    while store.place_pending(timezone.now()):
        pass
