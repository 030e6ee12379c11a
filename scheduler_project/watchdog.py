"""Ends a worker that is stuck, so that whatever started it starts it again.

Invariant: a worker is ended only where its loop has done nothing for `SCHEDULER_STUCK_AFTER_S` and the broker has
answered for as long after that; one that waits for its broker, or was asked to stop, is left alone.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery, bootsteps
from celery.worker import state as worker_state
from kombu.exceptions import KombuError

from scheduler_project import liveness
from scheduler_project.toolkit import env

log = logging.getLogger(__name__)
STUCK_AFTER_S = 60.0
STUCK_AFTER_MIN_S = 3 * liveness.TOUCH_EVERY_S
LOOKS = 6
EXIT_STUCK = 70


@dataclass(frozen=True)
class Patience:
    """How long a worker is borne with. `answering_since`: from when on the broker answered while it stood still."""

    stuck_after_s: float
    answering_since: float | None = None

    def after(self, now: float, idle_s: float, answers: Callable[[], bool]) -> "Patience":
        """After a look; the broker is asked only where the loop stands still."""
        if idle_s < self.stuck_after_s or not answers():
            return Patience(self.stuck_after_s)
        return Patience(self.stuck_after_s, now if self.answering_since is None else self.answering_since)

    def is_over(self, now: float) -> bool:
        return self.answering_since is not None and now - self.answering_since >= self.stuck_after_s


class WatchdogStep(bootsteps.StartStopStep):
    """Watches the worker from its start on, also while it ends after an error."""

    def start(self, parent: Any) -> None:
        """Raises ConfigurationError where SCHEDULER_STUCK_AFTER_S is not a duration."""
        stuck_after_s = max(env.seconds("SCHEDULER_STUCK_AFTER_S", STUCK_AFTER_S), STUCK_AFTER_MIN_S)
        threading.Thread(target=watch, args=(parent.app, stuck_after_s), name="watchdog", daemon=True).start()


def watch(app: Celery, stuck_after_s: float) -> None:
    """Returns only where the worker was asked to stop."""
    patience = Patience(stuck_after_s)
    while not patience.is_over(time.monotonic()):
        time.sleep(stuck_after_s / LOOKS)
        if is_ending():
            return
        patience = patience.after(time.monotonic(), liveness.idle_s(), lambda: broker_answers(app))
    log.critical("worker.stuck idle_s=%.0f: its broker answers and it consumes nothing; it ends", liveness.idle_s())
    logging.shutdown()
    os._exit(EXIT_STUCK)


def is_ending() -> bool:
    """Whether someone asked the worker to stop; 0 is an exit code too."""
    return any(code not in (None, False) for code in (worker_state.should_stop, worker_state.should_terminate))


def broker_answers(app: Celery) -> bool:
    """Whether a new connection can be made now."""
    connection = app.connection_for_read()
    try:
        connection.connect()
    except (*connection.connection_errors, *connection.channel_errors, KombuError, OSError):
        return False
    finally:
        connection.release()
    return True
