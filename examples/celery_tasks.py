"""Tasks that components of graphs may run: `SCHEDULER_CELERY_TASKS=examples.*`.

A worker of the scheduler runs them with `SCHEDULER_CELERY_IMPORTS=examples.celery_tasks` on the queue `celery`, or a
worker of your own that shares the broker: `celery -A examples.celery_tasks worker -Q celery`.
"""

import os
import time

from celery import Celery, shared_task

app = Celery("examples", broker=os.environ.get("BROKER_URL"), backend=os.environ.get("SCHEDULER_RESULT_BACKEND"))


@shared_task(name="examples.add")
def add(first: int, second: int, wait_s: float = 0) -> dict[str, int]:
    """The sum, merged into the component as `sum`."""
    time.sleep(wait_s)
    return {"sum": first + second}


@shared_task(name="examples.fail")
def fail(reason: str) -> None:
    """Fails with a reason."""
    raise ValueError(reason)
