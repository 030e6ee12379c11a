"""The roof's own Celery task: the pulse, which shows that the clock, the broker and a control worker work together."""

from celery import shared_task
from django.utils import timezone

from scheduler_project.toolkit.leases import acquire

PULSE = "pulse"
PULSE_LASTS_S = 15.0


@shared_task(name="scheduler.pulse")
def pulse() -> None:
    """Keeps the lease `pulse` for a while; whoever finds it run out knows that no messages arrive."""
    acquire(PULSE, "control", timezone.now(), PULSE_LASTS_S)
