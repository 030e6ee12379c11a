"""The control side's Celery tasks: read the envelope or the clock, store.

Invariant: each may come late, twice or not at all; the sweeper reaches the same state.
"""

from celery import shared_task
from django.utils import timezone

from workers import store
from workers.dispatch import DISPATCH_TASK, together, wake
from workers.protocol import ENROL_TASK, REPORTS_TASK


@shared_task(name=REPORTS_TASK)
def apply_reports(envelope: str) -> None:
    """Applies what one agent reports, and gives the slots that came free to commands that wait."""
    with together() as sending:
        store.receive_reports(envelope, timezone.now())
        if sending.take_wake() and store.place_pending(timezone.now()):
            wake()


@shared_task(name=ENROL_TASK)
def enrol(envelope: str) -> None:
    """Accepts an agent's key where its join token allows it."""
    store.enrol(envelope, timezone.now())


@shared_task(name="workers.sweep")
def sweep() -> None:
    """One tick of the sweeper."""
    store.sweep(timezone.now())


@shared_task(name=DISPATCH_TASK)
def dispatch_commands() -> None:
    """Places pending commands, batch after batch."""
    while store.place_pending(timezone.now()):
        pass
