"""Celery's entries to the app. Each may be run at any time, any number of times, by any control process."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from graphs import bridge, store
from graphs.core.tasks import TaskEnd, end_with_result, failure
from graphs.providers.calling import make_call
from graphs.providers.celery import SETTLING_QUEUE
from graphs.store import delegated


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


@shared_task(name="graphs.celery_done")
def celery_done(result: Any, handle: str) -> None:
    """A component's Celery task has returned."""
    delegated.settle_tasks({handle: end_with_result(result)}, timezone.now())


@shared_task(name="graphs.celery_failed")
def celery_failed(task: Any, error: Any = None, _traceback: Any = None) -> None:
    """A component's Celery task has failed.

    Celery calls this in the failed task's own process, with its request and exception, where it can; the word is then
    sent on. From a worker that does not know this task it comes as a message with the task's id alone.
    """
    if not isinstance(task, str):
        celery_failed.apply_async((task.id, failure(error)), queue=SETTLING_QUEUE)
        return
    end = TaskEnd("errored", str(error)) if error else delegated.failure_of(task)
    delegated.settle_tasks({task: end}, timezone.now())


@shared_task(name="graphs.settle_celery")
def settle_celery(results: list[Any], handles: list[str]) -> None:
    """A chord's body: settles what its tasks have not told themselves."""
    left = set(delegated.left_over(handles))
    ends = {one: end_with_result(result) for one, result in zip(handles, results, strict=True) if one in left}
    delegated.settle_tasks(ends, timezone.now())


@shared_task(name="graphs.celery_chord_failed")
def celery_chord_failed(*told: Any) -> None:
    """A chord without a body, as one of its tasks failed: settles what the result backend knows of the others."""
    handles = next(one for one in reversed(told) if isinstance(one, list))
    delegated.settle_tasks(delegated.known_ends(delegated.left_over(handles)), timezone.now())
