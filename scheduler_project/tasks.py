"""The roof's own Celery tasks.

The pulse shows that the clock, the broker and a control worker work together; `forget` drops what is long over; `count`
counts for `/metrics`.
"""

from celery import shared_task
from django.utils import timezone

from scheduler_project.counting import count_due
from scheduler_project.forgetting import forget_all
from scheduler_project.toolkit.leases import acquire

PULSE = "pulse"
PULSE_LASTS_S = 15.0


@shared_task(name="scheduler.pulse")
def pulse() -> None:
    """Keeps the lease `pulse` for a while; whoever finds it run out knows that no messages arrive."""
    acquire(PULSE, "control", timezone.now(), PULSE_LASTS_S)


@shared_task(name="scheduler.forget")
def forget() -> None:
    """One step of forgetting what is over for longer than the settings keep it."""
    forget_all(timezone.now())


@shared_task(name="scheduler.count")
def count() -> None:
    """Counts what `/metrics` tells, where the last count is old enough."""
    count_due(timezone.now())
