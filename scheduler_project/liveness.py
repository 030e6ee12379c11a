"""When a Celery process was last at work, for the watchdog; and a file whose age tells it to health checks.

Invariant: only the loop that does the process's work touches the file, and a worker's loop only while it consumes; so
a process that hangs, or has lost its broker, lets the file grow old. Without SCHEDULER_ALIVE_FILE nothing is written.
"""

import os
import time
from pathlib import Path
from typing import Any

from celery import bootsteps

ALIVE_FILE = "SCHEDULER_ALIVE_FILE"
TOUCH_EVERY_S = 1.0
_touched_at = time.monotonic()


def touch() -> None:
    """Says that the process is at work now."""
    global _touched_at
    _touched_at = time.monotonic()
    path = os.environ.get(ALIVE_FILE)
    if path:
        Path(path).touch()


def idle_s() -> float:
    """For how long the process has not been at work."""
    return time.monotonic() - _touched_at


class AliveStep(bootsteps.StartStopStep):
    """A worker says that it is at work while it is connected to the broker and consumes."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        touch()
        self._timer = parent.timer.call_repeatedly(TOUCH_EVERY_S, touch)

    def stop(self, parent: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
