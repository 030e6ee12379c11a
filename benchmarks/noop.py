"""A task that does nothing, for a worker with this project's Celery settings: what the engine itself can carry."""

import os

from celery import Celery

from scheduler_project.celery_settings import celery_settings

QUEUE = "noop"
TASK = "benchmarks.noop"

app = Celery("noop", set_as_current=False)
app.conf.update(celery_settings(os.environ))


@app.task(name=TASK)
def noop() -> None:
    """Does nothing."""
