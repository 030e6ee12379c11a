"""Celery's entries to the app. Each may be run at any time, any number of times, by any control process."""

from celery import shared_task
from django.utils import timezone

from graphs import bridge, store
from graphs.providers.calling import make_call


@shared_task(name="graphs.advance")
def advance(graph_ids: list[str]) -> None:
    """Starts what is ready in these graphs."""
    store.advance(graph_ids, timezone.now())


@shared_task(name="graphs.sweep")
def sweep() -> None:
    """Does again what a crash or a lost message left undone."""
    store.sweep(timezone.now())


@shared_task(name="graphs.publish_nats")
def publish_nats() -> None:
    """Wakes the bridge of this process; what is sent already is not sent again."""
    bridge.wake()


@shared_task(name="graphs.call_http")
def call_http(pk: int, attempt: int) -> None:
    """Makes the HTTP call of a component's attempt, unless it was made or is not wanted any more."""
    make_call(pk, attempt, timezone.now)
