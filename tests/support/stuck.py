"""The project's Celery app, of which a worker does nothing more once it is ready."""

import time
from typing import Any

from celery.signals import worker_ready

from scheduler_project.celery import app

__all__ = ["app"]


@worker_ready.connect
def stand_still(**_signal: Any) -> None:
    """In the worker's one loop."""
    time.sleep(3600)
