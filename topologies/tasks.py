"""Celery's entry to the app. It may be run at any time, any number of times, by any control process."""

from celery import shared_task
from django.utils import timezone

from topologies import store


@shared_task(name="topologies.fire_due")
def fire_due() -> None:
    """Ends the runs whose graphs have ended, then fires what is due."""
    now = timezone.now()
    store.settle_ended(now)
    store.fire_due(now)
