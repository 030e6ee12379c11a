"""A file whose age tells whether a Celery process is at work; `tools/healthy` and health checks look at it.

Invariant: only the loop that does the process's work touches the file, and a worker's loop only while it consumes; so
a process that hangs, or has lost its broker, lets the file grow old. Without SCHEDULER_ALIVE_FILE nothing is written.
"""

import os
from pathlib import Path
from typing import Any

from celery import bootsteps

ALIVE_FILE = "SCHEDULER_ALIVE_FILE"
TOUCH_EVERY_S = 5.0


def touch() -> None:
    """Says that the process is at work now."""
    path = os.environ.get(ALIVE_FILE)
    if path:
        Path(path).touch()


class AliveStep(bootsteps.StartStopStep):
    """A worker touches its file while it is connected to the broker and consumes."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None

    def include_if(self, parent: Any) -> bool:
        return ALIVE_FILE in os.environ

    def start(self, parent: Any) -> None:
        touch()
        self._timer = parent.timer.call_repeatedly(TOUCH_EVERY_S, touch)

    def stop(self, parent: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
