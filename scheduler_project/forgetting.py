"""Forgets what has been over for longer than it is kept: each app its own rows, the roof the event log.

Invariant: one that fails keeps none of the others from its step.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from django.conf import settings

import graphs.store
import topologies.store
import workers.store
from scheduler_project.models import Event
from scheduler_project.toolkit.retention import over_before

log = logging.getLogger(__name__)

EVENTS_PER_STEP = 5000


def forget_all(now: datetime) -> None:
    """One step of each."""
    steps: tuple[Callable[[datetime], None], ...] = (
        workers.store.forget,
        graphs.store.forget,
        topologies.store.forget,
        forget_events,
    )
    for step in steps:
        try:
            step(now)
        except Exception:
            log.exception("forget.failed step=%s", step.__module__)


def forget_events(now: datetime) -> None:
    """Forgets old events, by age alone. The newest stays, so that positions in the log keep their meaning."""
    before = over_before(now, settings.SCHEDULER_KEEP_EVENTS_DAYS)
    if before is None:
        return
    old = Event.objects.filter(at__lt=before).order_by("at").values_list("id", flat=True)
    ids = list(old[:EVENTS_PER_STEP])
    if ids:
        newest = Event.objects.order_by("-id").values_list("id", flat=True)[0]
        Event.objects.filter(id__in=ids).exclude(id=newest).delete()
